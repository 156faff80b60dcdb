"""Tuned sweeps in which every training keeps its best checkpoint.

With wrong labels in the training set, or few examples, the last network is not the best one. A
training is here what its best checkpoint is on the validation examples: by that the learning
rates are chosen, and the batch sizes to be compared. Comparisons are made on the test examples.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bslib import training
from bslib.data import Examples, Task, accuracy
from bslib.refusal import Refusal
from bslib.scaling import protocol, rules
from bslib.scaling.protocol import Members, Progress

FIRST_STEP, CHECKPOINTS = 20, 12
LOSS_EXAMPLES = 4_096  # training examples that the last loss is read from, at most
GRID_SEEDS = 3
_FRESH = 1_000  # the reruns' seeds start this far above the grid's


@dataclass(frozen=True)
class _Trainer:
    """Trains the task's own model for equally many steps."""

    task: Task
    steps: int

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
        weight_decays: Sequence[float] = (),
    ) -> Members:
        kept = checkpoint_steps(self.steps)
        trained = training.train(
            self.task,
            batch_size=batch_size,
            learning_rates=learning_rates,
            seeds=seeds,
            budget=training.Budget(steps=self.steps),
            optimizer=training.SGD(weight_decay=tuple(weight_decays) or 0.0),
            evaluate_every=kept,
            evaluate_on=("validation",),
            checkpoints=kept[:-1],
        )
        rows = [self._row(trained, member) for member in range(len(seeds))]
        return Members(pd.DataFrame(rows))

    def _row(self, trained: training.Training, member: int) -> dict[str, float]:
        """Describe a member by its best checkpoint; by none where no loss is finite."""
        history, row = trained.history, dict(trained.members.iloc[member])
        finite = (history["step"] > 0) & np.isfinite(history["validation_loss"])
        own = history[(history["member"] == member) & finite]
        last, train = trained.module(member), self.task.train
        first = Examples(train.inputs[:LOSS_EXAMPLES], train.targets[:LOSS_EXAMPLES])
        row["train_loss"] = _mean(self.task.loss, last, first)
        if own.empty:
            return row | dict.fromkeys(
                ("best_step", "validation_accuracy", "test_accuracy"), np.nan
            )
        best = own.loc[own["validation_accuracy"].idxmax()]
        step = int(best["step"])
        chosen = last if step == row["steps"] else trained.module(member, step)
        row["best_step"], row["validation_accuracy"] = step, best["validation_accuracy"]
        return row | {"test_accuracy": _mean(accuracy, chosen, self.task.test)}


def checkpoint_steps(steps: int) -> list[int]:
    """Return after which steps a checkpoint is kept: evenly in their logarithm, to the last."""
    spaced = np.geomspace(min(FIRST_STEP, steps), steps, CHECKPOINTS)
    return [int(step) for step in np.unique(spaced.round())]


def _mean(score: Callable[[Tensor, Tensor], Tensor], module: nn.Module, part: Examples) -> float:
    with torch.no_grad():
        return float(score(module(part.inputs), part.targets).mean())


def sweep(
    task: Task,
    *,
    batch_sizes: Sequence[int],
    steps: int,
    learning_rate: float,
    noise_scale: float,
    seeds: int,
    seed: int = 0,
    points: int = 4,
    factor: float = 3.0,
    progress: Progress = lambda done, total: None,
) -> dict[str, pd.DataFrame]:
    """Compare batch sizes at equal steps and a constant learning rate that is tuned at each.

    Args:
        task: with classes. No example is seen twice where it has as many training examples as
            the largest batch takes in all its steps.
        batch_sizes: what is compared.
        steps: of every training.
        learning_rate, noise_scale: the grids' centers are learning_rate /
            (1 + noise_scale / B).
        seeds: how many reruns; the grid has ``GRID_SEEDS``.
        seed: the first of the grid's.
        points, factor: of the grids.
        progress: told after every batch size.

    Returns:
        The tables of a :class:`bslib.scaling.Sweep`. ``runs``: a row a training, with
        ``validation_accuracy`` and ``test_accuracy`` of its best checkpoint, ``best_step``, and
        ``train_loss`` after the last step. ``winners``: also ``validation_accuracy``, the mean
        over the grid's seeds at the rate that won.

    Raises:
        Refusal: the task has no classes.
    """
    if task.kind != "classification":
        raise Refusal(f"task {task.name!r} has no accuracy; use one with classes")
    swept = protocol.sweep(
        _Trainer(task, steps),
        batch_sizes,
        functools.partial(rules.saturating, learning_rate, noise_scale),
        metric="validation_accuracy",
        seeds=range(seed, seed + GRID_SEEDS),
        fresh_seeds=range(seed + _FRESH, seed + _FRESH + seeds),
        points=points,
        factor=factor,
        progress=progress,
    )
    keys = ["batch_size", "learning_rate"]
    scores = swept.grid.groupby(keys, as_index=False)["validation_accuracy"].mean()
    return {"runs": swept.runs, "winners": swept.winners.merge(scores, on=keys, how="left")}
