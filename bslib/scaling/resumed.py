"""Trapped or not yet done? A run that was ended by its budget is resumed.

A run in a minimum stays where it is, with a gradient of nearly zero. One that was only
under-trained goes on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn

from bslib import stats, training
from bslib.data import Task
from bslib.scaling import equal_budgets, tuned
from bslib.scaling.protocol import Sweep
from bslib.stats.estimate import Estimate, refused

BEFORE, RESUMED = "at equal epochs", "resumed"
SMALLEST = "the smallest batch at equal epochs"
_AGAIN = 10_000  # the resumed runs' order of examples: this far from their first one's seeds
_COLUMNS = ["seed", "batch_size", "learning_rate", "outcome", "loss_before", "loss_after"]
_COLUMNS += ["gradient_before", "gradient_after", "accuracy_before", "accuracy_after"]


@dataclass(frozen=True)
class Resumed:
    """Runs of one batch size, before and after they were resumed.

    Attributes:
        runs: a row a seed: ``batch_size``, ``learning_rate``, ``outcome`` of the tuning, and,
            each with ``_before`` and ``_after``: ``loss`` (training), ``gradient`` (norm of
            the training loss's gradient) and ``accuracy`` (validation). Empty where the size
            had no learning rate.
        curves: ``seed``, ``step``, ``loss`` and ``part``, which is "at equal epochs" or
            "resumed"; steps are counted through.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame

    def level(self, others: pd.DataFrame) -> pd.DataFrame:
        """Return where the smallest batch ended at equal epochs, as a line under the curves.

        Its geometric mean training loss, at the first and the last step of the curves, from
        :attr:`bslib.scaling.equal_budgets.EqualBudgets.runs`.
        """
        ends = others[others["budget"] == equal_budgets.EPOCHS]
        ends = ends[ends["batch_size"] == ends["batch_size"].min()]
        loss = stats.geometric_mean(ends["train_loss"].to_numpy(float)).value
        if self.curves.empty or loss is None:
            return pd.DataFrame({"step": [], "loss": [], "part": []})
        steps = [self.curves["step"].min(), self.curves["step"].max()]
        return pd.DataFrame({"step": steps, "loss": loss, "part": SMALLEST})


def resume(task: Task, swept: Sweep, *, batch_size: int, epochs: int, times: int = 10) -> Resumed:
    """Repeat a size's trainings at equal epochs, and go on for ``times`` as long.

    The resumed part has the same learning rate and a cosine of its own.

    Args:
        task: what the sweep trained on.
        swept: at equal epochs; gives the rate and the fresh seeds.
        batch_size, epochs: of the trainings.
        times: how many times as long the resumed part is.

    Cost: (1 + times) epochs of every fresh seed, and a gradient over the training set twice.
    """
    runs = equal_budgets.fresh(swept)
    runs = runs[runs["batch_size"] == batch_size]
    if runs.empty:
        return Resumed(
            pd.DataFrame(columns=_COLUMNS), pd.DataFrame(columns=["seed", "step", "loss", "part"])
        )
    seeds = runs["seed"].tolist()
    first = _train(task, runs, seeds, epochs * len(task.train))
    again = [seed + _AGAIN for seed in seeds]
    second = _train(task, runs, again, times * epochs * len(task.train), initial=first)
    found = runs[["seed", "batch_size", "learning_rate", "outcome"]].reset_index(drop=True)
    for name, trained in (("before", first), ("after", second)):
        found[f"loss_{name}"] = trained.members["train_loss"].to_numpy(float)
        found[f"gradient_{name}"] = _gradient_norms(task, trained)
        found[f"accuracy_{name}"] = trained.members["validation_accuracy"].to_numpy(float)
    taken = int(first.members["steps"].max())
    parts = [_curve(first, seeds, BEFORE), _curve(second, seeds, RESUMED, taken)]
    return Resumed(found[_COLUMNS], pd.concat(parts, ignore_index=True))


def _train(
    task: Task,
    runs: pd.DataFrame,
    seeds: Sequence[int],
    examples: int,
    initial: training.Training | None = None,
) -> training.Training:
    batch_size = int(runs["batch_size"].iloc[0])
    return training.train(
        task,
        batch_size=batch_size,
        learning_rates=runs["learning_rate"].tolist(),
        seeds=seeds,
        budget=training.Budget(examples=examples),
        schedule="cosine",
        initial=initial,
        evaluate_every=tuned.evaluation_steps(math.ceil(examples / batch_size), 0.15),
    )


def _curve(
    trained: training.Training, seeds: Sequence[int], part: str, taken: int = 0
) -> pd.DataFrame:
    rows = trained.history[trained.history["step"] > 0]
    return pd.DataFrame(
        {
            "seed": np.asarray(seeds)[rows["member"].to_numpy(int)],
            "step": rows["step"].to_numpy(int) + taken,
            "loss": rows["train_loss"].to_numpy(float),
            "part": part,
        }
    )


def _gradient_norms(task: Task, trained: training.Training) -> list[float]:
    modules = [trained.module(member) for member in range(len(trained.members))]
    return [gradient_norm(module, task) for module in modules]


def gradient_norm(module: nn.Module, task: Task) -> float:
    """Return the Euclidean norm of the gradient of the mean loss over the training set."""
    loss = task.loss(module(task.train.inputs), task.train.targets).mean()
    parts = torch.autograd.grad(loss, list(module.parameters()))
    return math.sqrt(sum(float(part.double().square().sum()) for part in parts))


def arms(
    runs: pd.DataFrame,
    reaching: pd.DataFrame,
    resumed: pd.DataFrame,
    *,
    batch_sizes: Sequence[int],
) -> dict[str, Estimate]:
    """Estimate what is said of a large batch: fewer steps, an early end, worse results.

    Args:
        runs: of :class:`bslib.scaling.equal_budgets.EqualBudgets`.
        reaching: :func:`bslib.scaling.equal_budgets.fresh` of the sweep to a common loss.
        resumed: of :class:`Resumed`.
        batch_sizes: that were asked for.
    """
    small, large = min(batch_sizes), max(batch_sizes)
    budgets = {
        f"generalisation at {budget}": equal_budgets.gap(
            runs[runs["budget"] == budget], small, large
        )
        for budget in (equal_budgets.EPOCHS, equal_budgets.STEPS)
    }
    reason = equal_budgets.untuned(reaching, batch_sizes)
    iterations = (
        refused(reason) if reason else stats.exponent(reaching, x="batch_size", y="steps_to_target")
    )
    return {
        "iterations": iterations,
        "a premature minimum": _left_over(resumed, large),
        **budgets,
    }


def _left_over(resumed: pd.DataFrame, batch_size: int) -> Estimate:
    """Return the loss after over that before: the geometric mean over seeds, Student's t."""
    if reason := equal_budgets.untuned(resumed, [batch_size]):
        return refused(reason)
    ratio = resumed["loss_after"].to_numpy(float) / resumed["loss_before"].to_numpy(float)
    return stats.geometric_mean(ratio)
