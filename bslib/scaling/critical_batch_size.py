"""Steps to target against batch size, and the critical batch size behind it.

The law is S(B) = S_min (1 + B_crit / B) for optimiser steps and, times B, E(B) =
E_min (1 + B / B_crit) with E_min = S_min B_crit for examples (McCandlish, Kaplan, Amodei
et al. 2018, equation 2.11; perfect scaling, diminishing returns and maximal parallelism of
Shallue et al. 2018). At B_crit a training takes twice the fewest steps and twice the fewest
examples. The learning rate must have been tuned at every batch size.

How it is fitted is said in :mod:`bslib.stats.hyperbola`. Measured on data drawn from the law with
log-normal noise of 5 % at seven sizes from 1/8 to 8 of B_crit (2,000 draws each): the
interval of B_crit covers it in 95 % with one seed and in 95-96 % with three or eight seeds;
the value is within 20 % in 99.6 % of draws.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib.refusal import Refusal
from bslib.stats import hyperbola
from bslib.stats.estimate import Estimate
from bslib.stats.hyperbola import Floats, Hyperbola

# The sweep must reach this far beyond B_crit on either side.
SPAN = 2.0
# The widest interval, high over low, beside which a value is still given.
WIDEST = 10.0
# A fall of E between neighbouring sizes: at least this factor, and this many standard errors.
FALL_FACTOR = 1.25
FALL_ERRORS = 4.0
# With one seed a size, a misfit looks like noise; more than this is not taken for noise.
NOISE_OF_ONE = 0.1


@dataclass(frozen=True)
class CriticalBatchSize:
    """The fitted law of a sweep to target.

    Attributes:
        critical_batch_size: B_crit, in examples. Without a value where the sweep does not
            span the bend, or examples to target do not grow with B; ``reason`` says which.
            Where only the span is lacking, the interval still says "at least" or "at most".
        minimal_steps: S_min, the steps that no batch size can save.
        minimal_examples: E_min = S_min B_crit, the examples that the smallest batch needs.
        residuals: a row a training: batch_size, seed, steps (to target, or taken), censored,
            predicted, relative_error (measured over predicted, less 1), set_aside.
        max_relative_error: the largest |geometric mean over seeds / law - 1| of a batch
            size, over the rows that are neither censored nor set aside.
        noise: relative noise about the law that the intervals rest on.
        law: the fit itself.
    """

    critical_batch_size: Estimate
    minimal_steps: Estimate
    minimal_examples: Estimate
    residuals: pd.DataFrame
    max_relative_error: float
    noise: float
    law: Hyperbola

    def steps(self, batch_size: float, level: float = 0.95) -> Estimate:
        """Return S(batch_size) on the law; the interval is of the law, not of one training."""
        return _estimate(self.law, level, lambda c: np.log1p(np.exp(c) / batch_size))

    def examples(self, batch_size: float, level: float = 0.95) -> Estimate:
        """Return E(batch_size) = batch_size S(batch_size) on the law."""
        return _estimate(self.law, level, lambda c: np.log(batch_size + np.exp(c)))


def fit(runs: pd.DataFrame, level: float = 0.95) -> CriticalBatchSize:
    """Fit the law to a table of trainings, one row each.

    Args:
        runs: columns ``batch_size``, ``steps_to_target`` (missing where the target was not
            reached) and ``seed``; where one is missing also ``steps``, the steps taken, which
            the steps to target exceed (a right-censored row).
        level: confidence level of the intervals.

    Raises:
        Refusal: a column is absent, a row has neither number of steps, or fewer than three
            batch sizes reached the target.
    """
    rows = _rows(runs)
    batch_size, steps = rows["batch_size"].to_numpy(float), rows["steps"].to_numpy(float)
    law = hyperbola.fit(batch_size, steps, rows["censored"].to_numpy(bool))
    residuals = rows.assign(predicted=np.exp(law.predict(batch_size)), set_aside=~law.used)
    residuals["relative_error"] = residuals["steps"] / residuals["predicted"] - 1
    kept = residuals[~residuals["censored"] & ~residuals["set_aside"]]
    shape = _shape_reason(kept, law)
    return CriticalBatchSize(
        _critical(law, kept, level, shape),
        _bounded(law, level, np.zeros_like, shape or _span_reason(law, kept, above=True)),
        _bounded(law, level, lambda c: c, shape or _span_reason(law, kept, below=True)),
        residuals,
        _largest_error(kept),
        law.noise,
        law,
    )


def _rows(runs: pd.DataFrame) -> pd.DataFrame:
    absent = {"batch_size", "steps_to_target", "seed"} - set(runs.columns)
    if absent:
        raise Refusal(f"a sweep to target needs the column(s) {', '.join(sorted(absent))}")
    rows = runs[["batch_size", "seed"]].reset_index(drop=True)
    reached = runs["steps_to_target"].to_numpy(float)
    taken = runs["steps"].to_numpy(float) if "steps" in runs else np.full(len(runs), np.nan)
    rows["censored"] = np.isnan(reached)
    rows["steps"] = np.where(np.isnan(reached), taken, reached)
    if not (rows["steps"] > 0).all():
        first = rows[~(rows["steps"] > 0)].iloc[0]
        raise Refusal(
            f"batch size {first['batch_size']:g}, seed {first['seed']:g} has neither "
            "steps_to_target nor steps above 0; give the steps that were taken"
        )
    sizes = rows.loc[~rows["censored"], "batch_size"].nunique()
    if sizes < 3:
        raise Refusal(
            f"the target was reached at {sizes} batch size(s), and the law needs three: "
            "raise the budget, ease the target or add batch sizes"
        )
    return rows


def _critical(law: Hyperbola, kept: pd.DataFrame, level: float, shape: str) -> Estimate:
    if shape:
        return _refused(shape, level, law.rows)
    low, high = (_exp(end) for end in law.interval_c(level))
    reason = _span_reason(law, kept, below=True, above=True) or _width_reason(low, high)
    return Estimate(
        None if reason else math.exp(law.c), low, high, level, law.rows, reason,
        recompute=lambda other: _critical(law, kept, other, shape),
    )  # fmt: skip


def _bounded(
    law: Hyperbola, level: float, shift: Callable[[Floats], Floats], reason: str
) -> Estimate:
    estimate = _estimate(law, level, shift)
    lacking = reason or _width_reason(estimate.low, estimate.high)
    return Estimate(
        None if lacking else estimate.value, estimate.low, estimate.high, level, law.rows, lacking,
        recompute=lambda other: _bounded(law, other, shift, reason),
    )  # fmt: skip


def _estimate(law: Hyperbola, level: float, shift: Callable[[Floats], Floats]) -> Estimate:
    value = law.a + float(shift(np.array([law.c]))[0])
    low, high = law.interval(level, shift)
    return Estimate(
        math.exp(value), _exp(low), _exp(high), level, law.rows,
        recompute=lambda other: _estimate(law, other, shift),
    )  # fmt: skip


def _refused(reason: str, level: float, n: int) -> Estimate:
    return Estimate(
        None, 0.0, math.inf, level, n, reason, recompute=lambda other: _refused(reason, other, n)
    )


def _exp(logarithm: float) -> float:
    return math.exp(logarithm) if logarithm < 700 else math.inf


def _shape_reason(kept: pd.DataFrame, law: Hyperbola) -> str:
    """Say why the data contradict the law's shape, or nothing: E must grow with B."""
    examples = kept["steps"] * kept["batch_size"]
    log_examples = pd.Series(np.log(examples.to_numpy(float)), index=kept.index)
    by_size = log_examples.groupby(kept["batch_size"])
    means, counts = by_size.mean(), by_size.count()
    if kept["batch_size"].duplicated().any():
        within = float((log_examples - by_size.transform("mean")).pow(2).sum())
        noise = math.sqrt(within / (len(kept) - len(means)))
    else:
        noise = min(law.noise, NOISE_OF_ONE)
    error = noise * np.sqrt(1 / counts + 1 / counts.shift())
    limit = np.maximum(FALL_ERRORS * error, math.log(FALL_FACTOR))
    falls = means.diff() < -limit
    if falls.any():
        at = int(np.argmax(falls))
        sizes = means.index[at - 1], means.index[at]
        share = 1 - math.exp(float(means.diff().iloc[at]))
        return (
            "examples to target do not grow with the batch size: they fall by "
            f"{share:.0%} from {sizes[0]:g} to {sizes[1]:g}"
        )
    slope = np.polyfit(np.log(kept["batch_size"]), log_examples, 1)[0]
    if slope <= 0:
        return (
            "examples to target do not grow with the batch size: nothing is lost up to "
            f"{kept['batch_size'].max():g}, so the critical batch size lies beyond"
        )
    return ""


