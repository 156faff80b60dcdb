"""When a training ends: a budget it may not exceed, a target that it may reach before."""

import math
from dataclasses import dataclass

from bslib.refusal import Refusal


@dataclass(frozen=True)
class Budget:
    """How long a training lasts, in exactly one unit.

    Attributes:
        steps: optimiser steps.
        examples: examples learnt from, repeats counted; the last step is the one that
            reaches it, so it is passed by less than a batch.
        seconds: wall-clock time of the steps alone, evaluations left out. Members trained
            side by side share the clock: to time one training, train one.
    """

    steps: int | None = None
    examples: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = {unit: value for unit, value in vars(self).items() if value is not None}
        if len(given) != 1:
            raise Refusal(f"a budget has exactly one of steps, examples, seconds; not {given}")
        ((unit, value),) = given.items()
        if not 0 < value < math.inf:
            raise Refusal(f"a budget of {unit} must be positive and finite, not {value!r}")


@dataclass(frozen=True)
class Target:
    """A value of a metric at which a member has done its work and stops.

    Attributes:
        metric: a column of the history, such as ``train_loss`` or ``validation_accuracy``.
        value: reached at or below it for a loss, at or above it for an accuracy.
    """

    metric: str
    value: float

    def __post_init__(self) -> None:
        part, _, kind = self.metric.rpartition("_")
        if kind not in ("loss", "accuracy") or not part:
            raise Refusal(
                f"target metric {self.metric!r} is unknown; "
                "use e.g. 'train_loss' or 'validation_accuracy'"
            )

    @property
    def part(self) -> str:
        """Which part of the task's examples the metric is measured on."""
        return self.metric.rpartition("_")[0]

    def reached(self, value: float) -> bool:
        """Say whether ``value`` is as good as the target; NaN never is."""
        return value <= self.value if self.metric.endswith("_loss") else value >= self.value
