"""The best learning rate of a tuned grid, and how it moves with the batch size.

At one batch size: a parabola in ln(learning rate) through the winner and its neighbours.
Its vertex is where the mean over seeds of the parabola's slope is zero, so that Fieller's
interval holds exactly for normal slopes: all ln(rate) at which a t test over seeds does not
tell the slope from zero. A flat optimum thus gets a wide or infinite interval, never a
narrow one by chance. Over batch sizes: the slope of ln eta* on ln B, its variance made from
those of the optima.

Measured on drawn grids: Fieller's interval covers in 94-95 % with three and with eight seeds;
the exponent's, from three to five optima, in 94-96 %, and in 89-90 % where one of three sizes is
several times as noisy as the others. An error that all seeds of a size share (a common misfit of
the parabola) is seen only where it exceeds the seeds' scatter: at 0.02 in ln eta* the exponent
from three sizes covers in 86-93 %, at 0.05 in 77-83 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as distributions

from bslib.stats.estimate import Estimate

Floats = NDArray[np.float64]

LACK_OF_FIT = 0.05


@dataclass(frozen=True)
class Optimum:
    """The best learning rate at one batch size.

    Attributes:
        learning_rate: eta*; without a value, and with reason "edge: ...", where the winner
            is at an end of the grid.
        variance: of ln eta*, over seeds (delta method), or of a uniform error within the
            grid's gap where a neighbour of the winner failed (then ``bracketed``).
        degrees: degrees of freedom of ``variance``.
        bracketed: whether the winner itself is the value, and its neighbours the interval,
            because a neighbour has no finite score for every seed.
    """

    learning_rate: Estimate
    variance: float
    degrees: float
    bracketed: bool = False


def scores(runs: pd.DataFrame, metric: str, *, maximise: bool = False) -> pd.DataFrame:
    """Rank a grid's learning rates: a row a rate, in increasing order.

    Columns ``learning_rate``, ``failed`` (seeds without a finite metric), ``score`` (the
    mean over the other seeds; the metric's negative where it is to be as high as possible,
    its logarithm where it counts steps) and ``rank`` (0 is best: fewest failures first,
    then the lowest score).
    """
    values = _score(runs[metric].to_numpy(float), metric, maximise)
    finite = np.isfinite(values)
    frame = pd.DataFrame(
        {
            "learning_rate": runs["learning_rate"].to_numpy(float),
            "failed": ~finite,
            "score": np.where(finite, values, np.nan),
        }
    )
    table = frame.groupby("learning_rate", sort=True).agg(
        failed=("failed", "sum"), score=("score", "mean")
    )
    table = table.reset_index()
    order = np.lexsort((table["score"].fillna(np.inf), table["failed"]))
    table["rank"] = np.argsort(order)
    return table


def winner(runs: pd.DataFrame, metric: str, *, maximise: bool = False) -> tuple[float, int]:
    """Return the best learning rate, and which edge it is at: -1, 1, or 0 for none."""
    table = scores(runs, metric, maximise=maximise)
    at = int(np.flatnonzero(table["rank"] == 0)[0])
    edge = -1 if at == 0 else (1 if at == len(table) - 1 else 0)
    return float(table["learning_rate"].iloc[at]), edge


def best_learning_rate(
    runs: pd.DataFrame, metric: str, *, maximise: bool = False, level: float = 0.95
) -> Optimum:
    """Estimate the best learning rate of one batch size's grid.

    Args:
        runs: columns ``learning_rate``, ``seed`` and ``metric``, every seed at every rate;
            a training that failed has a missing or infinite metric.
        metric: the column to be made small.
        maximise: whether it is to be made large instead.
        level: confidence level.
    """
    best, edge = winner(runs, metric, maximise=maximise)
    seeds = runs["seed"].nunique()
    if edge:
        side = "lowest" if edge < 0 else "highest"
        reason = f"edge: the best learning rate, {best:g}, is the {side} of the grid"
        low, high = (0.0, best) if edge < 0 else (best, math.inf)
        return Optimum(_fixed(None, low, high, level, seeds, reason), math.inf, 0.0)
    rates, values = _around(runs, metric, best, maximise)
    if seeds < 2 or not np.isfinite(values).all():
        gap = math.log(rates[2] / rates[0]) / 2
        estimate = _fixed(best, rates[0], rates[2], level, seeds, "")
        return Optimum(estimate, gap**2 / 12, math.inf, bracketed=True)
    return _vertex(np.log(rates), values, level)


def _fixed(
    value: float | None, low: float, high: float, level: float, n: int, reason: str
) -> Estimate:
    return Estimate(
        value, low, high, level, n, reason,
        recompute=lambda other: _fixed(value, low, high, other, n, reason),
    )  # fmt: skip


def _score(values: Floats, metric: str, maximise: bool) -> Floats:
    if metric == "steps_to_target":
        return np.log(values)
    return -values if maximise else values


def _around(runs: pd.DataFrame, metric: str, best: float, maximise: bool) -> tuple[Floats, Floats]:
    """Return the winner and its neighbours, and their scores (seeds, 3)."""
    grid = np.sort(runs["learning_rate"].unique())
    at = int(np.flatnonzero(grid == best)[0])
    rates = grid[at - 1 : at + 2]
    table = runs.pivot_table(
        index="seed", columns="learning_rate", values=metric, aggfunc="mean", dropna=False
    )
    return rates, _score(table.reindex(columns=rates).to_numpy(float), metric, maximise)


def _vertex(x: Floats, values: Floats, level: float) -> Optimum:
    """Fieller's interval of the zero of the mean slope b + 2 a (x - x_middle)."""
    a, b = _parabola(x, values)
    n = len(a)
    covariance = np.cov(b, 2 * a)
    slope, bend = float(b.mean()), float(2 * a.mean())
    at = float(np.clip(-slope / bend, x[0] - x[1], x[2] - x[1])) if bend > 0 else 0.0
    variance = (covariance[0, 0] + 2 * at * covariance[0, 1] + at**2 * covariance[1, 1]) / n
    t = float(distributions.t.isf((1 - level) / 2, n - 1))
    low, high = _fieller(slope, bend, covariance / n, t)
    middle = float(x[1])
    estimate = Estimate(
        math.exp(middle + at),
        math.exp(middle + min(low, at)),
        math.exp(middle + max(high, at)) if high < 700 else math.inf,
        level, n,
        recompute=lambda other: _vertex(x, values, other).learning_rate,
    )  # fmt: skip
    return Optimum(estimate, float(variance / bend**2) if bend > 0 else math.inf, n - 1.0)


