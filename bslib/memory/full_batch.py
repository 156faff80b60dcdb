"""Claim 1.1: all the examples in one step, in one piece and accumulated from micro-batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bslib import models, stats
from bslib.data import Task
from bslib.memory.allocator import peak_bytes
from bslib.memory.law import MemoryLaw, memory_law
from bslib.memory.step import TrainingStep, training_step
from bslib.stats.estimate import Estimate

Progress = Callable[[int, int], None]  # (done, total)

ONE_PIECE, ACCUMULATED = "in one piece", "accumulated"
MB = 1e6


def networks(
    task: Task, model: str, micro_batch_size: int, *, seed: int, seeds: int
) -> Iterator[dict[str, TrainingStep]]:
    """Iterate over seeds: the steps of plain SGD by way, on a network of the seed's weights."""
    for each in range(seed, seed + seeds):
        step = training_step(task, models.build(model, task, seed=each))
        yield {ONE_PIECE: step, ACCUMULATED: replace(step, micro_batch_size=micro_batch_size)}


def measure(
    task: Task,
    *,
    model: str,
    batch_sizes: Sequence[int],
    micro_batch_size: int,
    seed: int,
    seeds: int,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Measure and predict peaks: in one piece at each size, and of all examples in micro-batches.

    In one piece at ``micro_batch_size`` too, which the accumulated step is held against.

    Returns:
        A row a seed, way and size: ``seed``, ``way``, ``batch_size``, ``peak_memory_mb`` from
        the allocator, second step; ``predicted_mb`` by the law from two small fake steps.
    """
    everything = len(task.train)
    sizes = sorted({*batch_sizes, min(micro_batch_size, everything)})
    rows = []
    laws: dict[str, MemoryLaw] = {}  # the first seed's: fake tensors do not see the weights
    for done, steps in enumerate(networks(task, model, micro_batch_size, seed=seed, seeds=seeds)):
        laws = laws or {way: memory_law(step) for way, step in steps.items()}
        for way, size in [*((ONE_PIECE, size) for size in sizes), (ACCUMULATED, everything)]:
            held = size if way == ONE_PIECE else min(micro_batch_size, everything)
            rows.append(
                {
                    "seed": done,
                    "way": way,
                    "batch_size": size,
                    "peak_memory_mb": peak_bytes(steps[way], size) / MB,
                    "predicted_mb": laws[way].peak_bytes(held) / MB,
                }
            )
            progress(len(rows), seeds * (len(sizes) + 1))
    return pd.DataFrame(rows)


def arms(
    runs: pd.DataFrame, *, batch_sizes: Sequence[int], micro_batch_size: int
) -> dict[str, Estimate]:
    """Return what claim 1.1 judges. Intervals are Student's t over seeds.

    For the law: the ratio of measured to predicted peak that is farthest from 1 among the
    larger half of ``batch_sizes``, one a seed. For accumulation: the peak of a step over all
    examples in micro-batches, over that of one micro-batch in one piece.
    """
    pieces = runs[runs["way"] == ONE_PIECE]
    ratios = pieces.assign(ratio=pieces["peak_memory_mb"] / pieces["predicted_mb"])
    larger = ratios[ratios["batch_size"].isin(larger_half(batch_sizes))]
    worst = larger.groupby("seed")["ratio"].agg(_farthest_from_one)
    accumulated = runs[runs["way"] == ACCUMULATED].set_index("seed")
    micro = min(micro_batch_size, int(accumulated["batch_size"].iloc[0]))
    one = pieces[pieces["batch_size"] == micro].set_index("seed")["peak_memory_mb"]
    over = accumulated["peak_memory_mb"] / one
    return {
        "all examples in one piece": stats.mean(worst.to_numpy()),
        "all examples, accumulated from micro-batches": stats.mean(over.to_numpy()),
    }


def larger_half(batch_sizes: Sequence[int]) -> list[int]:
    """Return the larger half of the sizes; of an odd number, the middle one too."""
    return sorted(batch_sizes)[len(batch_sizes) // 2 :]


def curve(law: MemoryLaw, largest: int, way: str = "the law", smallest: int = 1) -> pd.DataFrame:
    """Return the law at 100 sizes, evenly in their logarithm: batch_size, peak_memory_mb, way."""
    sizes = np.unique(np.geomspace(smallest, max(largest, 2), 100).astype(int))
    peaks = [law.peak_bytes(int(size)) / MB for size in sizes]
    return pd.DataFrame({"batch_size": sizes, "peak_memory_mb": peaks, "way": way})


def shown(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the measured peaks to draw: their mean over seeds, by way and size."""
    return stats.summarize(runs, y="peak_memory_mb", by=["way", "batch_size"])


def _farthest_from_one(ratios: "pd.Series[float]") -> float:
    return float(ratios.iloc[int(np.abs(np.log(ratios.to_numpy())).argmax())])
