"""The generalisation gap: test accuracy at a small batch less that at a large one.

Three comparisons of the same batch sizes. In each, what could confound it is tuned at every
batch size (:mod:`bslib.scaling.protocol`): by validation accuracy, on seeds of its own. The
test examples are only ever looked at for the report.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bslib import stats
from bslib.refusal import Refusal
from bslib.scaling import tuned
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused

EPOCHS = "equal epochs, without weight decay"
PLAIN = "without weight decay"
DECAYED = "with weight decay tuned at each batch size"
COMPARISONS = (EPOCHS, PLAIN, DECAYED)

_COLUMNS = ["batch_size", "seed", "learning_rate", "weight_decay", "train_loss", "accuracy"]


def compare(
    *,
    batch_sizes: Sequence[int],
    steps: int,
    weight_decays: Sequence[float],
    grid_seeds: int = 3,
    points: int = 3,
    progress: Progress = lambda done, total: None,
    **settings: Any,
) -> dict[str, pd.DataFrame]:
    """Train each batch size to be compared three ways.

    :data:`PLAIN`: equal steps, learning rate tuned. :data:`DECAYED`: equal steps, rate and
    weight decay tuned as a pair. :data:`EPOCHS`: no size sees more examples than the smallest
    does in ``steps`` steps; learning rate tuned anew.

    Args:
        batch_sizes: two or more; the gap is that between the smallest and the largest.
        steps: optimiser steps of the comparisons at equal steps.
        weight_decays, grid_seeds, points, settings: of :func:`bslib.scaling.tuned.fixed_budget`.
        progress: told after every sweep.

    Returns:
        ``runs``: a row a rerun of a tuned winner: ``comparison``, ``batch_size``, ``seed``,
        ``learning_rate``, ``weight_decay``, ``train_loss`` and ``accuracy`` (test, in points).
        ``winners``: a row a comparison and batch size, as in :class:`Sweep`. ``grid``: the
        trainings that the pairs were chosen from, with ``validation_accuracy`` too.
    """
    smallest, *larger = sorted(batch_sizes)
    if not larger:
        raise Refusal(f"a gap needs two batch sizes, not {list(batch_sizes)}")
    settings = {**settings, "grid_seeds": grid_seeds, "points": points}
    total = 2 + len(larger)
    progress(0, total)
    plain = _sweep(batch_sizes, steps=steps, **settings)
    progress(1, total)
    decayed = _sweep(batch_sizes, steps=steps, weight_decays=weight_decays, **settings)
    found = [(PLAIN, plain), (DECAYED, decayed), (EPOCHS, _only(plain, smallest))]
    for done, size in enumerate(larger, start=2):
        progress(done, total)
        found.append((EPOCHS, _sweep([size], steps=max(1, steps * smallest // size), **settings)))
    progress(total, total)
    runs = [_points(sweep.reruns).assign(comparison=name) for name, sweep in found]
    winners = [sweep.winners.assign(comparison=name) for name, sweep in found]
    return {
        "runs": pd.concat(runs, ignore_index=True)[["comparison", *_COLUMNS]],
        "winners": pd.concat(winners, ignore_index=True).fillna({"weight_decay": 0.0}),
        "grid": _points(decayed.grid)[[*_COLUMNS, "validation_accuracy"]],
    }


def arms(runs: pd.DataFrame, winners: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the gap at equal steps, without weight decay and with it, in points."""
    return {name: gap(runs, winners, name) for name in (PLAIN, DECAYED)}


def gaps(runs: pd.DataFrame, winners: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the gap of every comparison, in points."""
    return {name: gap(runs, winners, name) for name in COMPARISONS}


def gap(runs: pd.DataFrame, winners: pd.DataFrame, comparison: str) -> Estimate:
    """Estimate the gap of one comparison: paired by seed, Student's t over seeds.

    Refused where the tuning of either size failed: its grid ended at an edge, or nothing
    trained at all.
    """
    asked = winners[winners["comparison"] == comparison]
    ends = int(asked["batch_size"].min()), int(asked["batch_size"].max())
    ending = asked[asked["batch_size"].isin(ends) & (asked["outcome"] != "tuned")]
    if len(ending):
        failed = ending[["batch_size", "outcome", "side"]].astype(str).agg(" ".join, axis=1)
        return refused("; ".join(f"batch size {each.strip()}" for each in failed))
    return _paired(runs[runs["comparison"] == comparison], *ends)


def by_decay(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the grid's test accuracy at every weight decay, at that decay's best rate.

    The rate is chosen by mean validation accuracy. A row a batch size, decay and seed:
    ``batch_size``, ``weight_decay`` in words, so that 0 has its place on an axis, ``seed``,
    ``learning_rate`` and ``accuracy``.
    """
    pair = ["batch_size", "weight_decay"]
    means = grid.groupby([*pair, "learning_rate"])["validation_accuracy"].mean().reset_index()
    means = means[means["validation_accuracy"].notna()]
    best = means.loc[means.groupby(pair)["validation_accuracy"].idxmax(), [*pair, "learning_rate"]]
    rows = best.merge(grid, on=[*pair, "learning_rate"]).sort_values(["weight_decay", "batch_size"])
    rows = rows[["batch_size", "weight_decay", "seed", "learning_rate", "accuracy"]]
    return rows.assign(weight_decay=rows["weight_decay"].map("{:g}".format)).reset_index(drop=True)


def gaps_by_decay(grid: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the gap at each decay that smallest and largest batch share, over the grid's seeds.

    The seeds are few, and the rate was chosen on them: this shows a course, and judges nothing.
    """
    rows = by_decay(grid)
    ends = int(rows["batch_size"].min()), int(rows["batch_size"].max())
    shared = {
        f"weight decay {decay} at both": group
        for decay, group in rows.groupby("weight_decay", sort=False)
        if set(ends) <= set(group["batch_size"])
    }
    return {name: _paired(group, *ends) for name, group in shared.items()}


def _sweep(batch_sizes: Sequence[int], **settings: Any) -> Sweep:
    return Sweep(**tuned.fixed_budget(batch_sizes=batch_sizes, **settings))


def _only(sweep: Sweep, size: int) -> Sweep:
    """Return a sweep's part at one batch size."""
    return Sweep(*(table[table["batch_size"] == size] for table in (sweep.runs, sweep.winners)))


def _points(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.assign(accuracy=100 * runs["test_accuracy"])


def _paired(rows: pd.DataFrame, small: int, large: int) -> Estimate:
    table = rows.pivot_table(
        index="seed", columns="batch_size", values="accuracy", aggfunc="mean", dropna=False
    )
    return stats.paired_difference(table[small].to_numpy(), table[large].to_numpy())
