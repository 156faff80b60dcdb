"""Goodput: examples a second, times what each of them is worth (Qiao et al. 2021).

A batch of B takes E(B) examples to the target, at B / t(B) a second. Of these, E_min at the
smallest batch would have been enough. So goodput is (B / t(B)) (E_min / E(B)), in examples of
the smallest batch's worth a second: E_min over the seconds to the target.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bslib import stats
from bslib.parallel import cost_model, shared_work
from bslib.parallel.cost_model import CostModel, Network
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size
from bslib.scaling.protocol import Sweep
from bslib.stats.estimate import Estimate, refused
from bslib.throughput import timing

ALL, USEFUL = "all examples", "what they are worth"


def arms(
    steps: pd.DataFrame, grid: pd.DataFrame, reruns: pd.DataFrame, times: pd.DataFrame
) -> dict[str, Estimate]:
    """Estimate the arms of claim 3.5.

    Args:
        steps: of :func:`bslib.parallel.timing.measure`.
        grid: of :func:`at_tuned_rates`.
        reruns: of the sweep.
        times: ``batch_size``, ``round``, ``step_time_s`` of one worker.

    The exponent of parallel efficiency is fitted in each round, with Student's t over rounds.
    """
    return {
        "throughput": stats.exponent(
            efficiencies(steps), x="batch_size", y="efficiency", seed="round"
        ),
        "goodput": largest_over_best(grid, reruns, times),
    }


def efficiencies(steps: pd.DataFrame) -> pd.DataFrame:
    """Return ``batch_size`` (over all workers), ``round``, ``efficiency``."""
    found = cost_model.efficiencies(steps)
    found["batch_size"] = int(steps["world_size"].max()) * found["local_batch_size"]
    return found[["batch_size", "round", "efficiency"]]


def at_tuned_rates(swept: Sweep) -> pd.DataFrame:
    """Return the grid's trainings at the rates that won: other seeds than the reruns'."""
    tuned = swept.winners[swept.winners["outcome"] == "tuned"]
    return swept.grid.merge(tuned[["batch_size", "learning_rate"]])


def largest_over_best(
    grid: pd.DataFrame, reruns: pd.DataFrame, times: pd.DataFrame, level: float = 0.95
) -> Estimate:
    """Return ln goodput(largest B) - ln goodput(best smaller B), of one worker.

    Which smaller size is the best is read from the grid's seeds and every other round of
    timing; the two are compared on the reruns and the other rounds, else the best would look
    better by the luck that it was chosen for. E_min cancels, and no law is involved.

    The steps' log ratio is a mean over seeds, paired (Student's t); the step times' is a
    median over rounds, each a pair (sign test). They are measured apart, and add up as in
    :func:`bslib.stats.independent_sum`.
    """
    largest = int(times["batch_size"].max())
    choosing = times["round"].rank(method="dense") % 2 == 0
    steps = reruns.pivot(index="seed", columns="batch_size", values="steps_to_target")
    if largest not in steps:
        return refused(f"the largest batch size, {largest:,}, is not tuned", level=level)
    expected = _typical_seconds(grid, times[choosing])
    expected = expected[(expected.index < largest) & expected.index.isin(steps.columns)]
    if expected.empty:
        return refused("no smaller batch size reached the target", level=level)
    best = expected.index.to_numpy(int)[int(expected.argmin())]
    taken = times[~choosing].pivot(index="round", columns="batch_size", values="step_time_s")
    ratio = timing.median((taken[best] / taken[largest]).to_numpy(float), level)
    logs = np.log(steps)
    fewer = stats.paired_difference(logs[best], logs[largest], level)
    return stats.independent_sum(fewer, _log(ratio))


def _typical_seconds(runs: pd.DataFrame, times: pd.DataFrame) -> "pd.Series[float]":
    """Return median seconds to the target a batch size; sizes that missed it are left out."""
    steps = runs.groupby("batch_size")["steps_to_target"].median()
    return (steps * times.groupby("batch_size")["step_time_s"].median()).dropna()


def _log(ratio: Estimate) -> Estimate:
    """Return the logarithm of a positive estimate."""
    with np.errstate(divide="ignore"):
        value, low, high = np.log([ratio.value or math.nan, ratio.low, ratio.high]).tolist()
    return Estimate(
        value, low, high, ratio.level, ratio.n, ratio.reason,
        recompute=lambda other: _log(ratio.at(other)),
    )  # fmt: skip


def efficiency_table(steps: pd.DataFrame) -> pd.DataFrame:
    """Return ``batch_size``, ``efficiency``, ``low``, ``high``, ``way``: medians over rounds."""
    found = timing.medians(efficiencies(steps), "efficiency", by=["batch_size"])
    return found.assign(way="measured")


def efficiency_curve(steps: pd.DataFrame, messages: pd.DataFrame) -> pd.DataFrame:
    """Return the fitted cost model's efficiencies: ``batch_size``, ``efficiency``, ``way``."""
    curve = shared_work.curve(shared_work.fitted(steps, messages), steps)
    size = int(steps["world_size"].max()) * curve["local_batch_size"]
    return pd.DataFrame(
        {"batch_size": size, "efficiency": curve["efficiency"], "way": "the cost model"}
    )


