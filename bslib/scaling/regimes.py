"""The three regimes of steps to a target: in proportion, diminishing, flat; and the seconds.

Shallue et al. (2019) tell them apart by eye. Here a regime is where the law of steps has come
close to one of its straight ends: up to a sixteenth of the critical batch size, where its
exponent is -0.94 or steeper, and from sixteen times that size on, where it is -0.06 or flatter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from bslib import models, stats, sweeps, training
from bslib.data import Task, registry
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size, local_exponents, tuned
from bslib.scaling.clocked import FRESH
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused

APART = 16.0
METRIC = "validation_loss"
IN_PROPORTION, FLOOR, LAW = "in proportion", "the fewest", "the law"
GRID_SEEDS = 3
RESOLUTION = 0.15  # between evaluations, as a fraction of the steps


@dataclass(frozen=True)
class Start:
    """Where a task's tuning starts: a guess, from which the grids extend.

    Attributes:
        learning_rate: at a very large batch.
        noise_scale: below it the rate is lower in proportion to the batch.
        optimizer: arguments of :func:`bslib.scaling.tuned.optimizer_at`.
        target: the validation loss to reach, where the task is the second one.
        epochs: the budget, in passes over the training set.
    """

    learning_rate: float = 1.0
    noise_scale: float = 80.0
    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"name": "sgd"})
    target: float = 1.0
    epochs: int = 64


STARTS = {
    "mnist1d": Start(1.3),
    "fashion-mnist": Start(0.2, 50.0),
    "python-source": Start(0.01, 8.0, {"name": "adamw"}, 2.6, 4),
}
# A second task's batch sizes: from the first to the last, and at least so far apart.
SMALLEST, LARGEST, SPREAD = 1, 1_024, 4


def sweep(
    task: str,
    *,
    examples: int,
    batch_sizes: Sequence[int],
    value: float,
    seed: int,
    seeds: int,
    device: str,
    progress: Progress | None = None,
) -> Sweep:
    """Sweep to a validation loss: the rate tuned on three seeds, then trained on ``seeds``.

    Steps to an out-of-sample loss, as Shallue et al. (2019) count them.
    """
    start = STARTS.get(task, Start())
    tables = sweeps.shared(
        tuned.to_target,
        task=task,
        examples=examples,
        batch_sizes=batch_sizes,
        metric=METRIC,
        value=value,
        most_examples=start.epochs * examples,
        learning_rate=start.learning_rate,
        noise_scale=start.noise_scale,
        optimizer=dict(start.optimizer),
        points=3,
        resolution=RESOLUTION,
        seed=seed,
        seeds=seeds,
        grid_seeds=min(GRID_SEEDS, seeds),
        device=device,
        progress=progress,
    )
    return Sweep(**tables)


def second(
    task: str,
    *,
    examples: int,
    batch_sizes: Sequence[int],
    seed: int,
    seeds: int,
    device: str,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the reruns of a sweep of a second task, to be shown beside the first.

    Its target is its own (``STARTS``), and so are its model and optimiser. It takes as many
    examples as it has, at most ``examples``, and only some of the batch sizes. ``task`` may be
    "", for none.
    """
    columns = ["batch_size", "seed", "steps_to_target", "task"]
    if not task:
        return pd.DataFrame({name: [] for name in columns})
    count = min(examples, registry.entry(task).train_examples or examples)
    sizes = _spread([size for size in batch_sizes if SMALLEST <= size <= min(LARGEST, count)])
    swept = sweep(
        task,
        examples=count,
        batch_sizes=sizes or [SMALLEST],
        value=STARTS.get(task, Start()).target,
        seed=seed,
        seeds=seeds,
        device=device,
        progress=progress,
    )
    return swept.reruns.assign(task=task)[columns]


def _spread(sizes: Sequence[int]) -> list[int]:
    kept: list[int] = []
    for size in sorted(sizes):
        if not kept or size >= SPREAD * kept[-1]:
            kept.append(size)
    return kept


