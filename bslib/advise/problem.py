"""A problem to advise on: a model, its loss and its data, as their owner trains them."""

import copy
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn.parameter import UninitializedParameter
from torch.utils.data import DataLoader, IterableDataset

from bslib.refusal import Refusal

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True, eq=False)
class Problem:
    """What a target function returns. Advising works on copies, and leaves all of it as it was.

    Attributes:
        model: the network.
        loss: ``loss(model, batch)``, the mean loss over the batch's examples, a scalar. A batch
            is what torch's default collation makes of the data set's items.
        dataset: a map-style data set: ``len(dataset)`` and ``dataset[i]``.
        optimizer: of the model's parameters. Without it the noise is measured along a training
            with Adam, and there is no advice on the learning rate.
        learning_rate: the one in use; by default that of the optimiser's first group, unless a
            scheduler is changing it.
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
        mapped = hasattr(self.dataset, "__len__") and hasattr(self.dataset, "__getitem__")
        if isinstance(self.dataset, DataLoader):
            raise Refusal(
                "dataset must have a length and items: of a DataLoader, pass its .dataset"
            )
        if not mapped or isinstance(self.dataset, IterableDataset):
            raise Refusal(
                f"dataset must have a length and items, which {_kind(self.dataset)} has not; "
                "of an iterable data set, take some thousand items into a list"
            )
        self._check_parameters()
        self._check_optimizer()
        self._check_batch_size()

    def _check_parameters(self) -> None:
        if any(isinstance(each, UninitializedParameter) for each in self.model.parameters()):
            raise Refusal("a parameter has no shape yet: pass a batch through the model first")
        if not self.trained:
            raise Refusal("no parameter of the model requires a gradient: nothing would be trained")

    def _check_batch_size(self) -> None:
        size = self.batch_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int | np.integer)):
            raise Refusal(f"batch_size must be a whole number, not {size!r}")
        if size is not None and not 1 <= size <= len(self.dataset):
            raise Refusal(
                f"batch_size must lie between 1 and the {len(self.dataset):,} examples, "
                f"not be {size!r}"
            )
        if len(self.dataset) < 2 * (self.batch_size or 1):
            raise Refusal(
                f"the data set holds {len(self.dataset):,} examples, fewer than two batches of "
                f"{self.batch_size or 1}: there is nothing to choose"
            )

    def _check_optimizer(self) -> None:
        if self.learning_rate is not None:
            _check_rate(self.learning_rate)
        if self.optimizer is None:
            return
        if not isinstance(self.optimizer, Optimizer):
            kind = _kind(self.optimizer)
            raise Refusal(f"optimizer must be a torch.optim.Optimizer, not {kind}")
        held = {id(each) for group in self.optimizer.param_groups for each in group["params"]}
        if not any(id(each) in held for each in self.trained):
            raise Refusal("the optimizer holds none of the model's parameters")
        for group in self.optimizer.param_groups:
            if not isinstance(group.get("lr"), float | int | Tensor):
                raise Refusal("the optimizer holds parameters without a learning rate 'lr'")
        if self.learning_rate is None:
            _check_schedule(self.optimizer.param_groups[0])
        _check_rate(self.rate)

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
        held = [each for group in own.param_groups for each in group["params"]]
        # what is frozen, or no parameter of the model's, would only be copied in vain
        twins = {id(each): nn.Parameter(torch.empty(0), requires_grad=False) for each in held}
        trained = zip(self.problem.trained, parameters, strict=True)
        twins |= {id(old): new for old, new in trained}
        settings = [each for group in own.param_groups for each in group.values()]
        kept = [each for each in own.state.values() if isinstance(each, dict)]
        state = [each for values in kept for each in values.values()]
        values = [each for each in (*settings, *state) if isinstance(each, Tensor)]
        made: Optimizer = copy.deepcopy(own, twins | {id(each): _twin(each) for each in values})
        if self.problem.learning_rate is not None:
            _set(made, self.problem.learning_rate)
        return made


def _twin(value: Tensor) -> Tensor:
    """Return a copy; under fake tensors, which know no values, a number keeps its own."""
    if value.ndim > 0:
        return value.detach().clone()
    with unset_fake_temporarily():
        number = value.item()
    return torch.tensor(number, dtype=value.dtype, device=value.device)


def _set(optimizer: Optimizer, learning_rate: float) -> None:
    """Give the first group this rate, and the others theirs in proportion."""
    first = float(optimizer.param_groups[0]["lr"])
    if first > 0:
        _scale(optimizer, learning_rate / first)
        return
    for group in optimizer.param_groups:  # a schedule's warm-up has not begun
        group["lr"] = learning_rate


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


@contextmanager
def kept_state(problem: Problem) -> Iterator[None]:
    """Put gradients, buffers and modes back after.

    Copies are trained, but a loss may still reach the model itself, or hold parameters of its
    own, which a backward pass gives gradients.
    """
    groups = problem.optimizer.param_groups if problem.optimizer is not None else []
    held = [*problem.model.parameters(), *(each for group in groups for each in group["params"])]
    gradients = [
        (each, each.grad, None if each.grad is None else each.grad.clone())
        for each in {id(each): each for each in held}.values()
    ]
    buffers = [(each, each.clone()) for each in problem.model.buffers()]
    modes = [(each, each.training) for each in problem.model.modules()]
    try:
        yield
    finally:
        for parameter, own, value in gradients:
            parameter.grad = own
            if own is not None and value is not None:
                own.detach().copy_(value)
        for buffer, value in buffers:
            buffer.detach().copy_(value)
        for module, mode in modes:
            module.training = mode


def _check_rate(rate: object) -> None:
    number = isinstance(rate, float | int | np.number | Tensor) and not isinstance(rate, bool)
    if not number or not 0 < float(rate) < math.inf:  # type: ignore[arg-type]
        raise Refusal(f"learning_rate must be a finite number above 0, not {rate!r}")


def _check_schedule(group: dict[str, Any]) -> None:
    """Refuse a rate on its way up or down: a scheduler leaves its own beside it."""
    rate, own = float(group["lr"]), group.get("max_lr", group.get("initial_lr"))
    if own is not None and not math.isclose(rate, own, rel_tol=1e-6):
        raise Refusal(
            f"a scheduler has the learning rate at {rate:.3g} now, and {own:.3g} is its own: say "
            f"which one to advise on, such as Problem(learning_rate={own:.3g})"
        )


def error_line(error: Exception) -> str:
    """Say in a line what a user's own code raised."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
