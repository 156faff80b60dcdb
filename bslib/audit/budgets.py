"""What trainings of different batch sizes have in common: examples, steps, or seconds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib.audit import metrics
from bslib.audit.table import SweepTable
from bslib.scaling.equal_budgets import EPOCHS, STEPS
from bslib.stats.samples import Floats

CLOCK, TARGET = "equal wall clock", "to a target"
# Relative differences that still count as equal: a last partial batch is rounded up or dropped.
_EXACT = 0.02
_TOLERANCE = {EPOCHS: 0.1, STEPS: _EXACT, CLOCK: 0.1}
_SETTING = ["batch_size", "learning_rate", "weight_decay"]
_COLUMN = {EPOCHS: "examples", STEPS: "steps", CLOCK: "seconds"}
# Of the runs, in a budget.
_FEWEST = 0.15
# So many lengths of one setting and seed make a log of evaluations, not a table of trainings.
LOGGED = 5


@dataclass(frozen=True, eq=False)
class Budget:
    """Trainings of several batch sizes that share a budget.

    Attributes:
        kind: :data:`EPOCHS`, :data:`STEPS` or :data:`CLOCK`.
        runs: rows of the table that share it.
    """

    kind: str
    runs: pd.DataFrame

    @property
    def batch_sizes(self) -> list[int]:
        """Sizes that share it, in order."""
        return sorted(int(size) for size in self.runs["batch_size"].unique())

    @property
    def steps(self) -> "pd.Series[float]":
        """Median steps of each batch size, relative ones where the table knows no others."""
        return self.runs.groupby("batch_size")["steps"].median()


@dataclass(frozen=True, eq=False)
class Budgets:
    """The budgets of a table.

    Attributes:
        epochs, steps, clock: of each kind the one that most batch sizes share, or None; the
            clock's only where runs share nothing else.
        to_target: whether runs end at a target.
        alone: lines of runs that share no budget with another batch size.
        logged: whether rows look like evaluations along trainings.
        own: whether every run stopped at a length of its own.
    """

    epochs: Budget | None
    steps: Budget | None
    clock: Budget | None
    to_target: bool
    alone: tuple[int, ...]
    logged: bool
    own: bool

    @property
    def kinds(self) -> list[str]:
        """The kinds that there are, in words."""
        found = [each.kind for each in (self.epochs, self.steps, self.clock) if each is not None]
        return [*found, TARGET] if self.to_target else found

    def of(self, kind: str) -> Budget | None:
        """Return the budget of a kind."""
        return {EPOCHS: self.epochs, STEPS: self.steps, CLOCK: self.clock}[kind]


def find(table: SweepTable) -> Budgets:
    """Find what the trainings of a table have in common.

    The same trainings may be part of two budgets: those at equal steps that happen to see the
    examples of the equal epochs.
    """
    runs = table.runs
    to_target = table.has(metrics.TO_TARGET)
    if table.metric.name == metrics.TO_TARGET:
        # The runs have no result but the steps that they took.
        return Budgets(None, None, None, True, (), False, False)
    own = "seed" in table.columns.found and _own_lengths(runs)
    counted = runs.iloc[:0] if own else runs
    shared = {kind: _shared(counted, kind) for kind in (EPOCHS, STEPS)}
    alone = ~(shared[EPOCHS][1] | shared[STEPS][1]).reindex(runs.index, fill_value=False)
    clock = None
    if table.has("seconds") and shared[EPOCHS][0] is None and shared[STEPS][0] is None:
        clock, timed = _shared(runs, CLOCK)
        alone &= ~timed
    lengths = runs.groupby([*_SETTING, "seed"])["steps"].nunique().median()
    return Budgets(
        shared[EPOCHS][0], shared[STEPS][0], clock, to_target,
        tuple(int(line) for line in runs.loc[alone, "line"]), bool(lengths >= LOGGED), own,
    )  # fmt: skip


def _own_lengths(runs: pd.DataFrame) -> bool:
    """Whether most settings of several seeds have about as many lengths as runs, one a seed."""
    cells = runs.groupby(_SETTING).agg(
        count=("steps", "size"), seeds=("seed", "nunique"), lengths=("steps", "nunique")
    )
    cells = cells[(cells["seeds"] > 1) & (cells["seeds"] == cells["count"])]
    return bool((cells["lengths"] > cells["count"] / 2).mean() > 0.5)


def _shared(runs: pd.DataFrame, kind: str) -> tuple[Budget | None, "pd.Series[bool]"]:
    """Return the budget of a kind that most sizes share, and which rows share any.

    A budget holds half of the sizes and a fair part of the runs: trainings that stop on their
    own now and then stop at the same length.
    """
    values, tolerance = _values(runs, kind)
    level = pd.Series(_levels(values, tolerance), index=runs.index, dtype=int)
    known = runs[level >= 0].groupby(level[level >= 0])["batch_size"].agg(["nunique", "size"])
    known = known[known["nunique"] >= max(2, runs["batch_size"].nunique() / 2)]
    known = known[known["size"] >= _FEWEST * len(runs)]
    known = known.sort_values(["nunique", "size"], ascending=False)
    shared = level.isin(known.index)
    if known.empty:
        return None, shared
    return Budget(kind, runs[level == known.index[0]].reset_index(drop=True)), shared


def _values(runs: pd.DataFrame, kind: str) -> tuple[Floats, float]:
    """Return what is equal in a budget, and within what factor less 1."""
    if kind == EPOCHS and runs["told_epochs"].all():
        return runs["epochs"].to_numpy(float), _EXACT
    return runs[_COLUMN[kind]].to_numpy(float), _TOLERANCE[kind]


def _levels(values: Floats, tolerance: float) -> list[int]:
    """Number the clusters of values, each within ``tolerance`` of its least; -1 is unknown."""
    levels, level, least = [-1] * len(values), -1, 0.0
    for at in np.argsort(values, kind="stable"):
        if not np.isnan(values[at]):
            if level < 0 or values[at] > least * (1 + tolerance):
                level, least = level + 1, float(values[at])
            levels[at] = level
    return levels
