"""What is measured on: a working copy of a problem's model, with its examples in memory."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset, default_collate

from bslib.advise.problem import Optimizer, Problem, SameOptimizer
from bslib.memory import TrainingStep, is_out_of_memory
from bslib.memory.step import apply, tensors
from bslib.models.modes import normalises_over_batch
from bslib.refusal import Refusal

# Examples held in memory at most, and their bytes.
MOST_EXAMPLES, MOST_BYTES = 2**15, 2**30
FIRST_LOOK = 64  # examples


@dataclass(frozen=True, eq=False)
class Subject:
    """A working copy of the model, in training mode, and examples on its device.

    Attributes:
        problem: whose copy it is.
        module: never trained itself; whoever trains takes a copy again.
        examples: tensors with an example a row, of examples drawn at random.
        held: how many of them.
        load_s: seconds an example to read and collate in one process; 0 where all lay in memory.
        smallest: the smallest batch that can be trained on: 2 where batch normalisation has no
            statistics over one example.
    """

    problem: Problem
    module: nn.Module
    examples: Any
    held: int
    load_s: float
    smallest: int

    @property
    def device(self) -> torch.device:
        """Where everything lies."""
        return next(self.module.parameters()).device

    @property
    def size(self) -> int:
        """How many examples the data set holds."""
        return len(self.problem.dataset)

    @property
    def normalises_over_batch(self) -> bool:
        """Whether batch normalisation joins the examples of a batch."""
        return normalises_over_batch(self.module)

    def step(self) -> TrainingStep:
        """Return the step as it is timed and weighed: the problem's, at a learning rate of 0."""
        made = SameOptimizer(self.problem)
        return TrainingStep(self.module, self.problem.loss, self.examples, made)

    def trainee(self) -> tuple[nn.Module, Optimizer]:
        """Return a copy to train, with an optimiser in the problem's own state."""
        module = copy.deepcopy(self.module)
        trained = [each for each in module.parameters() if each.requires_grad]
        return module, SameOptimizer(self.problem, factor=1.0)(trained)

    def batch(self, rows: Tensor) -> Any:
        """Return the examples at ``rows`` as a batch."""
        return apply(lambda tensor: tensor[rows.to(tensor.device)], self.examples)


def prepare(
    problem: Problem,
    device: torch.device,
    *,
    generator: torch.Generator,
    patience_s: float,
    most: int = MOST_EXAMPLES,
    clock: Callable[[], float] = time.monotonic,
) -> Subject:
    """Copy the model, load examples, and take a first step: bad input is refused here.

    Args:
        generator: a CPU generator; draws which examples are held.
        patience_s: loading ends after so long, with what is there.
        most: examples held at most.

    Raises:
        Refusal: what the target gave cannot be trained: it cannot be copied or collated, the
            loss is not a finite scalar with a gradient, or one example is too large.
    """
    module = _copied(problem.model, device)
    order = _drawn(len(problem.dataset), most, generator)
    examples, held, load_s = _loaded(problem.dataset, order, patience_s, clock)
    on_device = apply(lambda tensor: tensor.to(device), examples)
    subject = Subject(problem, module, on_device, held, load_s, smallest=1)
    smallest = _first_step(subject)
    return Subject(problem, module, on_device, held, load_s, smallest)


