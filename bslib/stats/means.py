"""Student's t over seeds: means, and differences between runs that share a seed."""

import math
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from bslib.stats.estimate import Estimate, refused
from bslib.stats.samples import Floats, flat, non_finite, t_quantile


def mean(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of independent values, with Student's t interval on n - 1 degrees of freedom.

    A value that is not finite (a run that diverged) refuses the whole estimate: a mean over
    the rest would answer another question. One value has a mean and no interval.

    Undercovers on skewed values. Measured coverage in % of the nominal 95 % interval, 20,000
    simulated samples each:

    | values      | n = 3 | n = 8 | n = 16 |
    |-------------|-------|-------|--------|
    | normal      | 95.1  | 95.1  | 95.0   |
    | exponential | 88.1  | 89.2  | 91.1   |
    | lognormal   | 84.0  | 83.0  | 85.8   |

    Take the logarithm first of what is closer to normal there (times, ratios, variances), as
    :func:`bslib.stats.summarize` does on request.
    """
    return _student(flat(values), level)


def geometric_mean(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Geometric mean of independent positive values: e to :func:`mean` of their logarithms."""
    array = flat(values)
    if bad := int((array <= 0).sum()):
        reason = f"{bad} of {len(array)} values not positive: no logarithm"
        return refused(reason, level=level, n=len(array))
    return exponential(mean(np.log(array), level))


def exponential(logs: Estimate) -> Estimate:
    """Return e to the power of an estimate, at any level."""
    if logs.value is None:
        return logs
    with np.errstate(over="ignore"):
        low, value, high = np.exp([logs.low, logs.value, logs.high]).tolist()
    again = partial(_exponential_at, logs)
    return Estimate(value, low, high, logs.level, logs.n, logs.reason, again)


def _exponential_at(logs: Estimate, level: float) -> Estimate:
    return exponential(logs.at(level))


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of a - b over pairs that share a seed, with Student's t interval.

    Coverage is that of :func:`mean` on the differences, which are symmetric where a and b
    have the same distribution.

    Raises:
        ValueError: the two are of different lengths, and so no pairs.
    """
    first, second = flat(a, "a"), flat(b, "b")
    if len(first) != len(second):
        raise ValueError(f"pairs need equal lengths, not {len(first)} and {len(second)}")
    reasons = filter(None, [non_finite(first, "a"), non_finite(second, "b")])
    if reason := "; ".join(reasons):
        return refused(reason, level=level, n=len(first))
    return _student(first - second, level)


def _student(values: Floats, level: float) -> Estimate:
    count = len(values)
    if count == 0:
        return refused("there are no values", level=level)
    if reason := non_finite(values):
        return refused(reason, level=level, n=count)
    value, again = float(values.mean()), partial(_student, values)
    if count == 1:
        reason = "one value gives no interval"
        return Estimate(value, -math.inf, math.inf, level, 1, reason, again)
    half = t_quantile(level, count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Estimate(value, value - half, value + half, level, count, recompute=again)
