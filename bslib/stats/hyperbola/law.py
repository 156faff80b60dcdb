"""A fitted hyperbola, and the intervals that its profile likelihood bears."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HIGHEST_LEVEL = 0.9999


@dataclass(frozen=True)
class Hyperbola:
    """A fitted law with its profile likelihood.

    Attributes:
        a, c: natural logarithms of A and C at the maximum.
        noise: standard deviation of ln y about the law (unbiased: over n - 2), or between
            the values of x where that is larger (see the module).
        degrees: degrees of freedom behind ``noise``.
        rows: how many uncensored rows were used.
        used: per row given, whether it was used (False: set aside).
        grid: values of c, increasing, over all that any interval can hold.
        best_a: per value of c, the best a.
        excess: per value of c, the F statistic of that c against the best.
        information: per value of c, the weight of a deviation in a: (a - best_a)^2 times
            it, over noise^2, is its F statistic.
        open_below, open_above: whether ``grid`` ends at the limit of a pure law.
    """

    a: float
    c: float
    noise: float
    degrees: int
    rows: int
    used: Flags
    grid: Floats
    best_a: Floats
    excess: Floats
    information: Floats
    open_below: bool
    open_above: bool

    def predict(self, x: Floats | float) -> Floats:
        """Return ln y at ``x``, on the fitted law."""
        return self.a + np.log1p(math.exp(self.c) / np.asarray(x, dtype=float))

    def interval_c(self, level: float) -> tuple[float, float]:
        """Return the interval of c; an end is infinite where the data bear that."""
        critical = self._critical(level)
        inside = np.flatnonzero(self.excess <= critical)
        low, high = int(inside[0]), int(inside[-1])
        return self._end(low, -1, critical), self._end(high, 1, critical)

    def interval(
        self, level: float, shift: Callable[[Floats], Floats] = np.zeros_like
    ) -> tuple[float, float]:
        """Return the interval of a + shift(c): of a itself, by default.

        shift = c gives ln(A C); shift = ln(1 + e^c / x), the law's own ln y at x.
        """
        critical = self._critical(level)
        room = critical - self.excess
        inside = np.flatnonzero(room >= 0)
        center = (self.best_a + shift(self.grid))[inside]
        half_width = self.noise * np.sqrt(room[inside] / self.information[inside])
        low, high = float(np.min(center - half_width)), float(np.max(center + half_width))
        drifts = [self._drift(shift, at) for at in self._open_ends(inside)]
        if any(drift < 0 for drift in drifts):
            low = -math.inf
        if any(drift > 0 for drift in drifts):
            high = math.inf
        return low, high

    def _critical(self, level: float) -> float:
        if not 0 < level <= HIGHEST_LEVEL:
            raise ValueError(f"level must lie in (0, {HIGHEST_LEVEL}], not {level}")
        return float(distributions.f.ppf(level, 1, self.degrees))

    def _end(self, inside: int, outward: int, critical: float) -> float:
        outside = inside + outward
        if not 0 <= outside < len(self.grid):
            return outward * math.inf
        # The square root is near-linear in c, the F statistic near-quadratic.
        roots = np.sqrt(np.maximum(self.excess[[inside, outside]], 0))
        share = (math.sqrt(critical) - roots[0]) / (roots[1] - roots[0])
        return float(self.grid[inside] + share * (self.grid[outside] - self.grid[inside]))

    def _open_ends(self, inside: NDArray[np.intp]) -> list[int]:
        low = [0] if self.open_below and inside[0] == 0 else []
        high = [-1] if self.open_above and inside[-1] == len(self.grid) - 1 else []
        return low + high

    def _drift(self, shift: Callable[[Floats], Floats], end: int) -> float:
        """Say where a + shift(c) still goes at an open end: its change per unit of |c|, or 0."""
        inner = 1 if end == 0 else -2
        values = (self.best_a + shift(self.grid))[[end, inner]]
        drift = (values[0] - values[1]) / abs(self.grid[end] - self.grid[inner])
        return float(drift) if abs(drift) > 0.5 else 0.0
