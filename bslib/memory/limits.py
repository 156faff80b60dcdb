"""Claim 2.1: the largest batch at several limits of memory, predicted and then found."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bslib import models, stats
from bslib.data import Task
from bslib.memory.allocator import peak_bytes
from bslib.memory.finder import LargestBatch, largest_batch
from bslib.memory.full_batch import MB
from bslib.memory.law import MemoryLaw, memory_law
from bslib.memory.step import TrainingStep, training_step
from bslib.stats.estimate import Estimate, refused

Progress = Callable[[int, int], None]  # (done, total)

ARMS = ("the smallest memory limit", "the middle memory limit", "the largest memory limit")
# Of the size found. No law is exact on a GPU, and each further halving is a child process.
TOLERANCE = {"cpu": 0.0, "cuda": 0.005}
FOUND, LAW, LINE = "found by running", "the law", "a line through two peaks"


def step_of(task: Task, *, model: str, optimizer: str, seed: int) -> TrainingStep:
    """Return the step that is searched: training, and then an evaluation, on a seed's weights."""
    module = models.build(model, task, seed=seed)
    return training_step(task, module, optimizer=optimizer, evaluate=True)


def predictions(
    task: Task, limits_mb: Sequence[float], *, model: str, optimizer: str, seed: int, seeds: int
) -> pd.DataFrame:
    """Predict the largest batch at each limit, by the law and by a line through two peaks.

    Returns:
        A row a seed, limit and method: ``seed``, ``limit_mb``, ``method``, ``predicted``; at
        most the number of examples.
    """
    rows = []
    for each in range(seeds):
        step = step_of(task, model=model, optimizer=optimizer, seed=seed + each)
        law = memory_law(step)
        for limit in limits_mb:
            found = {LAW: law.largest_batch(limit * MB), LINE: straight_line(law, limit * MB)}
            for method, size in found.items():
                row = {"seed": each, "limit_mb": float(limit), "method": method}
                rows.append({**row, "predicted": min(size, len(task.train))})
    return pd.DataFrame(rows)


def straight_line(law: MemoryLaw, limit_bytes: float, sizes: tuple[int, int] = (4, 8)) -> int:
    """Return the largest batch by the line through the peaks at two small sizes.

    What the law is not. Where the update binds at both sizes the line is flat, and allows
    anything: then the largest number there is.
    """
    small, large = (law.peak_bytes(size) for size in sizes)
    slope = (large - small) / (sizes[1] - sizes[0])
    return int(max(0, (limit_bytes - small) // slope + sizes[0])) if slope > 0 else 2**31


def find(
    task: Task,
    limits_mb: Sequence[float],
    *,
    model: str,
    optimizer: str,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> list[LargestBatch]:
    """Find the largest batch that really runs at each limit, on one network.

    Two child processes a limit where the law is right: the size found fits, the next does not.
    The size is found to within ``TOLERANCE``.
    """
    step = step_of(task, model=model, optimizer=optimizer, seed=seed)
    law = memory_law(step)
    found = []
    for limit in limits_mb:
        room = int(limit * MB)
        found.append(
            largest_batch(
                step,
                examples=len(task.train),
                limit_bytes=room,
                law=law,
                tolerance=TOLERANCE[step.device.type],
            )
        )
        progress(len(found), len(limits_mb))
    return found


def table(found: Sequence[LargestBatch], limits_mb: Sequence[float]) -> pd.DataFrame:
    """Return a row a limit: what was found, what was predicted, what stopped the search.

    Columns ``limit_mb``, ``batch_size``, ``predicted``, ``stopped_by``, ``probes`` (how many),
    ``peak_memory_mb`` of the size found.
    """
    rows = [
        {
            "limit_mb": float(limit),
            "batch_size": each.batch_size,
            "predicted": each.predicted,
            "stopped_by": each.stopped_by,
            "probes": len(each.probes),
            "peak_memory_mb": each.probes["peak_bytes"].where(each.probes["fits"], 0).max() / MB,
        }
        for each, limit in zip(found, limits_mb, strict=True)
    ]
    return pd.DataFrame(rows)


def compared(predicted: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the largest batches to draw, a row a limit and method.

    Columns ``limit_mb``, ``method``, ``batch_size``, ``low``, ``high``. Predictions are means over
    seeds; what was found is one number a limit.
    """
    means = stats.summarize(predicted, y="predicted", by=["method", "limit_mb"])
    means = means.rename(columns={"predicted": "batch_size"})
    run = found.assign(method=FOUND, low=found["batch_size"], high=found["batch_size"])
    columns = ["limit_mb", "method", "batch_size", "low", "high"]
    return pd.concat([run[columns], means[columns]], ignore_index=True)


def measured(step: TrainingStep, sizes: Sequence[int]) -> pd.DataFrame:
    """Return the allocator's peak at some sizes: batch_size, peak_memory_mb, low, high, piece."""
    peaks = [peak_bytes(step, size) / MB for size in sizes]
    points = {"batch_size": sizes, "peak_memory_mb": peaks, "low": peaks, "high": peaks}
    return pd.DataFrame(points).assign(piece="measured")


def pieces(law: MemoryLaw, largest: int) -> pd.DataFrame:
    """Return each piece of the law as a line over all sizes: batch_size, peak_memory_mb, piece.

    A piece is named by the phase and the operation at which memory peaks there.
    """
    sizes = np.unique(np.geomspace(1, largest, 60).astype(int))
    lines = []
    for number, row in enumerate(law.pieces(most=largest).to_dict("records"), 1):
        peaks = (row["fixed_bytes"] + row["bytes_per_example"] * sizes) / MB
        operation = str(row["operation"]).removeprefix("aten.").partition(".")[0]
        name = f"{number}. {row['phase']}: {operation}"
        line = pd.DataFrame({"batch_size": sizes, "peak_memory_mb": peaks})
        lines.append(line.assign(piece=name))
    return pd.concat(lines, ignore_index=True)


def arms(predicted: pd.DataFrame, found: pd.DataFrame) -> dict[str, Estimate]:
    """Return what claim 2.1 judges: predicted over true largest batch, a limit an arm.

    Limits are taken by their rank: the smallest, the middle one, the largest. Intervals are
    Student's t over the seeds of the predictions; what is found does not depend on weights.
    A limit at which memory did not stop the search tells nothing.
    """
    rows = found.sort_values("limit_mb").to_dict("records")
    ranks = (0, len(rows) // 2, len(rows) - 1)
    return {name: _ratio(rows[rank], predicted) for name, rank in zip(ARMS, ranks, strict=True)}


def _ratio(row: dict[Hashable, Any], predicted: pd.DataFrame) -> Estimate:
    chosen = (predicted["limit_mb"] == row["limit_mb"]) & (predicted["method"] == LAW)
    values = predicted.loc[chosen, "predicted"].to_numpy(float)
    if row["stopped_by"] != "memory":
        reasons = {"nothing fits": "not one example fits", "data": "all the data fit"}
        reason = reasons.get(row["stopped_by"], "a cap stopped the search, not memory")
        return refused(f"at {row['limit_mb']:g} MB {reason}", n=len(values))
    return stats.mean(values / row["batch_size"])