def _span_reason(
    law: Hyperbola, kept: pd.DataFrame, *, below: bool = False, above: bool = False
) -> str:
    """Say which side of the bend the sweep lacks, of those asked for."""
    value = math.exp(law.c)
    smallest, largest = kept["batch_size"].min(), kept["batch_size"].max()
    if above and largest < SPAN * value:
        return (
            f"the sweep does not span the bend: its largest batch size, {largest:g}, is less "
            f"than {SPAN:g} times the fitted {value:.3g}; add larger ones"
        )
    if below and smallest > value / SPAN:
        return (
            f"the sweep does not span the bend: its smallest batch size, {smallest:g}, is more "
            f"than 1/{SPAN:g} of the fitted {value:.3g}; add smaller ones"
        )
    return ""


def _width_reason(low: float, high: float) -> str:
    if high == math.inf:
        return "the data put no upper limit on it: add larger batch sizes or seeds"
    if high > WIDEST * low:
        return f"its interval, {low:.3g} to {high:.3g}, is wider than a factor of {WIDEST:g}"
    return ""


def _largest_error(kept: pd.DataFrame) -> float:
    ratio = (kept["steps"] / kept["predicted"]).to_numpy(float)
    means = pd.Series(np.log(ratio), index=kept.index).groupby(kept["batch_size"]).mean()
    return float(np.abs(np.expm1(means.to_numpy(float))).max())