def _parabola(x: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return per seed (a, b) of a (x - x_1)^2 + b (x - x_1) + const through three points."""
    left, right = x[0] - x[1], x[2] - x[1]
    rise_left, rise_right = values[:, 0] - values[:, 1], values[:, 2] - values[:, 1]
    a = (rise_right / right - rise_left / left) / (right - left)
    return a, rise_right / right - a * right


def _fieller(slope: float, bend: float, covariance: Floats, t: float) -> tuple[float, float]:
    """Return the x at which |slope + bend x| <= t standard errors; infinite if unbounded."""
    square = bend**2 - t**2 * covariance[1, 1]
    cross = slope * bend - t**2 * covariance[0, 1]
    constant = slope**2 - t**2 * covariance[0, 0]
    if square <= 0 or bend <= 0:
        return -math.inf, math.inf
    root = math.sqrt(max(cross**2 - square * constant, 0.0))
    return (-cross - root) / square, (-cross + root) / square


def exponent(
    batch_sizes: Sequence[float], optima: Sequence[Optimum], level: float = 0.95
) -> Estimate:
    """Estimate d ln eta* / d ln B by least squares over optima at several batch sizes.

    The variance is that of a line through repeated points: all seeds at all sizes about the
    line, their noise taken as equal, with two degrees of freedom less than there are. Where
    the optima scatter about the line by significantly more than their seeds do (F test for
    lack of fit at 5 %), it is that of the optima. Without seeds to go by (an optimum that is
    bracketed), it is the larger of the scatter's and that of the optima's own variances.
    Refused with fewer than three batch sizes, or where one has no optimum.
    """
    reasons = [
        f"batch size {size:g}: {optimum.learning_rate.reason or 'its optimum is flat'}"
        for size, optimum in zip(batch_sizes, optima, strict=True)
        if optimum.learning_rate.value is None or not math.isfinite(optimum.variance)
    ]
    if len(set(batch_sizes)) < 3:
        reasons = [f"an exponent needs three batch sizes, not {len(set(batch_sizes))}"]
    if reasons:
        return _fixed(None, -math.inf, math.inf, level, len(optima), "; ".join(reasons))
    x = np.log(np.asarray(batch_sizes, float))
    y = np.log([optimum.learning_rate.value or math.nan for optimum in optima])
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    value = float(weights @ y)
    variance, degrees = _slope_variance(x, y, weights, value, optima)
    half_width = math.sqrt(variance) * float(distributions.t.isf((1 - level) / 2, degrees))
    return Estimate(
        value, value - half_width, value + half_width, level, len(optima),
        recompute=lambda other: exponent(batch_sizes, optima, other),
    )  # fmt: skip


def _slope_variance(
    x: Floats, y: Floats, weights: Floats, slope: float, optima: Sequence[Optimum]
) -> tuple[float, float]:
    """Return the slope's variance and its degrees of freedom, by the test for lack of fit."""
    residuals = y - y.mean() - slope * (x - x.mean())
    scatter = float(residuals @ residuals) / (len(x) - 2) * float(weights @ weights)
    variances = np.array([optimum.variance for optimum in optima])
    degrees = np.array([optimum.degrees for optimum in optima])
    if not np.isfinite(degrees).all():
        own = _satterthwaite(weights**2 * variances, degrees)
        return max(own, (scatter, len(x) - 2.0))
    seeds = degrees + 1
    within, between = float(np.sum(variances * seeds * degrees)), float(seeds @ residuals**2)
    if _lacks_fit(within, between, float(degrees.sum()), len(x) - 2):
        return scatter, len(x) - 2.0
    total = float(seeds.sum()) - 2
    return (within + between) / total * float(np.sum(weights**2 / seeds)), total


def _lacks_fit(within: float, between: float, within_degrees: float, degrees: float) -> bool:
    """Whether points scatter about a line by more than their repeats do, by an F test."""
    if within == 0:
        return between > 0
    ratio = between / degrees / (within / within_degrees)
    return bool(distributions.f.sf(ratio, degrees, within_degrees) < LACK_OF_FIT)


def _satterthwaite(parts: Floats, degrees: Floats) -> tuple[float, float]:
    variance, freedom = float(parts.sum()), float(np.sum(parts**2 / degrees))
    return variance, variance**2 / freedom if freedom > 0 else math.inf


@dataclass(frozen=True)
class Exponents:
    """d ln eta* / d ln B on either side of the critical batch size."""

    below: Estimate
    above: Estimate


def exponents(
    batch_sizes: Sequence[float],
    optima: Sequence[Optimum],
    critical_batch_size: float,
    *,
    apart: float = 4.0,
    level: float = 0.95,
) -> Exponents:
    """Fit the exponent apart from the bend: up to B_crit / apart, and from apart * B_crit.

    Between the two the exponent falls from one value to the other; the saturating rule's
    at the limits is 0.8 and 0.2 for ``apart`` = 4.
    """
    pairs = list(zip(batch_sizes, optima, strict=True))
    below = [pair for pair in pairs if pair[0] <= critical_batch_size / apart]
    above = [pair for pair in pairs if pair[0] >= critical_batch_size * apart]
    return Exponents(
        exponent([size for size, _ in below], [optimum for _, optimum in below], level),
        exponent([size for size, _ in above], [optimum for _, optimum in above], level),
    )
