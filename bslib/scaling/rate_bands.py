"""How wide the band of good learning rates is at each batch size."""

import numpy as np
import pandas as pd

from bslib import stats, training
from bslib.data import Task
from bslib.scaling import equal_budgets
from bslib.scaling.protocol import Sweep
from bslib.scaling.transfer import train_at
from bslib.stats.estimate import Estimate

OCTAVES, SEEDS, POINTS = range(-2, 2), 5, 1.0


def bands(task: Task, swept: Sweep, *, epochs: int) -> pd.DataFrame:
    """Train each batch size of a sweep at equal epochs at rates an octave apart about its best.

    Returns:
        A row a training: ``batch_size``, ``octaves`` above the best rate, ``learning_rate``,
        ``seed``, ``accuracy`` (test, in points). Few seeds: a picture.
    """
    parts = []
    runs = equal_budgets.fresh(swept)
    for size in runs["batch_size"].unique():
        own = runs[runs["batch_size"] == size]
        best, seeds = own["learning_rate"].iloc[0], own["seed"].iloc[:SEEDS]
        pairs = [(best * 2.0**octave, seed) for octave in OCTAVES for seed in seeds]
        budget = training.Budget(examples=epochs * len(task.train))
        members = train_at(task, int(size), pairs, budget).members
        octaves = np.repeat(list(OCTAVES), len(seeds))
        rows = members[["batch_size", "learning_rate", "seed"]]
        parts.append(rows.assign(octaves=octaves, accuracy=100 * members["test_accuracy"]))
    return pd.concat(parts, ignore_index=True)


def widths(runs: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate how many octaves of rates lie within a point of the best, at each batch size.

    Between the rates of :func:`bands` the mean accuracy is taken as straight; a band that runs
    out of them ends there. The interval is a jackknife over the seeds.
    """
    return {
        f"batch size {size}": stats.jackknife(
            _width, rows.pivot(index="seed", columns="octaves", values="accuracy").to_numpy()
        )
        for size, rows in runs.groupby("batch_size")
    }


def _width(accuracy: np.ndarray) -> float:
    """Return the length over which the mean curve, (seeds, octaves), is within a point."""
    octaves = np.linspace(OCTAVES[0], OCTAVES[-1], 60 * (len(OCTAVES) - 1) + 1)
    curve = np.interp(octaves, list(OCTAVES), accuracy.mean(axis=0))
    return float((curve >= curve.max() - POINTS).mean() * np.ptp(octaves))
