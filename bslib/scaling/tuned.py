"""Tuned sweeps by name: what notebooks hand to :func:`bslib.sweeps.shared`.

All arguments are plain literals, and what comes back is the two tables of a
:class:`bslib.scaling.protocol.Sweep` (``Sweep(**tables)`` makes one of them again).
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from bslib import data, models, training
from bslib import device as devices
from bslib.refusal import Refusal
from bslib.scaling import crossing, protocol, rules
from bslib.scaling.protocol import Members, Progress
from bslib.training import optimizers

_FRESH = 1_000  # the reruns' seeds start this far above the grid's


@dataclass(frozen=True)
class _OnTask:
    """Trains on one task: the settings that all batch sizes share."""

    task: data.Task
    model: Callable[..., nn.Module]
    optimizer: Mapping[str, Any]
    settings: Mapping[str, Any]

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
        weight_decays: Sequence[float] = (),
    ) -> Members:
        settings = dict(self.settings)
        optimizer = optimizer_at(batch_size, **self.optimizer)
        if weight_decays:
            optimizer = optimizers.for_members(optimizer, weight_decays)
        if most_examples < (settings["budget"].examples or 0):
            settings["budget"] = training.Budget(examples=math.ceil(most_examples))
        trained = training.train(
            self.task,
            batch_size=batch_size,
            learning_rates=learning_rates,
            seeds=seeds,
            model=self.model,
            optimizer=optimizer,
            **settings,
        )
        target = settings.get("target")
        return Members(
            trained.members if target is None else crossing.steps_to_target(trained, target)
        )


def _on_task(
    task: str,
    examples: int | None,
    seed: int,
    device: str,
    model: str | None,
    options: Mapping[str, int] | None,
    optimizer: Mapping[str, Any] | None,
) -> _OnTask:
    loaded = data.load(task, examples=examples, seed=seed, device=devices.resolve(device))
    build = functools.partial(models.build, model or loaded.model, loaded, **(options or {}))
    return _OnTask(loaded, build, optimizer or {}, {})


def optimizer_at(
    batch_size: int, *, name: str = "sgd", beta2_half_life: float = 0.0
) -> training.Optimizer:
    """Return the optimiser ``name`` for a batch size.

    With ``beta2_half_life`` above 0, Adam's second moment forgets half after that many
    examples at any batch size (:func:`bslib.scaling.rules.adam_half_life`).
    """
    optimizer = optimizers.resolve(name)
    if beta2_half_life <= 0:
        return optimizer
    if not isinstance(optimizer, training.Adam):
        raise Refusal(f"beta2_half_life is for Adam, and optimizer {name!r} has no beta2")
    return replace(optimizer, betas=(optimizer.betas[0], 0.5 ** (batch_size / beta2_half_life)))


def to_target(
    *,
    task: str,
    batch_sizes: Sequence[int],
    metric: str,
    value: float,
    most_examples: int,
    learning_rate: float,
    noise_scale: float,
    seeds: int,
    grid_seeds: int = 0,
    seed: int = 0,
    examples: int | None = None,
    model: str | None = None,
    options: Mapping[str, int] | None = None,
    optimizer: Mapping[str, Any] | None = None,
    points: int = 5,
    factor: float = 2.0,
    resolution: float = 0.1,
    patience: float = 4.0,
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> dict[str, pd.DataFrame]:
    """Sweep to a target, the learning rate tuned at every batch size.

    Args:
        task, examples, model, options: by name, as for ``data.load`` and ``models.build``.
        batch_sizes: what is compared.
        metric, value: the target, such as ``"train_loss"``, 0.5.
        most_examples: the budget of each training, in examples.
        learning_rate, noise_scale: the grids' centers are learning_rate /
            (1 + noise_scale / B).
        seeds: how many, of the grid and again of the reruns.
        grid_seeds: how many of the grid, where that is another number than ``seeds``.
        seed: the first seed, also of the task's data.
        optimizer: arguments of :func:`optimizer_at`.
        points, factor: of the grids.
        resolution: evaluations are this far apart, as a fraction of the steps; the steps to
            target are interpolated between them.
        patience: of :func:`bslib.scaling.protocol.sweep`.
        device: where to train.
        progress: told after every batch size.
    """
    target = training.Target(metric, value)
    settings = {
        "budget": training.Budget(examples=most_examples),
        "target": target,
        "evaluate_every": evaluation_steps(most_examples // min(batch_sizes) + 1, resolution),
        "evaluate_on": (target.part,),
    }
    on_task = _on_task(task, examples, seed, device, model, options, optimizer)
    swept = protocol.sweep(
        replace(on_task, settings=settings),
        batch_sizes,
        functools.partial(rules.saturating, learning_rate, noise_scale),
        seeds=range(seed, seed + (grid_seeds or seeds)),
        fresh_seeds=_fresh(seed, seeds),
        points=points,
        factor=factor,
        patience=patience,
        progress=progress,
    )
    return {"runs": swept.runs, "winners": swept.winners}


def fixed_budget(
    *,
    task: str,
    batch_sizes: Sequence[int],
    learning_rate: float,
    noise_scale: float,
    seeds: int,
    epochs: int = 0,
    steps: int = 0,
    seed: int = 0,
    examples: int | None = None,
    model: str | None = None,
    options: Mapping[str, int] | None = None,
    optimizer: Mapping[str, Any] | None = None,
    schedule: str = "cosine",
    metric: str = "validation_accuracy",
    points: int = 5,
    factor: float = 2.0,
    weight_decays: Sequence[float] = (),
    grid_seeds: int = 0,
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> dict[str, pd.DataFrame]:
    """Sweep at equal examples (``epochs``) or equal steps (``steps``), tuned at every size.

    Args:
        epochs, steps: the budget; exactly one of them is above 0.
        schedule: of the learning rate, over the budget.
        metric: at the end of the budget, what the learning rate is chosen by. The members
            hold the test part's metrics too, for the report.
        weight_decays: tuned along with the rate at every size where given, from 0 up; the
            winners then have a column ``weight_decay``.
        grid_seeds: how many of the grid, where that is another number than ``seeds``.

    The other arguments are those of :func:`to_target`.
    """
    if (epochs > 0) == (steps > 0):
        raise Refusal(f"exactly one of epochs and steps is above 0, not {epochs} and {steps}")
    on_task = _on_task(task, examples, seed, device, model, options, optimizer)
    if metric.endswith("accuracy") and on_task.task.kind != "classification":
        raise Refusal(f"task {task!r} has no accuracy to choose a learning rate by")
    count = epochs * len(on_task.task.train)
    settings = {
        "budget": training.Budget(steps=steps) if steps else training.Budget(examples=count),
        "schedule": schedule,
        "evaluate_on": ("train", "validation", "test"),
    }
    swept = protocol.sweep(
        replace(on_task, settings=settings),
        batch_sizes,
        functools.partial(rules.saturating, learning_rate, noise_scale),
        metric=metric,
        seeds=range(seed, seed + (grid_seeds or seeds)),
        fresh_seeds=_fresh(seed, seeds),
        points=points,
        factor=factor,
        weight_decays=weight_decays,
        progress=progress,
    )
    return {"runs": swept.runs, "winners": swept.winners}


def _fresh(first: int, count: int) -> range:
    """Return the reruns' seeds."""
    return range(first + _FRESH, first + _FRESH + count)


def evaluation_steps(last: int, resolution: float = 0.1) -> list[int]:
    """Return steps to ``last`` or just beyond, each ``resolution`` (or 1) after the one before.

    The rounded powers of 1 + resolution: the same steps whatever ``last`` is.
    """
    count = int(np.ceil(np.log(max(last, 2)) / np.log1p(resolution))) + 1
    return [int(step) for step in np.unique(((1 + resolution) ** np.arange(count)).round())]
