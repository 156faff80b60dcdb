"""Step time against batch size: t(B) = t0 + B / r, a fixed cost and a cost an example.

Throughput is then r(B) = r_max B / (B + B_half), with B_half = t0 r_max the batch size of
half the maximal throughput (the form of Amdahl's law; AdaptDL fits the same, Qiao et al.
2021). Fitted in relative error, so that small batches count as much as large ones, to the
medians of each size: their scatter about the law includes what the law leaves out (caches,
kernels that switch with the size), which repeats do not make smaller.

How it is fitted is said in :mod:`bslib.stats.hyperbola`; a size that the others contradict (by
more than a quarter, and significantly) is set aside and reported. Measured on data drawn
from the law with 5 % noise at nine sizes over 1/16 to 16 of B_half: coverage 0.95.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bslib.refusal import Refusal
from bslib.stats import hyperbola
from bslib.stats.estimate import Estimate
from bslib.stats.hyperbola import Floats, Hyperbola

WIDEST = 10.0


@dataclass(frozen=True)
class StepTimeLaw:
    """The fitted law.

    Attributes:
        fixed_time_s: t0, what a step costs before its first example.
        maximal_throughput: r_max, in examples a second.
        half_batch_size: B_half. A parameter is without a value, with a reason, where its
            interval is infinite or wider than tenfold: the sizes then do not reach far
            enough on one side of B_half.
        residuals: a row a batch size: batch_size, step_time_s (median), predicted,
            relative_error, set_aside.
        max_relative_error: the largest |relative_error| of the sizes not set aside.
        fit: the fit itself, of step time against 1 / B.
    """

    fixed_time_s: Estimate
    maximal_throughput: Estimate
    half_batch_size: Estimate
    residuals: pd.DataFrame
    max_relative_error: float
    fit: Hyperbola

    def step_time_s(self, batch_size: ArrayLike) -> Floats:
        """Return t(B) on the law."""
        return np.exp(self.fit.predict(1 / np.asarray(batch_size, float)))

    def examples_per_s(self, batch_size: ArrayLike) -> Floats:
        """Return r(B) on the law."""
        return np.asarray(batch_size, float) / self.step_time_s(batch_size)

    def batch_size_at(self, share: float) -> float:
        """Return the batch size whose throughput is ``share`` of the maximal one.

        B_half share / (1 - share): the knee at nine tenths of it is 9 B_half.
        """
        if not 0 < share < 1:
            raise ValueError(f"share must lie between 0 and 1, not {share}")
        return math.exp(-self.fit.c) * share / (1 - share)


def fit_law(times: pd.DataFrame, level: float = 0.95) -> StepTimeLaw:
    """Fit the law to a table with columns ``batch_size`` and ``step_time_s``.

    Raises:
        Refusal: fewer than four batch sizes, or a time that is not positive.
    """
    medians = times.groupby("batch_size", as_index=False)["step_time_s"].median()
    if len(medians) < 4:
        raise Refusal(f"the law of step times needs four batch sizes, not {len(medians)}")
    if not (medians["step_time_s"] > 0).all():
        raise Refusal("a median step time is not positive: time more steps at once")
    inverse = 1 / medians["batch_size"].to_numpy(float)
    fitted = hyperbola.fit(inverse, medians["step_time_s"].to_numpy(float))
    residuals = medians.assign(predicted=np.exp(fitted.predict(inverse)), set_aside=~fitted.used)
    residuals["relative_error"] = residuals["step_time_s"] / residuals["predicted"] - 1
    kept = residuals.loc[~residuals["set_aside"], "relative_error"]
    return StepTimeLaw(
        _parameter(fitted, level, fitted.a, lambda law, at: law.interval(at)),
        _parameter(fitted, level, -fitted.a - fitted.c, _throughput_interval),
        _parameter(fitted, level, -fitted.c, _half_interval),
        residuals,
        float(kept.abs().max()),
        fitted,
    )


def _throughput_interval(law: Hyperbola, level: float) -> tuple[float, float]:
    low, high = law.interval(level, lambda c: c)
    return -high, -low


def _half_interval(law: Hyperbola, level: float) -> tuple[float, float]:
    low, high = law.interval_c(level)
    return -high, -low


def _parameter(
    law: Hyperbola,
    level: float,
    logarithm: float,
    interval: Callable[[Hyperbola, float], tuple[float, float]],
) -> Estimate:
    low, high = (math.exp(end) if end < 700 else math.inf for end in interval(law, level))
    reason = ""
    if high > WIDEST * low:
        reason = (
            f"its interval, {low:.3g} to {high:.3g}, is wider than a factor of {WIDEST:g}: "
            "time batch sizes further apart"
        )
    return Estimate(
        None if reason else math.exp(logarithm), low, high, level, law.rows, reason,
        recompute=lambda other: _parameter(law, other, logarithm, interval),
    )  # fmt: skip
