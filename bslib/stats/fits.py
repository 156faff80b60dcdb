"""Straight lines and power laws through points, with intervals from the residuals."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from bslib.stats.estimate import Estimate, refused
from bslib.stats.samples import Floats, flat, non_finite, t_quantile


@dataclass(frozen=True, eq=False)
class Fit:
    """A straight line through points, in logarithms where it is a power law.

    Attributes:
        slope: y's change for one unit of x; the exponent of a power law.
        intercept: y at x = 0; a power law's ln of y at x = 1.
        residuals: measured less fitted, one a point (of ln y for a power law); empty where
            the fit was refused.
        logarithmic: whether this is a power law.
    """

    slope: Estimate
    intercept: Estimate
    residuals: Floats
    logarithmic: bool = False

    def predict(self, x: ArrayLike) -> Floats:
        """Return the fitted y at ``x``; NaN everywhere where the fit was refused."""
        at = np.asarray(x, dtype=np.float64)
        if self.slope.value is None or self.intercept.value is None:
            return np.full(at.shape, np.nan)
        if self.logarithmic:
            return np.exp(self.intercept.value) * at**self.slope.value
        return self.intercept.value + self.slope.value * at


def straight_line(
    x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, level: float = 0.95
) -> Fit:
    """Least-squares line, with Student's t intervals on n - 2 degrees of freedom.

    The intervals resample the points' residuals: they hold for independent errors, equal
    but for the weights. Where all points of a seed move together, fit one slope a seed and
    take Student's t over the seeds (:func:`bslib.stats.slope_by_seed`).

    Args:
        weights: proportional to one over each point's variance; only their ratios matter.

    Returns:
        A fit refused, with its reason, when an entry is not finite or x takes fewer than two
        values; a slope with an infinite interval, and the reason, at two points.

    Raises:
        ValueError: lengths differ, or a weight is not positive and finite.
    """
    across, up = flat(x, "x"), flat(y, "y")
    weighing = np.ones(len(across)) if weights is None else flat(weights, "weights")
    if not len(across) == len(up) == len(weighing):
        raise ValueError(
            f"x, y and weights differ in length: {len(across)}, {len(up)}, {len(weighing)}"
        )
    if not np.all(np.isfinite(weighing) & (weighing > 0)):
        raise ValueError("weights must be positive and finite")
    reasons = filter(None, [non_finite(across, "x"), non_finite(up, "y"), _too_few(across)])
    if reason := "; ".join(reasons):
        return _refused_fit(reason, level, len(across))
    return _least_squares(across, up, weighing, level)


def slope(
    x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """Slope of :func:`straight_line`."""
    return straight_line(x, y, weights=weights, level=level).slope


def power_law(
    x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, level: float = 0.95
) -> Fit:
    """Fit y = c x^p as a line of ln y on ln x; see :func:`straight_line` for the intervals.

    ``slope`` is p, ``intercept`` is ln c. Errors are taken as relative: weights are one over
    the variance of ln y. An x or y that is not positive refuses the fit.
    """
    across, up = flat(x, "x"), flat(y, "y")
    reasons = filter(None, [_not_positive(across, "x"), _not_positive(up, "y")])
    if reason := "; ".join(reasons):
        return _refused_fit(reason, level, len(across), logarithmic=True)
    fit = straight_line(np.log(across), np.log(up), weights=weights, level=level)
    return Fit(fit.slope, fit.intercept, fit.residuals, logarithmic=True)


def _least_squares(x: Floats, y: Floats, weights: Floats, level: float) -> Fit:
    total = weights.sum()
    middle_x, middle_y = (weights * x).sum() / total, (weights * y).sum() / total
    spread = (weights * (x - middle_x) ** 2).sum()
    steepness = (weights * (x - middle_x) * (y - middle_y)).sum() / spread
    residuals = y - middle_y - steepness * (x - middle_x)
    degrees = len(x) - 2
    variance = (weights * residuals**2).sum() / degrees if degrees else math.inf
    error = math.sqrt(variance / spread)
    error_at_zero = math.sqrt(variance * (1 / total + middle_x**2 / spread))
    interval = partial(_interval, n=len(x))
    return Fit(
        interval(float(steepness), error, level),
        interval(float(middle_y - steepness * middle_x), error_at_zero, level),
        residuals,
    )


def _interval(value: float, error: float, level: float, *, n: int) -> Estimate:
    again: Callable[[float], Estimate] = partial(_interval, value, error, n=n)
    if n == 2:
        reason = "two points leave no residuals to take an interval from"
        return Estimate(value, -math.inf, math.inf, level, n, reason, again)
    half = t_quantile(level, n - 2) * error
    return Estimate(value, value - half, value + half, level, n, recompute=again)


def _refused_fit(reason: str, level: float, n: int, *, logarithmic: bool = False) -> Fit:
    none = refused(reason, level=level, n=n)
    return Fit(none, none, np.empty(0), logarithmic)


def _too_few(x: Floats) -> str:
    distinct = len(np.unique(x))
    return "" if distinct > 1 else f"a line needs two distinct x, and there are {distinct}"


def _not_positive(array: Floats, name: str) -> str:
    # NaN is left to the line's own check, which names it as such.
    bad = int((array <= 0).sum())
    return f"{bad} of {len(array)} {name} not positive: no logarithm" if bad else ""
