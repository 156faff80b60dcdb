"""Which batch size looks best, when one set of batch sizes is compared in four ways.

The best of a few is a choice, not a mean: it has no standard error. What seeds can say is which
sizes are *not* the best. The rest, the contenders, hold the best one with a stated confidence,
and may be many: that is how a sweep says that its sizes do not differ.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bslib import stats, sweeps, training
from bslib.data import Task
from bslib.scaling import equal_budgets, tuned
from bslib.scaling.equal_budgets import EqualBudgets
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused
from bslib.stats.samples import Floats, t_quantile

FIXED = "a fixed learning rate, equal epochs"
EPOCHS = "a tuned learning rate, equal epochs"
STEPS = "a tuned learning rate, equal steps"
DECAYED = "rate and weight decay tuned, equal steps"
MOST_SEEDS = 1_000
WAYS = (FIXED, EPOCHS, STEPS, DECAYED)

_SUMMARY = ["looks best", "may be the best", "seeds for one winner", "best less worst (points)"]
_COLUMNS = ["way", "batch_size", "seed", "learning_rate", "weight_decay", "outcome"]
_COLUMNS += ["train_loss", "validation_accuracy"]


def four_ways(
    problem: Task,
    budgets: EqualBudgets,
    *,
    weight_decays: Sequence[float],
    epochs: int,
    batch_sizes: Sequence[int],
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Train every batch size on the same fresh seeds in each of the four ways.

    Two of them are the reruns of ``budgets``. The fixed rate is the one tuned for the smallest
    size at equal epochs: it serves all larger ones too, if slowly.

    Args:
        problem: what the sweeps trained on.
        budgets: both sweeps.
        weight_decays: of :func:`bslib.scaling.tuned.fixed_budget`.
        epochs, batch_sizes, settings: of :func:`bslib.scaling.equal_budgets.measure`.
        progress: told after every batch size of the sweep with weight decay.

    Returns:
        A row a training: ``way``, ``batch_size``, ``seed``, ``learning_rate``,
        ``weight_decay``, ``outcome`` of the tuning, ``train_loss``, ``validation_accuracy``.
    """
    tables = sweeps.shared(
        tuned.fixed_budget,
        steps=equal_budgets.equal_steps(batch_sizes, epochs, len(problem.train)),
        batch_sizes=list(batch_sizes),
        weight_decays=list(weight_decays),
        noise_scale=equal_budgets.NOISE_SCALE,
        points=equal_budgets.POINTS,
        grid_seeds=equal_budgets.GRID_SEEDS,
        progress=progress,
        **settings,
    )
    parts = {
        FIXED: _at_fixed_rate(problem, budgets.epochs, epochs, batch_sizes),
        EPOCHS: equal_budgets.fresh(budgets.epochs),
        STEPS: equal_budgets.fresh(budgets.steps),
        DECAYED: equal_budgets.fresh(Sweep(**tables)),
    }
    rows = [table.assign(way=way) for way, table in parts.items()]
    return pd.concat(rows, ignore_index=True)[_COLUMNS]


def _at_fixed_rate(
    task: Task, swept: Sweep, epochs: int, batch_sizes: Sequence[int]
) -> pd.DataFrame:
    runs = equal_budgets.fresh(swept)
    own = runs[runs["batch_size"] == min(batch_sizes)]
    members = [
        training.train(
            task,
            batch_size=size,
            learning_rates=own["learning_rate"].tolist(),
            seeds=own["seed"].tolist(),
            budget=training.Budget(examples=epochs * len(task.train)),
            schedule="cosine",
        ).members
        for size in (batch_sizes if len(own) else [])
    ]
    return pd.concat(members).assign(outcome="tuned") if members else own


def arms(runs: pd.DataFrame, *, batch_sizes: Sequence[int]) -> dict[str, Estimate]:
    """Estimate octaves from the fourth way's best batch size to each of the first three's.

    Args:
        runs: of :func:`four_ways`.
        batch_sizes: that were asked for.
    """
    tables = {way: accuracies(runs, way, batch_sizes) for way in WAYS}
    return {way: octaves_apart(tables[way], tables[DECAYED]) for way in WAYS[:-1]}


def accuracies(runs: pd.DataFrame, way: str, batch_sizes: Sequence[int]) -> pd.DataFrame | str:
    """Return one way's table of seeds by batch sizes, or say why it cannot be analysed."""
    rows = runs[runs["way"] == way]
    reason = equal_budgets.untuned(rows, batch_sizes)
    if len(set(batch_sizes)) < 2:
        reason = "the best of one batch size says nothing"
    table = rows.pivot(index="seed", columns="batch_size", values="validation_accuracy")
    if not reason and not np.isfinite(table.to_numpy(float)).all():
        reason = "an accuracy is not finite"
    return f"{way}: {reason}" if reason else table.astype(float)