def _copied(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return copy.deepcopy(model).to(device).train()
    except Exception as error:
        raise Refusal(f"the model cannot be copied to {device}: {_told(error)}") from error


def _drawn(size: int, most: int, generator: torch.Generator) -> Tensor:
    """Return up to ``most`` different rows of ``size``, in random order."""
    if size <= 16 * most:
        return torch.randperm(size, generator=generator)[:most]
    rows = torch.randint(size, (most,), generator=generator).unique()  # a few are drawn twice
    return rows[torch.randperm(len(rows), generator=generator)]


def _loaded(
    dataset: Any, order: Tensor, patience_s: float, clock: Callable[[], float]
) -> tuple[Any, int, float]:
    """Return collated examples, how many, and the seconds that one took."""
    if isinstance(dataset, TensorDataset):
        row = sum(each[:1].nbytes for each in dataset.tensors)
        rows = order[: max(2, MOST_BYTES // max(row, 1))]
        return tuple(each[rows] for each in dataset.tensors), len(rows), 0.0
    start, parts, room = clock(), [], MOST_BYTES
    for first in range(0, len(order), FIRST_LOOK):
        parts.append(_collated(dataset, order[first : first + FIRST_LOOK].tolist()))
        room -= sum(each.nbytes for each in tensors(parts[-1]))
        if room <= 0 or clock() - start > patience_s:
            break
    seconds = clock() - start
    examples = _joined(parts)
    held = len(next(tensors(examples)))
    return examples, held, seconds / held


def _collated(dataset: Any, rows: Sequence[int]) -> Any:
    try:
        batch = default_collate([dataset[row] for row in rows])
    except Exception as error:
        raise Refusal(
            f"the data set's items do not make a batch: {_told(error)}; give items of one shape, "
            "padded where they differ in length"
        ) from error
    for each in tensors(batch):
        if not isinstance(each, Tensor):
            kind = type(each).__name__
            raise Refusal(f"an item holds a {kind}: items are tensors or numbers, in tuples, "
                          "lists or dicts")  # fmt: skip
    return batch


def _joined(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple | list):
        return tuple(_joined(each) for each in zip(*parts, strict=True))
    return torch.cat(list(parts))


def _first_step(subject: Subject) -> int:
    """Take a step of each small size; return the smallest batch that works."""
    two = _stepped(subject, 2)
    four = _stepped(subject, 2, repeats=2)
    if two > 0 and four > 1.5 * two and not subject.normalises_over_batch:
        raise Refusal(
            f"the loss of a batch given twice is {four:.4g}, of the batch {two:.4g}: it is a sum "
            "over examples; return their mean, or a larger batch would mean a larger rate"
        )
    if not subject.normalises_over_batch:
        return 1
    try:
        _stepped(subject, 1)
    except Refusal:
        return 2
    return 1


def _stepped(subject: Subject, size: int, repeats: int = 1) -> float:
    """Return the loss of a first batch, whose gradient is checked too."""
    module = copy.deepcopy(subject.module)
    rows = torch.arange(size).repeat(repeats)
    try:
        loss = subject.problem.loss(module, subject.batch(rows))
    except Exception as error:
        raise _failed("the loss", size, error) from error
    value = _value(loss)
    trained = [each for each in module.parameters() if each.requires_grad]
    try:
        parts = torch.autograd.grad(loss, trained, allow_unused=True)
    except Exception as error:
        raise _failed("the backward pass", size, error) from error
    known = [part for part in parts if part is not None]
    if not known:
        raise Refusal("the loss does not depend on any trained parameter: all gradients are absent")
    if not all(bool(part.isfinite().all()) for part in known):
        raise Refusal("the first gradient is not finite: mend the model or its initial weights")
    return value


def _value(loss: Any) -> float:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise Refusal(f"loss(model, batch) must return one number, a scalar tensor, not {shape}; "
                      "take the mean over the batch")  # fmt: skip
    if not loss.requires_grad:
        raise Refusal("the loss has no gradient: it is detached from the model, or no_grad is on")
    if not bool(loss.isfinite()):
        raise Refusal(f"the loss at the first step is {float(loss.detach()):g}: "
                      "mend the model or its data")  # fmt: skip
    return float(loss.detach())


def _failed(what: str, size: int, error: Exception) -> Refusal:
    if is_out_of_memory(error):
        return Refusal(f"no memory even for a batch of {size}: take a smaller model, or a "
                       "device with more memory")  # fmt: skip
    return Refusal(f"{what} failed on a first batch of {size}: {_told(error)}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
