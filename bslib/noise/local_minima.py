"""What claim 1.3 judges, from escapes over a barrier and from two tuned sweeps."""

import pandas as pd

from bslib import stats
from bslib.noise import double_well
from bslib.stats.estimate import Estimate, refused

WELL = "escape from a double well"
FIXED = "a fixed training set, many epochs"
FRESH = "fresh examples at every step"


def arms(
    wells: pd.DataFrame,
    fixed: pd.DataFrame,
    fixed_winners: pd.DataFrame,
    fresh: pd.DataFrame,
    fresh_winners: pd.DataFrame,
) -> dict[str, Estimate]:
    """Return an estimate for each arm.

    Args:
        wells: of :func:`bslib.noise.double_well.escapes`.
        fixed, fresh: the reruns of two sweeps: ``seed``, ``batch_size``, ``test_accuracy``.
        fixed_winners, fresh_winners: their winners, with ``validation_accuracy`` on the grids'
            seeds, by which the small batch size is chosen.
    """
    return {
        WELL: double_well.slope_over_kramers(wells),
        FIXED: advantage(fixed, fixed_winners),
        FRESH: advantage(fresh, fresh_winners),
    }


def best_small(winners: pd.DataFrame) -> int:
    """Return the batch size, the largest left out, that was best on the grid's seeds."""
    small = winners[winners["batch_size"] < winners["batch_size"].max()]
    best = small["validation_accuracy"].fillna(-1.0).argmax()
    return int(small["batch_size"].iloc[best])


def advantage(runs: pd.DataFrame, winners: pd.DataFrame) -> Estimate:
    """Return the test accuracy of the best small batch size less the largest's, in points.

    Paired by seed. Refused where either size's learning rate was not tuned.
    """
    sizes = best_small(winners), int(winners["batch_size"].max())
    outcomes = winners.set_index("batch_size")["outcome"]
    for size in sizes:
        if outcomes[size] != "tuned":
            return refused(f"{outcomes[size]}: the learning rate at batch size {size:,}")
    points = 100 * runs.set_index(["batch_size", "seed"])["test_accuracy"].sort_index()
    return stats.paired_difference(points[sizes[0]], points[sizes[1]])