def contenders(table: pd.DataFrame, level: float = 0.95) -> list[int]:
    """Return the batch sizes that may be the best one.

    A size is dropped when some other has a mean that is significantly higher: a one-sided t
    test over seeds of the paired differences, at (1 - level) / (sizes - 1). So the one with the
    highest expectation, or each of several that share it, is kept with a probability of at
    least ``level``, however many are close. The size with the highest mean is never dropped.
    With fewer than two seeds all are kept.

    Args:
        table: accuracies, a row a seed and a column a batch size.
        level: confidence level.
    """
    values, (seeds, count) = table.to_numpy(float), table.shape
    if seeds < 2 or count < 2:
        return [int(size) for size in table.columns]
    quantile = t_quantile(1 - 2 * (1 - level) / (count - 1), seeds - 1)
    kept = [not _beaten(values, at, quantile) for at in range(count)]
    return [int(size) for size, each in zip(table.columns, kept, strict=True) if each]


def _beaten(values: Floats, at: int, quantile: float) -> bool:
    differences = np.delete(values, at, axis=1) - values[:, [at]]
    error = differences.std(axis=0, ddof=1) / math.sqrt(len(values))
    return bool((differences.mean(axis=0) > np.maximum(quantile * error, 1e-12)).any())


def seeds_for_one(table: pd.DataFrame, level: float = 0.95) -> int | None:
    """Return how many seeds would leave one contender, at the differences seen; None if > 1,000.

    At m seeds a difference d with standard deviation s over seeds rules a size out where d
    exceeds t(m - 1) s / sqrt(m), with the quantile of :func:`contenders`.
    """
    values, count = table.to_numpy(float), table.shape[1]
    best = int(values.mean(axis=0).argmax())
    differences = values[:, [best]] - np.delete(values, best, axis=1)
    means, spread = differences.mean(axis=0), differences.std(axis=0, ddof=1)
    one_sided = 1 - 2 * (1 - level) / max(1, count - 1)
    for seeds in range(2, MOST_SEEDS + 1):
        if (means > t_quantile(one_sided, seeds - 1) * spread / math.sqrt(seeds)).all():
            return seeds
    return None


def octaves_apart(
    first: pd.DataFrame | str, second: pd.DataFrame | str, level: float = 0.95
) -> Estimate:
    """Estimate log2 of the first way's best batch size over the second's.

    The value is that of the highest means. The interval reaches from the smallest to the
    largest difference that two contenders make, each way's taken at 1 - (1 - level) / 2, so
    that both hold the truth together with a probability of at least ``level``. It is discrete
    and wide where sizes do not differ. Measured coverage of a nominal 95 % interval, four sizes
    with normal accuracies, 4 and 16 seeds, 4,000 draws: 95 % with all sizes equal, 98-100 %
    with one or two ahead by one to three standard errors of a paired difference.

    Args:
        first, second: of :func:`accuracies`, on the same seeds.
        level: confidence level.
    """
    for table in (first, second):
        if isinstance(table, str):
            return refused(table, level=level)
    assert isinstance(first, pd.DataFrame)
    assert isinstance(second, pd.DataFrame)
    each = 1 - (1 - level) / 2
    ours, theirs = (np.log2(contenders(table, each)) for table in (first, second))
    best = [math.log2(int(table.columns[int(table.mean().argmax())])) for table in (first, second)]
    return Estimate(
        best[0] - best[1],
        float(ours.min() - theirs.max()),
        float(ours.max() - theirs.min()),
        level,
        len(first),
        needed=max(seeds_for_one(table) or MOST_SEEDS + 1 for table in (first, second)),
        recompute=lambda other: octaves_apart(first, second, other),
    )


def summary(runs: pd.DataFrame, batch_sizes: Sequence[int]) -> pd.DataFrame:
    """Return a row a way: what looks best, what may be, seeds for one winner, best less worst."""
    rows = [_summarized(accuracies(runs, way, batch_sizes)) for way in WAYS]
    return pd.DataFrame(rows, index=list(WAYS))


def _summarized(table: pd.DataFrame | str) -> dict[str, Any]:
    if isinstance(table, str):
        return dict(zip(_SUMMARY, ("", table, "", math.nan), strict=True))
    means = 100 * table.mean()
    names, seeds = ", ".join(map(str, contenders(table))), seeds_for_one(table)
    enough = f"more than {MOST_SEEDS:,}" if seeds is None else f"{seeds:,}"
    shown = (f"{means.idxmax()}", names, enough, means.max() - means.min())
    return dict(zip(_SUMMARY, shown, strict=True))


def spreads(runs: pd.DataFrame, batch_sizes: Sequence[int]) -> dict[str, Estimate]:
    """Estimate, for each way, the accuracy at the best size less that at the worst, in points.

    Which these are is chosen by the same means: the values flatter, and judge nothing.
    """
    found = {}
    for way in WAYS:
        table = accuracies(runs, way, batch_sizes)
        if isinstance(table, str):
            found[way] = refused(table)
            continue
        best, worst = table.mean().idxmax(), table.mean().idxmin()
        found[way] = stats.paired_difference(100 * table[best], 100 * table[worst])
    return found
