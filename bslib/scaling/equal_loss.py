"""Trainings stopped at one training loss: what batch sizes differ in when that is equal.

Three axes of one sweep (steps, examples, seconds) say what a batch size costs; these trainings
say what it does besides: how noisy the displayed loss is on the way, and how accurate the
network is on validation data when it gets there.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bslib import stats, training
from bslib.data import Task
from bslib.noise import roughness
from bslib.scaling import crossing, local_exponents
from bslib.scaling.clocked import FRESH, PATIENCE, UNSEEN, products
from bslib.scaling.protocol import Progress, Sweep
from bslib.scaling.tuned import evaluation_steps
from bslib.stats.estimate import Estimate, refused

COLUMNS = [
    "batch_size", "seed", "steps_to_target", "displayed_sd", "train_accuracy",
    "validation_accuracy", "validation_loss",
]  # fmt: skip

AXES = {"steps": "steps_to_target", "examples": "examples", "seconds": "seconds"}


def telling_sizes(batch_sizes: Sequence[int]) -> list[int]:
    """Return the smallest and the largest size, and the one nearest their geometric mean."""
    smallest, largest = min(batch_sizes), max(batch_sizes)
    middle = math.sqrt(smallest * largest)
    nearest = min(batch_sizes, key=lambda size: abs(math.log(size / middle)))
    return sorted({smallest, nearest, largest})


def trainings(
    task: Task,
    swept: Sweep,
    *,
    value: float,
    batch_sizes: Sequence[int],
    seed: int,
    seeds: int,
    resolution: float = 0.1,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Train to a training loss at tuned rates, on seeds that the sweep has not seen.

    Args:
        task: what the sweep trained on.
        swept: gives the learning rates, and about when to look.
        value: the training loss.
        batch_sizes: of the sweep; those whose outcome is not "tuned" are left out.
        seed, seeds: first seed, and how many.
        resolution: evaluations are this far apart, as a fraction of the steps.
        progress: told after every batch size.

    Returns:
        A row a training: ``batch_size``, ``seed``, ``steps_to_target``; ``displayed_sd``, the
        standard deviation of the mini-batch loss about its local trend over the second half of
        the way (:func:`bslib.noise.roughness`); and accuracy and loss at the crossing,
        interpolated. All missing where the target was not reached.
    """
    winners = swept.winners[swept.winners["outcome"] == "tuned"]
    rates = dict(zip(winners["batch_size"], winners["learning_rate"], strict=True))
    typical = swept.reruns.groupby("batch_size")["steps_to_target"].median().dropna()
    sizes = [size for size in batch_sizes if size in rates and size in typical.index]
    target, rows = training.Target("train_loss", value), []
    for done, size in enumerate(sizes):
        progress(done, len(sizes))
        last = math.ceil(PATIENCE * typical[size])
        steps = evaluation_steps(last, resolution)
        trained = training.train(
            task,
            batch_size=size,
            learning_rates=[rates[size]] * seeds,
            seeds=range(seed + FRESH, seed + FRESH + seeds),
            budget=training.Budget(steps=last),
            target=target,
            evaluate_every=[1, *(step for step in steps if step > max(1, UNSEEN * typical[size]))],
            record_batch_loss=True,
        )
        rows.append(_at_target(trained, target))
    progress(len(sizes), len(sizes))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


def _at_target(trained: training.Training, target: training.Target) -> pd.DataFrame:
    members = crossing.steps_to_target(trained, target)
    curves, losses = trained.history.groupby("member"), trained.batch_losses
    assert losses is not None
    metrics = ["train_accuracy", "validation_accuracy", "validation_loss"]
    found = members[["batch_size", "seed", "steps_to_target"]].assign(
        **dict.fromkeys(["displayed_sd", *metrics], math.nan)
    )
    for row, steps in enumerate(members["steps_to_target"]):
        if math.isnan(steps):
            continue
        curve = curves.get_group(row)
        for name in metrics:
            found.loc[row, name] = np.interp(steps, curve["step"], curve[name])
        way = losses[row, int(steps / 2) : math.ceil(steps)].double()
        found.loc[row, "displayed_sd"] = roughness(way).item()
    return found[COLUMNS]


def arms(
    grid: pd.DataFrame,
    reruns: pd.DataFrame,
    winners: pd.DataFrame,
    times: pd.DataFrame,
    reached: pd.DataFrame,
) -> dict[str, Estimate]:
    """Return the estimates that the claim is judged by.

    Args:
        grid, reruns, winners: of a tuned sweep to the target. The grid says which size is the
            fastest, the reruns give the exponents of steps, examples and seconds.
        times: a row a timed block: ``batch_size``, ``round``, ``step_time_s``.
        reached: of :func:`trainings`.
    """
    sizes = sorted(winners["batch_size"])
    fastest = local_exponents.fastest(grid, winners, times)
    seconds = refused("no tuned batch size was timed")
    if fastest is not None:
        below = [size for size in sizes if size <= fastest]
        seconds = local_exponents.of_seconds(reruns, winners, times, below)
    told = telling_sizes(sizes)
    return {
        "randomness": local_exponents.of_steps(reached, winners, told, y="displayed_sd"),
        "generalisation at equal training loss": difference(reached, sizes),
        "training time in steps": local_exponents.of_steps(reruns, winners, sizes),
        "training time in examples": local_exponents.of_steps(
            with_examples(reruns), winners, sizes, y="examples"
        ),
        "training time in seconds": seconds,
    }


def with_examples(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the trainings with ``examples``, the examples to the target."""
    return runs.assign(examples=runs["batch_size"] * runs["steps_to_target"])


def difference(
    reached: pd.DataFrame, batch_sizes: Sequence[int], y: str = "validation_accuracy"
) -> Estimate:
    """Return the accuracy at the smallest size less that at the largest, in points.

    Paired by seed, with Student's t interval.
    """
    small, large = min(batch_sizes), max(batch_sizes)
    table = reached.pivot(index="seed", columns="batch_size", values=y)
    absent = [size for size in (small, large) if size not in table]
    if absent or small == large:
        return refused(f"edge: no tuned training at a batch of {(absent or [large])[0]:,}")
    return stats.paired_difference(100 * table[small], 100 * table[large])


def axes(reruns: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return steps, examples and seconds to target, each over what the smallest batch takes.

    Columns ``batch_size``, ``axis``, ``relative_cost``, ``low``, ``high``: the geometric mean
    over seeds, with its interval; the seconds' does not contain that of the step times.
    """
    table = with_examples(products(reruns, local_exponents.undisturbed(times)))
    first = table["batch_size"] == table["batch_size"].min()
    rows = []
    for name, column in AXES.items():
        start = np.exp(np.log(table.loc[first, column].to_numpy(float)).mean())
        rows.append(table[["batch_size"]].assign(axis=name, relative_cost=table[column] / start))
    return stats.summarize(pd.concat(rows), y="relative_cost", by=["axis", "batch_size"], log=True)


def quality(reached: pd.DataFrame, y: str = "displayed_sd") -> pd.DataFrame:
    """Return the mean of ``y`` over seeds at each batch size, geometric for the roughness."""
    rows = reached.assign(quality=y)
    return stats.summarize(rows, y=y, by=["quality", "batch_size"], log=y.endswith("_sd"))
