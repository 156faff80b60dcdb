"""How far a training has come: steps, examples and seconds, and the learning rate's factor."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bslib.training.budgets import Budget
from bslib.training.schedules import Schedule
from bslib.training.shuffling import Shuffle

Clock = Callable[[], float]


@dataclass
class Pace:
    """Progress through a budget.

    Attributes:
        step: steps taken.
        elapsed: seconds that the steps have taken.
        last: the number of steps at which the budget is used; infinite where seconds decide.
    """

    budget: Budget
    schedule: Schedule
    shuffle: Shuffle
    clock: Clock
    step: int = 0
    elapsed: float = 0.0

    def __post_init__(self) -> None:
        self.last: float = self.budget.steps or math.inf
        if self.budget.examples is not None:
            self.last = self.shuffle.steps_for(self.budget.examples)
        self._started = 0.0

    def start(self) -> None:
        """Let the clock run on, evaluations left out."""
        self._started = self.clock() - self.elapsed

    def read(self) -> None:
        """Read the clock."""
        self.elapsed = self.clock() - self._started

    @property
    def timed(self) -> bool:
        """Whether the budget is one of time."""
        return self.budget.seconds is not None

    @property
    def over(self) -> bool:
        """Whether the budget is used."""
        if self.budget.seconds is not None:
            return self.elapsed >= self.budget.seconds
        return self.step >= self.last

    @property
    def examples(self) -> int:
        """Examples that each member has learnt from."""
        return self.shuffle.seen(self.step)

    def factor(self, step: int) -> float:
        """Return the schedule's factor at ``step``, the next one or one soon after."""
        if self.schedule.name == "constant" and not self.schedule.warmup:
            return 1.0
        if self.budget.seconds is not None:
            progress = self.elapsed / self.budget.seconds
        elif self.budget.examples is not None:
            middle = self.shuffle.seen(step) + self.shuffle.size(step) / 2
            progress = middle / self.budget.examples
        else:
            progress = (step + 0.5) / self.last
        return self.schedule.factor(progress)

    def done(self) -> tuple[int, int]:
        """Return progress as (done, total): steps, or milliseconds of a budget of time."""
        if self.budget.seconds is not None:
            total = max(1, round(1000 * self.budget.seconds))
            return min(total, round(1000 * self.elapsed)), total
        return self.step, int(self.last)
