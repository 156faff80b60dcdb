"""What an epoch of loading costs: t = N c_item + (N / B) c_batch, a cost an item and a batch.

Divided by the number of batches it is the law of step times, c_batch + B c_item, and is fitted
as such (:func:`bslib.throughput.fit_law`). The gain of a larger batch ends at a few times
c_batch / c_item, the batch size at which both cost the same.
"""

import math

import numpy as np
import pandas as pd

from bslib.loading.ways import IN_PROCESS, RESIDENT, WORKERS
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate, refused
from bslib.throughput import timing
from bslib.throughput.law import StepTimeLaw, fit_law

SMALL, LARGE = 64, 1024


def arms(
    runs: pd.DataFrame, *, small: int = SMALL, large: int = LARGE, level: float = 0.95
) -> dict[str, Estimate]:
    """Estimate the claim's arms: ratios of an epoch at ``small`` over one at ``large``.

    The ratio within a round of timing; the median over rounds, with the sign test's interval.
    Bytes are those of all loaders together, worker processes included.

    Args:
        runs: of :func:`bslib.loading.epochs`.
        small, large: the two batch sizes.
        level: of the intervals.
    """
    found = {
        way: _ratio(runs[runs["way"] == way], "seconds", small, large, level)
        for way in (IN_PROCESS, WORKERS, RESIDENT)
    }
    loaders = runs[runs["way"].isin([IN_PROCESS, WORKERS])]
    total = pd.DataFrame(loaders.groupby(["batch_size", "round"])["bytes_read"].sum()).reset_index()
    return {**found, "bytes read": _ratio(total, "bytes_read", small, large, level)}


def _ratio(frame: pd.DataFrame, column: str, small: int, large: int, level: float) -> Estimate:
    table = frame.pivot(index="round", columns="batch_size", values=column)
    absent = [size for size in (small, large) if size not in table]
    if absent:
        return refused(f"no epoch was loaded in batches of {absent[0]:,}", level=level)
    return timing.median((table[small] / table[large]).to_numpy(float), level)


def law(runs: pd.DataFrame, way: str, examples: int) -> StepTimeLaw:
    """Fit the law of one way to the median times of its batch sizes.

    Raises:
        Refusal: fewer than four batch sizes.
    """
    kept = runs[runs["way"] == way]
    batches = np.ceil(examples / kept["batch_size"])
    return fit_law(kept.assign(step_time_s=kept["seconds"] / batches))


def costs(runs: pd.DataFrame, examples: int) -> pd.DataFrame:
    """Return a row a way and cost, with intervals: of an item, of a batch, and their quotient.

    Columns ``way``, ``cost``, ``value``, ``low``, ``high``, ``reason``. Costs in microseconds,
    the quotient in examples. Without four batch sizes all are refused, with the reason.
    """
    rows = []
    for way in dict.fromkeys(runs["way"]):
        for name, estimate in _costs(runs, way, examples).items():
            value = math.nan if estimate.value is None else estimate.value
            rows.append((way, name, value, estimate.low, estimate.high, estimate.reason))
    columns = ["way", "cost", "value", "low", "high", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _costs(runs: pd.DataFrame, way: str, examples: int) -> dict[str, Estimate]:
    names = ("an item (us)", "a batch (us)", "batch size where both are equal")
    try:
        fitted = law(runs, way, examples)
    except Refusal as refusal:
        return dict.fromkeys(names, refused(str(refusal)))
    item = _scaled(fitted.maximal_throughput, inverse=True)
    return dict(
        zip(names, (item, _scaled(fitted.fixed_time_s), fitted.half_batch_size), strict=True)
    )


def _scaled(estimate: Estimate, *, inverse: bool = False) -> Estimate:
    """Return seconds, or examples a second, as microseconds."""
    ends = [estimate.low, estimate.high]
    if inverse:
        ends = [1 / end if end > 0 else math.inf for end in reversed(ends)]
    value = estimate.value
    if value is not None:
        value = 1e6 / value if inverse else 1e6 * value
    low, high = (1e6 * end for end in ends)
    return Estimate(value, low, high, estimate.level, estimate.n, estimate.reason)


def seconds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the median time of an epoch with its interval, ready to draw.

    Columns ``way``, ``batch_size``, ``epoch_s``, ``low``, ``high``.
    """
    return timing.medians(runs, "seconds", by=["way", "batch_size"]).rename(
        columns={"seconds": "epoch_s"}
    )


def curves(runs: pd.DataFrame, examples: int) -> pd.DataFrame:
    """Return the fitted laws over the batch sizes' range, in the order of the ways.

    Columns ``way``, ``batch_size``, ``epoch_s``: NaN where no law could be fitted.
    """
    sizes = np.geomspace(runs["batch_size"].min(), runs["batch_size"].max(), 40)
    frames = []
    for way in dict.fromkeys(runs["way"]):
        try:
            epoch_s = law(runs, way, examples).step_time_s(sizes) * examples / sizes
        except Refusal:
            epoch_s = np.full(len(sizes), math.nan)
        frames.append(pd.DataFrame({"way": way, "batch_size": sizes, "epoch_s": epoch_s}))
    return pd.concat(frames, ignore_index=True)


def bytes_read(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the bytes of the loaders' epochs with their intervals, ready to draw.

    Columns ``counted by``, ``batch_size``, ``bytes_read``, ``low``, ``high``. The system's
    count is that of the loader in this process only, and left out where there is none.
    """
    own = runs[runs["way"].isin([IN_PROCESS, WORKERS])]
    told = own[own["way"] == IN_PROCESS].dropna(subset="kernel_bytes")
    told = told.assign(way="the operating system", bytes_read=told["kernel_bytes"])
    found = timing.medians(pd.concat([own, told]), "bytes_read", by=["way", "batch_size"])
    return found.rename(columns={"way": "counted by"})
