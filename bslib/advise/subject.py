"""What is measured on: a working copy of a problem's model, with its examples in memory."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bslib.advise.examples import MOST_EXAMPLES, drawn, loaded
from bslib.advise.problem import Optimizer, Problem, SameOptimizer, error_line
from bslib.memory import TrainingStep, is_out_of_memory
from bslib.memory.step import apply
from bslib.models.modes import normalises_over_batch
from bslib.refusal import Refusal


@dataclass(frozen=True, eq=False)
class Subject:
    """A working copy of the model and examples on its device.

    The copy is in training mode; a layer that its owner keeps in evaluation mode within a model
    that trains stays so.

    Attributes:
        problem: whose copy it is.
        module: never trained itself; whoever trains takes a copy again.
        examples: tensors with an example a row, of examples drawn at random.
        held: how many of them.
        load_s: seconds an example to read and collate in one process; 0 where all lay in memory.
        smallest: the smallest batch that can be trained on: 2 where one example is not enough,
            as for statistics over a batch.
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
    order = drawn(len(problem.dataset), most, generator)
    examples, held, load_s = loaded(problem.dataset, order, patience_s, clock)
    on_device = apply(lambda tensor: tensor.detach().to(device), examples)
    subject = Subject(problem, module, on_device, held, load_s, smallest=1)
    return replace(subject, smallest=_first_step(subject))


def _copied(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        # compiled, it would be compiled again at each size that is tried
        copied = copy.deepcopy(getattr(model, "_orig_mod", model)).to(device)
        return copied if copied.training else copied.train()
    except Exception as error:
        raise Refusal(f"the model cannot be copied to {device}: {error_line(error)}") from error


def _first_step(subject: Subject) -> int:
    """Take a step of each small size; return the smallest batch that works."""
    _stepped(subject, 2)
    _check_mean(subject)
    try:
        _stepped(subject, 1)
    except Refusal:
        return 2
    return 1


def _check_mean(subject: Subject) -> None:
    """Give a batch twice: the mean stays, the sum doubles.

    In evaluation mode, where dropout draws nothing; what else is random must look like a sum
    three times.
    """
    for _ in range(3):
        module = copy.deepcopy(subject.module).eval()
        try:
            with torch.no_grad():
                once, twice = (
                    float(subject.problem.loss(module, subject.batch(torch.tensor(rows))))
                    for rows in ([0, 1], [0, 1, 0, 1])
                )
        except Exception:  # in evaluation mode some models give other things than in training
            return
        if once == 0 or not twice / once > 1.5:
            return
    raise Refusal(
        f"the loss of a batch is {once:.4g}, of the same batch given twice {twice:.4g}: it is no "
        "mean over examples, but a sum; return the mean, or a larger batch would mean a larger rate"
    )


def _stepped(subject: Subject, size: int) -> None:
    """Take a first step on a copy, and check loss and gradient on the way."""
    module, optimizer = subject.trainee()
    try:
        loss = subject.problem.loss(module, subject.batch(torch.arange(size)))
    except Exception as error:
        raise _failed("the loss", size, error) from error
    _check_loss(loss)
    try:
        loss.backward()
        found = [each.grad for each in module.parameters() if each.grad is not None]
        finite = all(bool(_values(each).isfinite().all()) for each in found)
    except Exception as error:
        raise _failed("the backward pass", size, error) from error
    if not found:
        raise Refusal(
            "the loss does not depend on any trained parameter: all gradients are absent; use the "
            "model that is passed to it, not one from outside"
        )
    if not finite:
        raise Refusal("the first gradient is not finite: mend the model or its initial weights")
    try:
        optimizer.step()
    except Exception as error:
        raise _failed(
            f"a step of {type(optimizer).__name__} without a closure", size, error
        ) from error


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1 or loss.is_complex():
        if isinstance(loss, tuple | list):
            kind = type(loss).__name__
            raise Refusal(f"loss(model, batch) returned a {kind}: return the loss alone")
        shape = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        shape = "a complex one" if isinstance(loss, Tensor) and loss.is_complex() else shape
        raise Refusal(f"loss(model, batch) must return one number, a scalar tensor, not {shape}; "
                      "take the mean over the batch")  # fmt: skip
    if not loss.requires_grad:
        raise Refusal("the loss has no gradient: it is detached from the model, or no_grad is on")
    if not bool(loss.isfinite()):
        raise Refusal(f"the loss at the first step is {float(loss.detach()):g}: "
                      "mend the model or its data")  # fmt: skip


def _failed(what: str, size: int, error: Exception) -> Refusal:
    if is_out_of_memory(error):
        return Refusal(f"no memory even for a batch of {size}: take a smaller model, or a "
                       "device with more memory")  # fmt: skip
    return Refusal(f"{what} failed on a first batch of {size}: {error_line(error)}")
