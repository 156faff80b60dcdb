"""The four ways of claim 2.7, on somebody's table: which batch size looks best, and may be."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bslib.audit import tuning
from bslib.audit.budgets import EPOCHS as EQUAL_EPOCHS
from bslib.audit.budgets import STEPS as EQUAL_STEPS
from bslib.audit.budgets import Budget, Budgets
from bslib.audit.tuning import RATE, Tuned
from bslib.scaling import best_batch_size
from bslib.scaling.best_batch_size import DECAYED, EPOCHS, FIXED, STEPS


@dataclass(frozen=True, eq=False)
class Way:
    """One reading of the table.

    Attributes:
        name: one of :data:`bslib.scaling.best_batch_size.WAYS`.
        reason: why the table cannot be read so; else "".
        best: the size with the best mean.
        contenders: sizes that may be the best one at 95 %; where one size has a single seed, all.
        edges: sizes among them whose winner is at an edge: they can be better than was seen.
        left_out: sizes that could not be compared, and why.
        seeds: how many each size is compared on.
        paired: whether these are the same ones for all.
        needed: seeds that would leave one contender, at the differences seen; None for more
            than a thousand, or not known.
        scores: a row a seed and a column a size, more is better.
        rates: learning rate at each size.
    """

    name: str
    reason: str = ""
    best: int | None = None
    contenders: tuple[int, ...] = ()
    edges: tuple[int, ...] = ()
    left_out: Mapping[int, str] | None = None
    seeds: int = 0
    paired: bool = True
    needed: int | None = None
    scores: pd.DataFrame | None = None
    rates: Mapping[int, float] | None = None

    @property
    def spread(self) -> float:
        """Mean score of the best size less that of the worst."""
        if self.scores is None:
            return math.nan
        return float(self.scores.mean().max() - self.scores.mean().min())


def read(
    budgets: Budgets, sizes: Mapping[str, Sequence[Tuned]], pairs: Sequence[Tuned]
) -> dict[str, Way]:
    """Read the table in each way that its rows allow.

    Args:
        budgets: of the table.
        sizes: of each kind of budget, how each batch size was tuned.
        pairs: the same at equal steps, with weight decay.
    """
    epochs, steps = budgets.epochs, budgets.steps
    lacking = "batch sizes share no number of {}"
    if budgets.to_target:
        lacking = "runs end at a target, and not after equal {}"
    none = {name: Way(name, lacking.format("epochs")) for name in (FIXED, EPOCHS)}
    none |= {name: Way(name, lacking.format("steps")) for name in (STEPS, DECAYED)}
    return {
        FIXED: _fixed(epochs) if epochs else none[FIXED],
        EPOCHS: _tuned(EPOCHS, sizes[EQUAL_EPOCHS]) if epochs else none[EPOCHS],
        STEPS: _tuned(STEPS, sizes[EQUAL_STEPS]) if steps else none[STEPS],
        DECAYED: _decayed(pairs, steps.batch_sizes) if steps else none[DECAYED],
    }


def _fixed(budget: Budget) -> Way:
    """Hold the rate that serves the smallest size best, among those that most sizes have."""
    held = budget.runs[budget.runs["weight_decay"] == tuning.held_decay(budget.runs)]
    common = held.groupby(RATE)["batch_size"].nunique()
    if common.max() < 2:
        return Way(FIXED, "no two batch sizes were trained at the same rate")
    most = common[common == common.max()].index
    scores = held[held[RATE].isin(most)].groupby(["batch_size", RATE])["score"].mean().dropna()
    if scores.empty:
        return Way(FIXED, "every training at a shared rate failed")
    smallest = scores.index.get_level_values("batch_size").min()
    rate = float(scores.loc[smallest].idxmax())
    sizes = tuning.at_rate(budget.runs, rate)
    lacking = set(budget.batch_sizes) - {each.batch_size for each in sizes}
    left_out = {size: f"not trained at rate {rate:g}" for size in sorted(lacking)}
    return compare(FIXED, sizes, left_out)


def _tuned(name: str, sizes: Sequence[Tuned]) -> Way:
    chosen = [each for each in sizes if each.tried]
    if len(chosen) < 2:
        one = "one rate only" if not chosen else f"several rates at {chosen[0].batch_size} only"
        return Way(name, f"the rate is not tuned: {one}")
    if all(each.edge for each in chosen):
        return Way(name, "every best rate is at an edge of its grid")
    left_out = {each.batch_size: "one rate only" for each in sizes if not each.tried}
    return compare(name, chosen, left_out)


def _decayed(pairs: Sequence[Tuned], every: Sequence[int]) -> Way:
    sizes = [each for each in pairs if each.tried]
    if len(sizes) < 2:
        return Way(DECAYED, "weight decay and rate are not both varied at two batch sizes")
    if all(each.edge for each in sizes):
        return Way(DECAYED, "every best pair is at an edge of its grid")
    lacking = set(every) - {each.batch_size for each in sizes}
    return compare(DECAYED, sizes, {size: "one decay or rate only" for size in sorted(lacking)})


def compare(name: str, sizes: Sequence[Tuned], left_out: Mapping[int, str]) -> Way:
    """Compare sizes by their reported runs, on the seeds that all have.

    Where fewer than half are common, or than two, the runs are matched in the order of their
    seeds, which says nothing of the results: the test is valid, and weaker than one with pairs.
    """
    failed = {
        each.batch_size: f"{each.failed} of {len(each.reported)} runs failed at its best rate"
        if each.won else "every run failed"
        for each in sizes if each.failed
    }  # fmt: skip
    kept = [each for each in sizes if not each.failed]
    out = {**left_out, **failed}
    if len(kept) < 2:
        first = f": batch size {min(out)}: {out[min(out)]}" if out else ""
        return Way(name, f"fewer than two batch sizes can be compared{first}", left_out=out)
    scores, paired = _matched(kept)
    edges = {each.batch_size for each in kept if each.edge}
    may_be = sorted(edges | set(best_batch_size.contenders(scores)))
    enough = len(scores) > 1 and not edges
    return Way(
        name,
        best=int(scores.columns[int(scores.mean().to_numpy().argmax())]),
        contenders=tuple(may_be),
        edges=tuple(sorted(edges)),
        left_out=out,
        seeds=len(scores),
        paired=paired,
        needed=best_batch_size.seeds_for_one(scores) if enough else None,
        scores=scores,
        rates={each.batch_size: each.learning_rate for each in kept},
    )


def _matched(sizes: Sequence[Tuned]) -> tuple[pd.DataFrame, bool]:
    columns = {each.batch_size: each.reported.set_index("seed")["score"] for each in sizes}
    columns = {size: each[~each.index.duplicated()].sort_index() for size, each in columns.items()}
    common = set.intersection(*(set(each.index) for each in columns.values()))
    lengths = [len(each) for each in columns.values()]
    if len(common) >= max(2, min(lengths) / 2) or len(common) == max(lengths):
        seeds = sorted(common)
        return pd.DataFrame({size: each.loc[seeds] for size, each in columns.items()}), True
    count = min(lengths)
    return pd.DataFrame({size: each.to_numpy()[:count] for size, each in columns.items()}), False
