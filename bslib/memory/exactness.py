"""Is a gradient in pieces, or with activations computed again, the plain one? In float64."""

import copy
from collections.abc import Iterable, Mapping

import pandas as pd
import torch
from torch import Tensor

from bslib.memory.step import TrainingStep, apply

# A sum of 1e5 terms in another order stays well below it; a wrong weight of a batch does not.
TOLERANCE = 1e-10


def exactness(
    ways: Iterable[Mapping[str, TrainingStep]], batch_size: int, *, tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Compare the gradients that steps leave, each way's with the first one's.

    Args:
        ways: for each seed, steps by name that ought to have one gradient.
        batch_size: examples of the step.

    Returns:
        A row a seed and way after the first: ``seed`` (counted from 0), ``way``,
        ``relative_difference``: |g - g'| / |g| in the Euclidean norm, in float64.

    Raises:
        RuntimeError: a difference above ``tolerance``: what follows would not be about memory.
    """
    rows = []
    for seed, each in enumerate(ways):
        plain, *others = [(name, gradient(step, batch_size)) for name, step in each.items()]
        for name, other in others:
            difference = float((other - plain[1]).norm() / plain[1].norm())
            rows.append({"seed": seed, "way": name, "relative_difference": difference})
            if not difference <= tolerance:
                raise RuntimeError(f"the gradient {name} differs from the plain one: {difference}")
    return pd.DataFrame(rows)


def gradient(step: TrainingStep, batch_size: int) -> Tensor:
    """Return the gradient of one step's mean loss, (P,), in float64; the module is untouched."""
    module = copy.deepcopy(step.module).double().train()
    examples = apply(_double, step.examples)
    optimizer = step.optimizer(list(module.parameters()))
    step.take(module, optimizer, examples, batch_size, lambda phase: None)
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    return torch.cat([each.flatten() for each in gradients])


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
