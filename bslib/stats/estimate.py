"""A sampled number with its uncertainty: what every measurement in the book returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial


@dataclass(frozen=True)
class Estimate:
    """A value with the interval that holds it at a confidence level.

    Attributes:
        value: the estimate; None where it was refused (then ``reason`` says why).
        low, high: ends of the interval, in the value's unit; either may be infinite
            ("at least", "at most"), and both are when the estimate was refused.
        level: confidence level of the interval, in (0, 1).
        n: how many independent samples (seeds, unless the producer says otherwise) stand
            behind it; 0 for an exact or refused value.
        reason: why there is no value, or no finite interval; else empty.
        recompute: gives the same estimate at another level; None where the method cannot.
        needed: how many samples would decide what it is asked for, where its producer can tell
            and the interval's width cannot (a choice has no standard error); else None.
    """

    value: float | None
    low: float
    high: float
    level: float = 0.95
    n: int = 0
    reason: str = ""
    recompute: "Callable[[float], Estimate] | None" = field(default=None, repr=False, compare=False)
    needed: int | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {self.level}")
        if self.value is None and not self.reason:
            raise ValueError("an estimate without a value needs a reason")
        if not self.low <= self.high:
            raise ValueError(f"interval ends are out of order: {self.low} > {self.high}")

    def at(self, level: float) -> "Estimate":
        """Return the same estimate at another confidence level.

        An estimate whose method offers no other level comes back refused: unbounded, with
        the reason.
        """
        if level == self.level:
            return self
        if self.recompute is None:
            reason = self.reason or f"its method gives no interval at level {level:.4g}"
            return refused(reason, level=level)
        return self.recompute(level)

    def __str__(self) -> str:
        if self.value is None:
            return f"no estimate ({self.reason})"
        low = "-inf" if self.low == float("-inf") else f"{self.low:.3g}"
        high = "inf" if self.high == float("inf") else f"{self.high:.3g}"
        return f"{self.value:.3g} [{low}, {high}]"


def refused(reason: str, *, level: float = 0.95, n: int = 0) -> Estimate:
    """Return an estimate that declines to give a value, and says why."""
    return Estimate(None, float("-inf"), float("inf"), level, n, reason)


def exact(value: float, level: float = 0.95) -> Estimate:
    """Return a value that was not sampled: the same point at every level, and n = 0."""
    return Estimate(value, value, value, level, 0, recompute=partial(exact, value))
