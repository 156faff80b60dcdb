"""Claim 2.3: what a wider network leaves of the batch that fits, and of the batch that helps.

Memory comes from the law of a step (:mod:`bslib.memory.law`), with the batch alone varied:
the largest size that fits may exceed the data. The critical batch size comes from sweeps to one
training loss, the same for every width, with a learning rate of its own at each width and size.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bslib import data, memory, models, stats, sweeps
from bslib.memory.full_batch import MB
from bslib.scaling import critical_exponents, tuned
from bslib.scaling.protocol import Progress
from bslib.stats.estimate import Estimate, refused

FITS, USE = "what fits in memory", "what training can use"
BY = "width"
# Examples that a training may see, over those in the training set: never fewer than LEAST.
MOST_EPOCHS, LEAST = 100, 200_000
# The rates that are tried first, at any width: FIRST_RATE / (1 + NOISE_SCALE / B).
FIRST_RATE, NOISE_SCALE = 1.0, 60.0
GRID_SEEDS = 3


def arms(
    runs: pd.DataFrame, winners: pd.DataFrame, fits: pd.DataFrame, level: float = 0.95
) -> dict[str, Estimate]:
    """Estimate the exponents in the width of the largest batch that fits, and of B_crit.

    Args:
        runs, winners: of :func:`sweep`.
        fits: of :func:`largest_batches`. Bytes depend on shapes, not on weights: where all
            seeds agree, the interval has no width.
        level: confidence level.
    """
    none = fits.loc[fits["largest_batch"] < 1, "width"]
    if none.empty:
        fitting = stats.exponent(fits, x="width", y="largest_batch", level=level)
    else:
        fitting = refused(f"not one example fits at width {none.iloc[0]}", level=level)
    using = critical_exponents.exponent(runs, winners, by=BY, level=level)
    return {FITS: fitting, USE: using}


def largest_batches(
    problem: data.Task,
    widths: Sequence[int],
    limit_mb: float,
    *,
    optimizer: str = "sgd",
    seed: int = 0,
    seeds: int = 1,
) -> pd.DataFrame:
    """Return the largest batch that fits in ``limit_mb``, from the memory law of each network.

    Returns:
        A row a seed (of the initial weights) and width: ``seed``, ``width``, ``parameters``,
        ``bytes_per_example`` where the law binds at that batch, ``largest_batch``.
    """
    rows = []
    for width in sorted(widths):
        for each in range(seed, seed + seeds):
            module = models.build("mlp", problem, seed=each, width=width)
            law = memory.memory_law(memory.training_step(problem, module, optimizer=optimizer))
            largest = law.largest_batch(limit_mb * MB)
            count = sum(parameter.numel() for parameter in module.parameters())
            slope = law.binding(max(1, largest)).bytes_per_example
            rows.append((each, width, count, slope, largest))
    names = ["seed", "width", "parameters", "bytes_per_example", "largest_batch"]
    return pd.DataFrame(rows, columns=names)


def sweep(
    widths: Sequence[int],
    *,
    examples: int,
    seeds: int,
    progress: Progress = lambda done, total: None,
    **settings: Any,
) -> dict[str, pd.DataFrame]:
    """Sweep every width to one target, tuned at every batch size: shared with other notebooks.

    The first grid of a batch size lies around 1 / (1 + 60 / B) at every width: three rates a
    factor of two apart.

    Args:
        widths: of the task's multilayer perceptron.
        examples, seeds, settings: of :func:`bslib.scaling.tuned.to_target`; the grids have up to
            ``GRID_SEEDS`` seeds.
        progress: told after every width.

    Returns:
        ``runs`` and ``winners`` of :class:`bslib.scaling.protocol.Sweep`, with a ``width``.
    """
    found: dict[str, list[pd.DataFrame]] = {"runs": [], "winners": []}
    for done, width in enumerate(sorted(widths)):
        progress(done, len(widths))
        swept = sweeps.shared(
            tuned.to_target,
            examples=examples,
            most_examples=max(LEAST, MOST_EPOCHS * examples),
            learning_rate=FIRST_RATE,
            noise_scale=NOISE_SCALE,
            seeds=seeds,
            grid_seeds=min(seeds, GRID_SEEDS),
            points=3,
            model="mlp",
            options={"width": width},
            **settings,
        )
        for name, tables in found.items():
            tables.append(swept[name].assign(width=width))
    progress(len(widths), len(widths))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def best_rates(winners: pd.DataFrame) -> pd.DataFrame:
    """Return the tuned learning rates: a row a batch size, a column a width."""
    wide = winners.pivot(index="batch_size", columns="width", values="learning_rate")
    return wide.rename(columns="width {:,}".format).rename_axis(columns=None).reset_index()


def on_one_page(fits: pd.DataFrame, runs: pd.DataFrame, winners: pd.DataFrame) -> pd.DataFrame:
    """Return both batch sizes of every width, for drawing.

    Columns ``width``, ``limit`` (which), ``batch_size``, ``low``, ``high``; a size that is
    counted has no interval.
    """
    counted = fits.groupby("width")["largest_batch"].min().rename("batch_size").reset_index()
    counted = counted.assign(limit="the largest that fits", low=math.nan, high=math.nan)
    critical = critical_exponents.critical_batch_sizes(runs, winners, by=BY)
    sampled = critical.rename(columns={"critical_batch_size": "batch_size"})
    sampled = sampled.assign(limit="the critical batch size").drop(columns="minimal_steps")
    return pd.concat([each for each in (counted, sampled) if len(each)], ignore_index=True)
