"""A problem to advise on: a model, its loss and its data, as their owner trains them."""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bslib.models.modes import normalises_over_batch
from bslib.refusal import Refusal

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True, eq=False)
class Problem:
    """What a target function returns. Advising works on copies, and leaves all of it as it was.

    Attributes:
        model: the network.
        loss: ``loss(model, batch)``, the mean loss over the batch's examples, a scalar. A batch
            is what torch's default collation makes of the data set's items.
        dataset: a map-style data set: ``len(dataset)`` and ``dataset[i]``; or None, where only
            memory and throughput are asked, of ``batch`` examples.
        optimizer: of the model's parameters. Without it the noise is measured along a training
            with Adam, and there is no advice on the learning rate.
        learning_rate: the one in use; by default that of the optimiser's first group.
        batch_size: the one that the learning rate was found at.
    """

    model: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]
    dataset: Any
    optimizer: Optimizer | None = None
    learning_rate: float | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise Refusal(f"model must be a torch.nn.Module, not {_kind(self.model)}")
        if not callable(self.loss):
            raise Refusal(f"loss must be a function of (model, batch), not {_kind(self.loss)}")
        if not (hasattr(self.dataset, "__len__") and hasattr(self.dataset, "__getitem__")):
            raise Refusal(
                f"dataset must have a length and items, not be {_kind(self.dataset)}; "
                "of an iterable data set, take some thousand items into a list"
            )
        self._check_optimizer()
        if not any(each.requires_grad for each in self.model.parameters()):
            raise Refusal("no parameter of the model requires a gradient: nothing would be trained")
        if self.batch_size is not None and not 1 <= self.batch_size <= len(self.dataset):
            raise Refusal(
                f"batch_size must lie between 1 and the {len(self.dataset):,} examples, "
                f"not be {self.batch_size!r}"
            )
        if len(self.dataset) < 2 * (self.batch_size or 1):
            raise Refusal(
                f"the data set holds {len(self.dataset):,} examples, fewer than two batches of "
                f"{self.batch_size or 1}: there is nothing to choose"
            )

    def _check_optimizer(self) -> None:
        if self.optimizer is None:
            return
        if not isinstance(self.optimizer, Optimizer):
            kind = _kind(self.optimizer)
            raise Refusal(f"optimizer must be a torch.optim.Optimizer, not {kind}")
        held = {id(each) for group in self.optimizer.param_groups for each in group["params"]}
        if not any(id(each) in held for each in self.trained):
            raise Refusal("the optimizer holds none of the model's parameters")
        rate = self.rate
        if rate is None or not rate > 0:
            raise Refusal(f"learning_rate must be above 0, not {rate!r}")

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return [each for each in self.model.parameters() if each.requires_grad]

    @property
    def rate(self) -> float | None:
        """The learning rate in use; None where there is no optimiser."""
        if self.optimizer is None or self.learning_rate is not None:
            return self.learning_rate
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def normalises_over_batch(self) -> bool:
        """Whether batch normalisation joins the examples of a batch."""
        return normalises_over_batch(self.model)


@dataclass(frozen=True, eq=False)
class SameOptimizer:
    """Makes of other parameters an optimiser in the state of the problem's own.

    Attributes:
        problem: whose optimiser is copied; Adam at ``STAND_IN_RATE`` where it has none.
        factor: of every learning rate; 0 for steps that cost what they cost and move nothing.
    """

    problem: Problem
    factor: float = 0.0

    def __call__(self, parameters: list[nn.Parameter]) -> Optimizer:
        """Return the optimiser of these parameters, in the order of ``problem.trained``."""
        made = self._made(parameters)
        _scale(made, self.factor)
        for group in made.param_groups:
            # torch's own default, which it would not choose for a fake tensor
            if group.get("foreach", False) is None and not group.get("fused"):
                group["foreach"] = parameters[0].device.type == "cuda"
        return made

    def _made(self, parameters: list[nn.Parameter]) -> Optimizer:
        own = self.problem.optimizer
        if own is None:
            return torch.optim.Adam(parameters, lr=STAND_IN_RATE)
        twins = zip(self.problem.trained, parameters, strict=True)
        made: Optimizer = copy.deepcopy(own, {id(old): new for old, new in twins})
        if self.problem.learning_rate is not None:
            _scale(made, self.problem.learning_rate / own.param_groups[0]["lr"])
        return made


def _scale(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * factor


STAND_IN_RATE = 1e-3


@contextmanager
def kept_generators(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators inside, and put them back after.

    Data sets and losses may draw from any of them.
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global generator, to put back
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
