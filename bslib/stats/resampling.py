"""Intervals for statistics that have no formula of their own.

Rows are the independent units (seeds, unless the caller says otherwise): what a row holds,
and so what the interval resamples, is the caller's to say.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bslib.stats.estimate import Estimate, refused
from bslib.stats.samples import Floats, non_finite, t_quantile

# Resamples whose leave-one-out copies are held in memory at once: bounds it near 100 MB.
_ENTRIES_AT_ONCE = 4_000_000


def jackknife(
    statistic: Callable[[NDArray], float], rows: ArrayLike, level: float = 0.95
) -> Estimate:
    """Delete-one jackknife of ``statistic``, with Student's t on n - 1 degrees of freedom.

    The value is the statistic of all rows, not corrected for bias. Its standard error is
    sqrt((n - 1)/n sum (s_i - mean s)^2) over the n values s_i that leave row i out (Tukey
    1958). For the mean it is Student's t exactly. The statistic has to be smooth in the
    rows: for a median or a maximum the standard error is wrong at any n.

    Undercovers on skewed data. Measured coverage in % of the nominal 95 % interval for the
    ratio of two means, the upper over n values of the kind named, the lower over n normal ones
    of mean 1 and deviation 0.1; 20,000 simulated samples each:

    | values      | n = 3 | n = 8 | n = 16 |
    |-------------|-------|-------|--------|
    | normal      | 95.2  | 95.0  | 95.1   |
    | exponential | 88.3  | 89.5  | 90.9   |
    | lognormal   | 84.5  | 82.8  | 85.6   |

    Args:
        statistic: of an array (m, ...) with m = n or n - 1, to a number.
        rows: (n, ...). Where leaving one out means more than a row (a Gram matrix), pass
            ``range(n)`` and let the statistic index with it.

    Cost: n + 1 evaluations.
    """
    array = np.array(rows)
    count = len(array)
    if reason := "there are no rows" if count == 0 else non_finite(array, "entries"):
        return refused(reason, level=level, n=count)
    value = float(statistic(array))
    if not math.isfinite(value):
        return refused(f"the statistic of all rows is {value}", level=level, n=count)
    left_out = [
        float(statistic(np.delete(array, row, axis=0))) for row in range(count * (count > 1))
    ]
    return jackknife_of(value, np.array(left_out), level)


def jackknife_of(value: float, left_out: Floats, level: float = 0.95) -> Estimate:
    """:func:`jackknife` from the values (n,) that leave one row out each, where they are known.

    Serves statistics that all n of them can be had of at once. None at all stands for one row.
    """
    count, again = max(1, len(left_out)), partial(jackknife_of, value, left_out)
    bad = np.flatnonzero(~np.isfinite(left_out))
    if count == 1 or len(bad):
        reason = "one row gives no interval"
        if len(bad):
            reason = f"without row {bad[0]} the statistic is {left_out[bad[0]]}"
        return Estimate(value, -math.inf, math.inf, level, count, reason, again)
    error = math.sqrt((count - 1) * float(np.var(left_out)))
    half = t_quantile(level, count - 1) * error
    return Estimate(value, value - half, value + half, level, count, recompute=again)


def bootstrap_t(
    statistic: Callable[[Floats], Floats],
    rows: ArrayLike,
    *,
    seed: int,
    draws: int = 3_999,
    level: float = 0.95,
) -> Estimate:
    """Studentised bootstrap of ``statistic`` over rows, for fits.

    Rows are drawn with replacement ``draws`` times; each resample's deviation from the value
    is divided by its own jackknife standard error; the quantiles of these ratios take the
    place of Student's t (Efron and Tibshirani 1993, section 12.5). Unlike Student's
    interval it follows the skewness of the data.

    A resample in which the statistic or its error is undefined, or the error is zero, counts
    as infinitely far off on both sides. At n = 3 these are one in nine, more than both tails
    of a 95 % interval: it is infinite at both ends, and the reason says so. At n = 4 they are
    one in 64.

    Undercovers on strongly skewed data, less than :func:`jackknife`. Measured coverage in %
    of the nominal 95 % interval, same cases as there, 2,000 simulated samples each:

    | values      | n = 8 | n = 16 |
    |-------------|-------|--------|
    | normal      | 95.2  | 93.8   |
    | exponential | 94.1  | 94.0   |
    | lognormal   | 91.0  | 90.5   |

    Args:
        statistic: of a stack of samples (s, m, ...) to (s,); m is n or n - 1. Undefined
            values are NaN.
        rows: (n, ...).
        draws: 3,999 reach the level 1 - 0.05/78, all arms' of the book; 399 suffice at 95 %.

    Cost: draws (n + 1) evaluations, vectorised.
    """
    array = np.array(rows, dtype=np.float64)
    count = len(array)
    if reason := "there are no rows" if count == 0 else non_finite(array, "entries"):
        return refused(reason, level=level, n=count)
    value = float(statistic(array[None])[0])
    if not math.isfinite(value):
        return refused(f"the statistic of all rows is {value}", level=level, n=count)
    if count < 3:
        reason = f"{count} rows give no studentised interval"
        return Estimate(value, -math.inf, math.inf, level, count, reason)
    error = float(_jackknife_errors(statistic, array[None])[0])
    if not math.isfinite(error):
        reason = "the statistic is undefined when one row is left out"
        return Estimate(value, -math.inf, math.inf, level, count, reason)
    ratios = _ratios(statistic, array, value, draws, np.random.default_rng(seed))
    return _studentised(value, error, count, ratios, level)


def _studentised(value: float, error: float, count: int, ratios: Floats, level: float) -> Estimate:
    undefined = ~np.isfinite(ratios)
    low_ratios = np.sort(np.where(undefined, -np.inf, ratios))
    high_ratios = np.sort(np.where(undefined, np.inf, ratios))
    rank = math.floor((len(ratios) + 1) * (1 - level) / 2 + 1e-9)  # 25, not 24.999...
    again = partial(_studentised, value, error, count, ratios)
    if error == 0:
        return Estimate(value, value, value, level, count, recompute=again)
    low = value - error * high_ratios[-rank] if rank else -math.inf
    high = value - error * low_ratios[rank - 1] if rank else math.inf
    reason = "" if math.isfinite(low) and math.isfinite(high) else _why_infinite(rank, undefined)
    return Estimate(value, float(low), float(high), level, count, reason, again)


def _why_infinite(rank: int, undefined: NDArray[np.bool_]) -> str:
    if rank == 0:
        return f"{len(undefined)} resamples are too few for this level"
    return f"{undefined.mean():.0%} of the resamples are degenerate: too few rows for this level"


def _ratios(
    statistic: Callable[[Floats], Floats],
    rows: Floats,
    value: float,
    draws: int,
    generator: np.random.Generator,
) -> Floats:
    picks = generator.integers(len(rows), size=(draws, len(rows)))
    chunk = max(1, _ENTRIES_AT_ONCE // (rows.size * len(rows)))
    parts = []
    for start in range(0, draws, chunk):
        samples = rows[picks[start : start + chunk]]
        with np.errstate(divide="ignore", invalid="ignore"):
            values, errors = statistic(samples), _jackknife_errors(statistic, samples)
            # Rounding must not make a resample of one repeated row look informative.
            errors = np.where(errors <= 1e-12 * np.abs(values), 0.0, errors)
            parts.append((values - value) / errors)
    return np.concatenate(parts)


def _jackknife_errors(statistic: Callable[[Floats], Floats], samples: Floats) -> Floats:
    """Standard errors (s,) of the statistic of samples (s, n, ...)."""
    stack, count = samples.shape[:2]
    kept = np.array([np.delete(np.arange(count), row) for row in range(count)])
    left_out = samples.take(kept, axis=1).reshape(stack * count, count - 1, *samples.shape[2:])
    values = np.asarray(statistic(left_out)).reshape(stack, count)
    return np.sqrt((count - 1) * np.var(values, axis=1))