def measured(reruns: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return one worker's throughput and goodput at the batch sizes of the sweep.

    Columns ``batch_size``, ``examples_per_s``, ``low``, ``high`` and ``method``: throughput
    over rounds of timing, goodput over seeds, at the median step time. E_min is the geometric
    mean over seeds of the examples to the target at the smallest batch size.
    """
    rates = timing.summary(times).rename(
        columns={"examples_per_low_s": "low", "examples_per_high_s": "high"}
    )
    step_time_s = times.groupby("batch_size")["step_time_s"].median()
    runs = reruns.dropna(subset="steps_to_target")
    examples = runs["batch_size"] * runs["steps_to_target"]
    fewest = np.exp(np.log(examples[runs["batch_size"] == runs["batch_size"].min()]).mean())
    seconds = runs["steps_to_target"] * runs["batch_size"].map(step_time_s)
    useful = stats.summarize(
        runs[["batch_size"]].assign(examples_per_s=fewest / seconds),
        y="examples_per_s", by=["batch_size"], log=True,
    )  # fmt: skip
    kept = ["batch_size", "examples_per_s", "low", "high", "method"]
    return pd.concat([rates.assign(method=ALL)[kept], useful.assign(method=USEFUL)[kept]])


def drawn(
    model: CostModel,
    reruns: pd.DataFrame,
    network: Network,
    *,
    workers: Sequence[int] = (1, 4, 16, 64),
) -> pd.DataFrame:
    """Draw throughput and goodput of more workers from the laws; nothing of it is measured.

    Args:
        model: the compute of this machine's worker.
        reruns: of the sweep: the law of examples to target is fitted to them.
        network: between the workers.
        workers: a curve each, from one example a worker to the sweep's largest batch.

    Returns:
        ``batch_size``, ``workers`` (in words), ``examples_per_s``, ``goodput``; without rows
        where there is no law.
    """
    columns = ["batch_size", "workers", "examples_per_s", "goodput"]
    try:
        law = critical_batch_size.fit(reruns).law
    except Refusal:
        return pd.DataFrame(columns=columns)
    parts = []
    for count in workers:
        size = np.geomspace(count, max(count, reruns["batch_size"].max()), 80)
        rate = size / model.on(network).step_time_s(size / count, count)
        worth = 1 / (1 + size / math.exp(law.c))
        parts.append((size, f"{count:,}", rate, rate * worth))
    return pd.concat(
        [pd.DataFrame(dict(zip(columns, part, strict=True))) for part in parts], ignore_index=True
    )
