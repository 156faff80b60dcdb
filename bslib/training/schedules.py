"""The learning rate's course over a training, as a factor on each member's own rate."""

import math
from dataclasses import dataclass

from bslib.refusal import Refusal

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Schedule:
    """A factor between 0 and 1 as a function of progress, the fraction of the budget used.

    Over the first ``warmup`` of the run the factor rises linearly from 0 to 1. Then it is 1
    (``constant``) or (1 + cos(pi q)) / 2 with q the fraction of the rest (``cosine``; Loshchilov
    and Hutter 2017, equation 5 without restarts).

    Progress is in the budget's own unit and read at the middle of a step, (t + 1/2) / T for
    step t of T: neither the first step of a warm-up nor the last of a cosine is one of rate 0.
    """

    name: str = "constant"
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise Refusal(f"schedule {self.name!r} is unknown; use one of {', '.join(SCHEDULES)}")
        if not 0 <= self.warmup < 1:
            raise Refusal(f"warmup is a fraction of the run, 0 <= warmup < 1, not {self.warmup!r}")

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress``, 0 to 1; past the end, that at the end."""
        progress = min(progress, 1.0)
        if progress < self.warmup:
            return progress / self.warmup
        if self.name == "constant":
            return 1.0
        done = (progress - self.warmup) / (1 - self.warmup)
        return (1 + math.cos(math.pi * done)) / 2
