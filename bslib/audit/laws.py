"""What a table says of two laws: steps to target, and the best learning rate, on batch size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib.audit import tuning
from bslib.audit.table import SweepTable
from bslib.audit.tuning import Tuned
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size, optimum
from bslib.stats.estimate import Estimate, refused

FEWEST_SIZES = 3


@dataclass(frozen=True, eq=False)
class ToTarget:
    """Steps to target of the runs at each batch size's best rate.

    Attributes:
        sizes: how each size's rate was tuned; the score is the negative of the steps.
        runs: rows of the winners.
        critical_batch_size: fitted to them, or refused with the reason.
    """

    sizes: tuple[Tuned, ...]
    runs: pd.DataFrame
    critical_batch_size: Estimate

    @property
    def tuned(self) -> bool:
        """Whether three sizes or more were tuned, and none stands at an edge."""
        return len(self.sizes) >= FEWEST_SIZES and all(each.tuned for each in self.sizes)


def to_target(table: SweepTable) -> ToTarget | None:
    """Fit the law of steps to target; None where the table has none."""
    if not table.has("steps_to_target"):
        return None
    runs = table.runs.assign(score=-table.runs["steps_to_target"])
    tuned = tuning.tune(runs)
    sizes = tuple(each for each in tuned if each.won)
    winners = pd.concat([each.reported for each in sizes], ignore_index=True)
    return ToTarget(sizes, winners, _critical(sizes, winners, table))


def _critical(sizes: Sequence[Tuned], winners: pd.DataFrame, table: SweepTable) -> Estimate:
    if all(not each.tried for each in sizes):
        return refused("the learning rate is not tuned, and the law holds for tuned rates")
    edges = [f"{each.batch_size:,}" for each in sizes if not each.tuned]
    if edges:
        return refused(
            f"the best rate lies at its grid's edge, or was not tuned, at {', '.join(edges)}"
        )
    # Runs that did not get there took as many steps as the table says, if it counts them.
    columns = ["batch_size", "seed", "steps_to_target"]
    columns += ["steps"] if table.absolute and winners["steps"].notna().all() else []
    try:
        return critical_batch_size.fit(winners[columns]).critical_batch_size
    except Refusal as refusal:
        return refused(str(refusal))


def exponent(sizes: Sequence[Tuned]) -> Estimate:
    """Estimate d ln(best rate) / d ln B over sizes that were tuned, of their scores' grids."""
    tuned = [each for each in sizes if each.tuned]
    if len(tuned) < FEWEST_SIZES:
        return refused(f"{len(tuned)} sizes have their best rate inside its grid, of three needed")
    optima = [
        optimum.best_learning_rate(_complete(each.grid), "score", maximise=True) for each in tuned
    ]
    return optimum.exponent([float(each.batch_size) for each in tuned], optima)


def _complete(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the grid on the seeds that every rate has, or all of it where there are none.

    Seeds that a table lacks at some rate would otherwise count as failures there.
    """
    rates = grid.groupby("seed")["learning_rate"].nunique()
    whole = rates[rates == grid["learning_rate"].nunique()].index
    return grid[grid["seed"].isin(whole)] if len(whole) else grid


def rule(sizes: Sequence[Tuned]) -> float | None:
    """Return the exponent of the rates on B where each size has one only; None if they vary not.

    No estimate: rates were set, and this is the rule that they were set by.
    """
    if any(each.tried for each in sizes) or len(sizes) < 2:
        return None
    rates = np.log([each.learning_rate for each in sizes])
    if np.ptp(rates) == 0:
        return None
    return float(np.polyfit(np.log([each.batch_size for each in sizes]), rates, 1)[0])