def arms(
    grid: pd.DataFrame, reruns: pd.DataFrame, winners: pd.DataFrame, times: pd.DataFrame
) -> dict[str, Estimate]:
    """Return the four exponents that the claim is judged by.

    Args:
        grid, reruns, winners: of a tuned sweep to a target; the grid's trainings say where the
            bend and the fastest size lie, the reruns give the exponents.
        times: a row a timed block: ``batch_size``, ``round``, ``step_time_s``.
    """
    critical = local_exponents.bend(grid, winners)
    fastest = local_exponents.fastest(grid, winners, times)
    sizes = sorted(winners["batch_size"])
    if critical.value is None:
        small = large = refused(f"no critical batch size: {critical.reason}")
    else:
        low, high = critical.value / APART, critical.value * APART
        small = local_exponents.of_steps(reruns, winners, [b for b in sizes if b <= low])
        large = local_exponents.of_steps(reruns, winners, [b for b in sizes if b >= high])
    if fastest is None:
        below = above = refused("no tuned batch size was timed")
    else:
        ways = [b for b in sizes if b <= fastest], [b for b in sizes if b >= fastest]
        below, above = (local_exponents.of_seconds(reruns, winners, times, way) for way in ways)
    return {
        "steps at small batches": small,
        "steps at large batches": large,
        "seconds below the fastest batch size": below,
        "seconds above the fastest batch size": above,
    }


@dataclass(frozen=True)
class Regimes:
    """The fitted law of steps, and its two straight ends.

    Attributes:
        critical_batch_size, minimal_steps, minimal_examples: of the law, or why there is none.
        curves: ``batch_size``, ``steps_to_target`` and ``regime``: the law, steps in proportion
            to 1 / B, and the fewest steps; without rows where there is no law.
    """

    critical_batch_size: Estimate
    minimal_steps: Estimate
    minimal_examples: Estimate
    curves: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """The law's parameters, and the sizes at which its outer regimes begin."""
        found = {
            "critical batch size": self.critical_batch_size,
            "fewest steps": self.minimal_steps,
            "fewest examples": self.minimal_examples,
        }
        return stats.table(found)


def of(runs: pd.DataFrame) -> Regimes:
    """Fit the law of steps to the trainings of a sweep, and draw its regimes."""
    try:
        law = critical_batch_size.fit(runs)
    except Refusal as refusal:
        none = refused(str(refusal))
        empty = pd.DataFrame({"batch_size": [], "steps_to_target": [], "regime": []})
        return Regimes(none, none, none, empty)
    sizes = np.geomspace(runs["batch_size"].min(), runs["batch_size"].max(), 100)
    fewest = float(np.exp(law.law.a))
    shapes = {
        LAW: np.exp(law.law.predict(sizes)),
        IN_PROPORTION: fewest * np.exp(law.law.c) / sizes,
        FLOOR: np.full(len(sizes), fewest),
    }
    curves = [
        pd.DataFrame({"batch_size": sizes, "steps_to_target": steps, "regime": name})
        for name, steps in shapes.items()
    ]
    return Regimes(
        law.critical_batch_size, law.minimal_steps, law.minimal_examples, pd.concat(curves)
    )


def beside(*reruns: pd.DataFrame) -> pd.DataFrame:
    """Return steps to target for each ``task`` and batch size: the geometric mean over seeds."""
    rows = pd.concat([each for each in reruns if len(each)], ignore_index=True)
    return stats.summarize(rows, y="steps_to_target", by=["task", "batch_size"], log=True)


def critical_sizes(*reruns: pd.DataFrame) -> dict[str, Estimate]:
    """Return the critical batch size of each task that was swept."""
    named = {str(each["task"].iloc[0]): each for each in reruns if len(each)}
    return {
        f"critical batch size, {name}": of(each).critical_batch_size for name, each in named.items()
    }


def trained(task: Task, swept: Sweep, value: float, *, seed: int) -> nn.Module:
    """Return a network trained to the target, at the tuned size in the middle and its rate.

    Of a seed that the sweep did not use. Where no size is tuned, the network is untrained.
    """
    tuned_sizes = swept.winners[swept.winners["outcome"] == "tuned"].sort_values("batch_size")
    if tuned_sizes.empty:
        return models.build(task.model, task, seed=seed + FRESH).to(task.train.inputs.device)
    middle = tuned_sizes.iloc[(len(tuned_sizes) - 1) // 2]
    size = int(middle["batch_size"])
    steps = swept.reruns.loc[swept.reruns["batch_size"] == size, "steps_to_target"].max()
    last = math.ceil(2 * steps) if steps > 0 else 1
    done = training.train(
        task,
        batch_size=size,
        learning_rates=[float(middle["learning_rate"])],
        seeds=[seed + FRESH],
        budget=training.Budget(steps=last),
        target=training.Target(METRIC, value),
        evaluate_every=tuned.evaluation_steps(last, RESOLUTION),
        evaluate_on=("validation",),
    )
    return done.module(0)
