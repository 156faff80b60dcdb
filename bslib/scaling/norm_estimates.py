"""What runs of :mod:`bslib.scaling.normalized` say about norms and batch sizes, over seeds."""

import pandas as pd

from bslib.scaling.normalized import BATCH, GROUP, Measured
from bslib.stats.by_seed import slope_by_seed
from bslib.stats.estimate import Estimate, refused
from bslib.stats.means import mean


def arms(
    sizes: pd.DataFrame,
    layers: pd.DataFrame,
    tuned_sizes: pd.DataFrame,
    tuned_layers: pd.DataFrame,
    *,
    small_batch: int,
) -> dict[str, Estimate]:
    """Estimate the claim's two arms over seeds.

    Args:
        sizes, tuned_sizes: runs and winners of :func:`bslib.scaling.normalized.by_batch_size`.
        layers, tuned_layers: runs and winners of :func:`bslib.scaling.normalized.by_layers`.
        small_batch: the batch size at which the slope against layers is judged.
    """
    ends = [tuned_sizes["batch_size"].min(), tuned_sizes["batch_size"].max()]
    at_ends = tuned_sizes["batch_size"].isin(ends) & tuned_sizes["norm"].isin([BATCH, GROUP])
    small = layers[layers["batch_size"] == small_batch]
    return {
        "batch norm's dependence on the batch": (
            _untuned(tuned_sizes[at_ends]) or mean(_gain(sizes, BATCH) - _gain(sizes, GROUP))
        ),
        "more batch-norm layers at a small batch": (
            _untuned(tuned_layers[tuned_layers["batch_size"] == small_batch])
            or slope_by_seed(small, x="layers", y="accuracy")
        ),
    }


def controls(sizes: Measured, ghosts: Measured) -> dict[str, Estimate]:
    """Take the first arm apart, in points over seeds.

    What batch norm and group norm gain from the smallest batch to the largest; what batch norm
    loses at the largest when its statistics are over as few examples as the smallest holds,
    all else being equal; and what it gains at the smallest by other statistics in the test:
    those over the training set, and those of test batches as small as training's.
    """
    runs, smallest = sizes.runs, sizes.runs["batch_size"].min()
    largest = _accuracy(runs, BATCH, runs["batch_size"].max())
    few = ghosts.runs[ghosts.runs["shared"] == smallest].set_index("seed")["accuracy"]
    name = "largest batch, statistics over as few as the smallest"
    small = _accuracy(runs, BATCH, smallest)
    over_training, over_batches = (
        _accuracy(runs.assign(accuracy=runs[column]), BATCH, smallest) - small
        for column in ("recalibrated", "as_trained")
    )
    return {
        "batch norm, largest batch less smallest": mean(_gain(runs, BATCH)),
        "group norm, largest batch less smallest": mean(_gain(runs, GROUP)),
        name: mean(few - largest) if len(few) else refused("no groups of the smallest batch size"),
        "smallest batch, tested with statistics over the training set": mean(over_training),
        "smallest batch, tested in batches as small": mean(over_batches),
    }


def _accuracy(runs: pd.DataFrame, norm: str, batch_size: int) -> "pd.Series[float]":
    """Return accuracies by seed."""
    chosen = (runs["norm"] == norm) & (runs["batch_size"] == batch_size)
    return runs[chosen].set_index("seed")["accuracy"].sort_index()


def _gain(runs: pd.DataFrame, norm: str) -> "pd.Series[float]":
    """Return accuracies at the largest batch less those at the smallest, by seed."""
    sizes = runs["batch_size"]
    return _accuracy(runs, norm, sizes.max()) - _accuracy(runs, norm, sizes.min())


def _untuned(winners: pd.DataFrame) -> Estimate | None:
    """Refuse where one of the cases has no tuned learning rate."""
    failed = winners[winners["outcome"] != "tuned"]
    if failed.empty:
        return None
    first = failed.iloc[0]
    return refused(
        f"{first['outcome']}: the learning rate of {first['norm']} in {first['layers']} of "
        f"{first['depth']} layers at a batch of {first['batch_size']} is not tuned"
    )
