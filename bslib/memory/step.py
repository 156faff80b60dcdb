"""A training step as the instruments of this room run it: batch, forward, backward, update.

One description serves every way of asking for its memory: under fake tensors, under the
allocator's eyes, and in a child process that tries a size out.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bslib.data import Task
from bslib.memory.optimizers import Named
from bslib.refusal import Refusal

Mark = Callable[[str], object]
Optimizer = torch.optim.Optimizer

BATCH, FORWARD, BACKWARD = "batch", "forward", "backward"
UPDATE, EVALUATION = "optimizer", "evaluation"


@dataclass(frozen=True)
class TaskLoss:
    """A task's losses of the examples in a batch (inputs, targets); it can be pickled."""

    loss: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, module: nn.Module, batch: Any) -> Tensor:
        """Return the losses of the batch's examples, (B,)."""
        inputs, targets = batch
        return self.loss(module(inputs), targets)


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """What a step does. The module is never run: whoever takes a step works on a copy.

    Attributes:
        module: the network, on its device.
        loss: ``loss(module, batch)``, one value or one an example; their mean is descended.
        examples: tensors with one example a row, in a tuple, list or dict, on the module's
            device. Batches are gathered from them, over and over where there are too few.
        optimizer: makes an optimiser of parameters; a name of ``torch.optim``'s, too.
        micro_batch_size: examples in one forward and backward pass; None: the whole batch.
        autocast: the type of automatic mixed precision, such as ``torch.bfloat16``.
        evaluate: whether a forward pass over a batch without gradients follows the update.
    """

    module: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]
    examples: Any
    optimizer: Callable[[list[nn.Parameter]], Optimizer]
    micro_batch_size: int | None = None
    autocast: torch.dtype | None = None
    evaluate: bool = False

    @property
    def device(self) -> torch.device:
        """Where the module's first parameter lies."""
        return next(self.module.parameters()).device

    def take(
        self, module: nn.Module, optimizer: Optimizer, examples: Any, batch_size: int, mark: Mark
    ) -> None:
        """Take one step of ``batch_size`` examples, on a copy of the module.

        A gradient accumulated over micro-batches of b_k examples is the sum of their mean
        gradients weighted by b_k / B, so a smaller last one counts for what it holds.

        Args:
            mark: told the phase that begins: one of this module's five words.
        """
        optimizer.zero_grad()
        done = 0
        for size in pieces(batch_size, self.micro_batch_size):
            mark(BATCH)
            batch = gather(examples, done, size)
            mark(FORWARD)
            loss = self._loss(module, batch) * (size / batch_size)
            mark(BACKWARD)
            loss.backward()
            done += size
            del batch, loss
        mark(UPDATE)
        optimizer.step()
        if self.evaluate:
            mark(EVALUATION)
            size = min(batch_size, self.micro_batch_size or batch_size)
            self._evaluate(module, gather(examples, 0, size))

    def _loss(self, module: nn.Module, batch: Any) -> Tensor:
        kind, dtype = self.device.type, self.autocast
        with torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            return self.loss(module, batch).mean()

    def _evaluate(self, module: nn.Module, batch: Any) -> None:
        module.eval()
        with torch.no_grad():
            self._loss(module, batch)
        module.train()


def training_step(
    task: Task, module: nn.Module, *, optimizer: str | Named = "sgd", **settings: Any
) -> TrainingStep:
    """Return the step that trains a copy of ``module`` on a task's examples, where those lie.

    Args:
        optimizer: a name, or one of :class:`bslib.memory.Named` with settings.
        settings: further fields of :class:`TrainingStep`.
    """
    named = Named(optimizer) if isinstance(optimizer, str) else optimizer
    examples = (task.train.inputs, task.train.targets)
    placed = copy.deepcopy(module).to(task.train.inputs.device)
    return TrainingStep(placed, TaskLoss(task.loss), examples, named, **settings)


def pieces(batch_size: int, micro_batch_size: int | None) -> list[int]:
    """Return the micro-batches of a batch: all of one size, but for a smaller last one.

    Raises:
        Refusal: a size below 1.
    """
    size = batch_size if micro_batch_size is None else micro_batch_size
    if batch_size < 1 or size < 1:
        raise Refusal(f"a batch and its micro-batches hold at least 1 example, not {batch_size}")
    whole, rest = divmod(batch_size, size)
    return [size] * whole + [rest] * (rest > 0)


def gather(examples: Any, start: int, count: int) -> Any:
    """Return a new batch of ``count`` examples from ``start`` on, from the first after the last."""
    first = next(tensors(examples))
    rows = torch.arange(start, start + count, device=first.device) % len(first)
    return apply(lambda tensor: tensor[rows], examples)


def apply(function: Callable[[Tensor], Any], examples: Any) -> Any:
    """Return ``examples`` with ``function`` applied to each of its tensors."""
    if isinstance(examples, dict):
        return {key: apply(function, each) for key, each in examples.items()}
    if isinstance(examples, tuple | list):
        return type(examples)(apply(function, each) for each in examples)
    return function(examples)


def tensors(examples: Any) -> Iterator[Tensor]:
    """Iterate over the tensors in ``examples``."""
    if isinstance(examples, dict | tuple | list):
        for each in examples.values() if isinstance(examples, dict) else examples:
            yield from tensors(each)
    else:
        yield examples
