"""Ratios of throughputs, each taken within a round of timings: how much a larger batch gains."""

import numpy as np
import pandas as pd

from bslib.stats.estimate import Estimate, refused
from bslib.throughput import timing

# Batch sizes "beyond saturation" are at least this many times B_half.
SATURATED = 10.0
# The gain is read over at most this factor of the batch size: two doublings.
SPAN = 4.0


def rates(times: pd.DataFrame) -> pd.DataFrame:
    """Return ``batch_size``, ``examples_per_s``, ``low``, ``high``, and ``way``: "measured".

    Medians over rounds, with the sign test's interval, as :func:`bslib.throughput.summary`.
    """
    table = timing.summary(times)
    ends = {"examples_per_low_s": "low", "examples_per_high_s": "high"}
    kept = ["batch_size", "examples_per_s", "low", "high"]
    return table.rename(columns=ends)[kept].assign(way="measured")


def speedup(times: pd.DataFrame, small: int, large: int, level: float = 0.95) -> Estimate:
    """Return r(large) / r(small), examples a second over examples a second.

    The median over rounds of the ratio within a round, with the sign test's interval.
    """
    table = _by_round(times)
    absent = [size for size in (small, large) if size not in table]
    if absent:
        return refused(f"no step was timed at a batch of {absent[0]:,}", level=level)
    ratio = large / small * table[small] / table[large]
    return timing.median(ratio.to_numpy(float), level)


def gain_beyond_saturation(
    times: pd.DataFrame, half_batch_size: Estimate, level: float = 0.95
) -> Estimate:
    """Return r(2B) / r(B) from ``SATURATED`` times B_half on.

    Each round's gain for a doubling, from the first such size to the last within ``SPAN``
    times it; the median over rounds, with the sign test's interval. There the law makes the
    gain 1 + 1 / (1 + 2 SATURATED) at most, and less for larger sizes.
    """
    if half_batch_size.value is None:
        return refused(f"saturation is not located: {half_batch_size.reason}", level=level)
    start = SATURATED * half_batch_size.value
    table = _by_round(times)
    first = min((size for size in table if size >= start), default=0)
    last = max((size for size in table if size <= SPAN * first), default=0)
    if last < 2 * first or not first:
        reason = f"no batch size is twice another beyond {start:,.0f}, ten times B_half"
        return refused(reason, level=level)
    ratio = last / first * table[first] / table[last]
    return timing.median(ratio.to_numpy(float) ** (1 / np.log2(last / first)), level)


def _by_round(times: pd.DataFrame) -> dict[int, "pd.Series[float]"]:
    table = times.pivot(index="round", columns="batch_size", values="step_time_s")
    return {int(size): table[size] for size in table.columns.to_numpy(int)}
