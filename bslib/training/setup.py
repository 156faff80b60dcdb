"""What a training is asked for: the settings that all members share, and the members."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from bslib.data import Task
from bslib.refusal import Refusal
from bslib.training.budgets import Budget, Target
from bslib.training.optimizers import Optimizer
from bslib.training.schedules import Schedule

Progress = Callable[[int, int], None]  # (done, total)
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Setup:
    """Settings shared by all members of a training; see :func:`bslib.training.train`."""

    task: Task
    batch_size: int
    optimizer: Optimizer
    schedule: Schedule
    budget: Budget
    target: Target | None
    evaluate_every: int | Sequence[int] | None
    evaluate_on: Sequence[str]
    checkpoints: Sequence[int]
    record_batch_loss: bool
    replacement: bool
    drop_last: bool
    strategy: str
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        examples, size = len(self.task.train), self.batch_size
        if not 1 <= size <= examples:
            raise Refusal(f"batch_size must be 1 to {examples:,} (the examples), not {size}")
        if not self.evaluate_on or set(self.evaluate_on) - set(PARTS):
            raise Refusal(f"evaluate_on takes some of {', '.join(PARTS)}; not {self.evaluate_on}")
        if self.target is not None and self.target.part not in self.evaluate_on:
            raise Refusal(
                f"target {self.target.metric!r} needs {self.target.part!r} in evaluate_on"
            )
        accuracy = self.target is not None and self.target.metric.endswith("_accuracy")
        if accuracy and self.task.kind != "classification":
            raise Refusal(f"task {self.task.name!r} has no accuracy to reach")
        every = self.evaluate_every
        stops = [*self.checkpoints, *([every] if isinstance(every, int) else every or [])]
        if any(stop < 1 for stop in stops):
            raise Refusal(f"evaluations and checkpoints come after 1 step or more, not {stops}")

    def evaluates(self, step: int) -> bool:
        """Say whether there is an evaluation after ``step`` steps, be it the end or not."""
        every = self.evaluate_every
        return step % every == 0 if isinstance(every, int) else step in (every or ())

    def next_stop(self, step: int) -> float:
        """Return the first evaluation or checkpoint after ``step``; infinity for none."""
        every = self.evaluate_every
        if isinstance(every, int):
            evaluations = [(step // every + 1) * every]
        else:
            evaluations = [at for at in every or () if at > step]
        checkpoints = (at for at in self.checkpoints if at > step)
        return min([*evaluations, *checkpoints], default=math.inf)


@dataclass(frozen=True)
class Members:
    """What differs between members, member by member."""

    numbers: Sequence[int]
    seeds: Sequence[int]
    rates: Sequence[float]
    decays: Sequence[float]
    modules: Sequence[nn.Module]

    def __len__(self) -> int:
        return len(self.seeds)

    def some(self, first: int, count: int) -> "Members":
        """Return ``count`` of the members, from the one at ``first``."""
        cut = slice(first, first + count)
        return Members(*(part[cut] for part in vars(self).values()))
