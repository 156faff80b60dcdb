"""Exponents in the batch size of steps, examples and seconds to a target, over some sizes.

Which sizes is decided by other trainings than those the exponent is fitted to: where the bend
or the fastest size lies is read from the trainings that tuned the learning rate (and from every
other round of timing), the exponent from the reruns (and the rounds between).
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats as distributions

from bslib import stats
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size
from bslib.scaling.clocked import products
from bslib.stats.estimate import Estimate, refused
from bslib.stats.samples import Floats

QUANTILE = 0.25  # of step times


def at_tuned_rates(grid: pd.DataFrame, winners: pd.DataFrame) -> pd.DataFrame:
    """Return the trainings of the grid at each batch size's best rate, where it is tuned."""
    best = winners.loc[winners["outcome"] == "tuned", ["batch_size", "learning_rate"]]
    return grid.merge(best, on=["batch_size", "learning_rate"])


def bend(grid: pd.DataFrame, winners: pd.DataFrame) -> Estimate:
    """Return the critical batch size of the trainings that tuned the rate."""
    try:
        return critical_batch_size.fit(at_tuned_rates(grid, winners)).critical_batch_size
    except Refusal as refusal:  # too few tuned sizes: a finding about the sweep
        return refused(str(refusal))


def fastest(grid: pd.DataFrame, winners: pd.DataFrame, times: pd.DataFrame) -> int | None:
    """Return the batch size of the fewest seconds: the grid's steps times half of the rounds.

    None where no tuned size was timed.
    """
    chosen, _ = _halves(times)
    runs = products(at_tuned_rates(grid, winners), undisturbed(chosen))
    medians = runs.groupby("batch_size")["seconds"].median().dropna()
    return None if medians.empty else int(medians.index.to_numpy(int)[medians.argmin()])


def undisturbed(times: pd.DataFrame) -> pd.DataFrame:
    """Return the lower quartile over rounds of each size's ``step_time_s``.

    What else runs on a machine only ever adds time, and may do so to more than half of the
    rounds: the median would then be of the disturbance.
    """
    return times.groupby("batch_size")["step_time_s"].quantile(QUANTILE).reset_index()


def _halves(times: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return every other round, from the first on, and the rounds between."""
    first = times["round"].rank(method="dense") % 2 == 1
    return times[first], times[~first]


def of_steps(
    runs: pd.DataFrame, winners: pd.DataFrame, sizes: Sequence[int], y: str = "steps_to_target"
) -> Estimate:
    """Return the exponent of ``y`` at ``sizes``: one slope a seed, Student's t over seeds.

    Refused where a size was not tuned, or fewer than two sizes are left.
    """
    outcomes = winners.set_index("batch_size")["outcome"]
    for size in sizes:
        if outcomes[size] != "tuned":
            why = "its best learning rate is at the edge of the grid"
            if outcomes[size] == "unreached":
                why = "no training reached the target"
            return refused(f"{outcomes[size]}: batch size {size:,}: {why}")
    if len(sizes) < 2:
        listed = f", {sizes[0]:,}" if len(sizes) else ""
        return refused(f"an exponent needs two batch sizes there, not {len(sizes)}{listed}")
    return stats.exponent(runs[runs["batch_size"].isin(sizes)], x="batch_size", y=y)


def of_step_time(times: pd.DataFrame, sizes: Sequence[int], level: float = 0.95) -> Estimate:
    """Return the exponent of the undisturbed step time at ``sizes``, from the other half.

    It is a weighted sum of the sizes' ln t. Each has the quartile's interval from order
    statistics, which holds for any distribution; distances are added as their squares
    (:func:`bslib.stats.independent_sum`). With fewer than 13 rounds in the half, the lower
    quartile has no lower bound at 95 %. The n counts rounds.
    """
    _, half = _halves(times[times["batch_size"].isin(sizes)])
    groups = {float(str(size)): group for size, group in half.groupby("batch_size")["step_time_s"]}
    if len(groups) < 2:
        return refused("fewer than two of the batch sizes were timed", level=level)
    x = np.log(list(groups))
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    with np.errstate(divide="ignore"):  # a quartile without a lower bound
        ends = np.log([_quartile(group.to_numpy(float), level) for group in groups.values()])
    value, to_low, to_high = ends[:, 0], ends[:, 0] - ends[:, 1], ends[:, 2] - ends[:, 0]
    down = np.where(weights > 0, to_low, to_high)
    up = np.where(weights > 0, to_high, to_low)
    total, used = float(weights @ value), weights != 0
    low, high = (float(np.linalg.norm(weights[used] * side[used])) for side in (down, up))
    reason = "" if math.isfinite(low + high) else "too few rounds bound no lower quartile"
    return Estimate(
        total, total - low, total + high, level, half["round"].nunique(), reason,
        recompute=lambda other: of_step_time(times, sizes, other),
    )  # fmt: skip


def _quartile(values: Floats, level: float) -> tuple[float, float, float]:
    """Return the lower quartile, and the order statistics that hold it at ``level``."""
    ordered, n, tail = np.sort(values), len(values), (1 - level) / 2
    below = distributions.binom.cdf(np.arange(n + 1), n, QUANTILE)
    first = int(np.sum(below <= tail))  # the largest k with P(fewer than k below it) <= tail
    last = int(np.sum(below < 1 - tail)) + 1  # the least k with P(k or more below it) <= tail
    low = ordered[first - 1] if first else 0.0
    high = ordered[last - 1] if last <= n else math.inf
    return float(np.quantile(ordered, QUANTILE)), float(low), float(high)


def of_seconds(
    runs: pd.DataFrame, winners: pd.DataFrame, times: pd.DataFrame, sizes: Sequence[int]
) -> Estimate:
    """Return the exponent of steps times step time at ``sizes``: the sum of both exponents.

    The interval contains the seeds' part and the step times'.
    """
    steps = of_steps(runs, winners, sizes)
    return (
        steps if steps.value is None else stats.independent_sum(steps, of_step_time(times, sizes))
    )
