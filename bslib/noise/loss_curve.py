"""How rough a loss curve is: the loss that is displayed, and the loss that is minimised.

The displayed loss is that of the mini-batch which is about to be learnt from. It is noisy
because the batch is a sample, even if the weights stand still, and because the weights
jitter. Only the loss over the whole training set shows the second alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bslib.data import Task
from bslib.training import Budget, Progress, Training, train

FIXED = "fixed"
SCALED = "scaled with the batch size"


@dataclass(frozen=True)
class LossCurves:
    """Roughness of loss curves, and the curves themselves.

    Attributes:
        noise: one row a rule, batch size and seed, with standard deviations about the local
            trend over the second half of training: ``displayed_sd`` (from step to step),
            ``windowed_sd`` (displayed loss averaged over windows of as many examples as the
            largest batch holds), ``full_sd`` (whole training set), and ``predicted_sd``,
            what sampling alone would make of the displayed loss at the last weights.
        curves: one row a rule, batch size and evaluation, for the first seed: ``step``,
            ``examples``, ``displayed`` and ``full`` loss.
    """

    noise: pd.DataFrame
    curves: pd.DataFrame


def loss_curves(
    task: Task,
    *,
    batch_sizes: Sequence[int],
    learning_rate: float,
    steps: int,
    seeds: Sequence[int],
    evaluations: int = 96,
    progress: Progress | None = None,
) -> LossCurves:
    """Train at each batch size under two learning-rate rules, and measure the roughness.

    Under the fixed rule every size takes ``steps`` steps at ``learning_rate``. Under the
    scaled rule size B takes B/B0 times the rate and B0/B times the steps, with B0 the
    smallest size (linear scaling: Goyal et al., 2017). Learning rate times steps, the time of
    gradient flow, is so the same in all runs: they are compared at equal progress, and the
    full loss is read at the same instants of that time.

    Cost: sum over B of steps B (1 + B0/B) examples, and ``evaluations`` passes over the
    training set for each run.
    """
    window = max(batch_sizes)
    noise, curves = [], []
    for rule, size, training in under_rules(
        task,
        batch_sizes=batch_sizes,
        learning_rate=learning_rate,
        steps=steps,
        seeds=seeds,
        evaluations=evaluations,
        progress=progress,
        evaluate_on=("train",),
        record_batch_loss=True,
    ):
        where = {"rule": rule, "batch_size": size}
        rows = ({**where, **row} for row in _roughness(task, training, size, window, seeds))
        noise.append(pd.DataFrame(rows))
        curves.append(_curve(training).assign(rule=rule, batch_size=size))
    return LossCurves(pd.concat(noise, ignore_index=True), pd.concat(curves, ignore_index=True))


def rates(batch_sizes: Sequence[int], learning_rate: float) -> dict[str, list[float]]:
    """Return the learning rates of the batch sizes under the two rules of :func:`loss_curves`."""
    smallest = min(batch_sizes)
    return {
        FIXED: [learning_rate for _ in batch_sizes],
        SCALED: [learning_rate * size / smallest for size in batch_sizes],
    }


def under_rules(
    task: Task,
    *,
    batch_sizes: Sequence[int],
    learning_rate: float,
    steps: int,
    seeds: Sequence[int],
    evaluations: int,
    progress: Progress | None = None,
    **options: Any,
) -> Iterator[tuple[str, int, Training]]:
    """Train each rule's batch sizes in turn, a member a seed: rule, batch size, training.

    At the smallest size the rules are one, and it is trained once. ``options`` are those of
    :func:`bslib.training.train`; the rest is explained at :func:`loss_curves`.
    """
    by_rule = rates(batch_sizes, learning_rate)
    runs = [
        (rule, *run) for rule in by_rule for run in zip(batch_sizes, by_rule[rule], strict=True)
    ]
    trained: dict[tuple[int, float], Training] = {}
    for done, (rule, size, rate) in enumerate(runs):
        if progress is not None:
            progress(done, len(runs))
        count = max(2, round(steps * learning_rate / rate))
        if (size, rate) not in trained:
            trained[size, rate] = train(
                task,
                batch_size=size,
                learning_rates=[rate] * len(seeds),
                seeds=seeds,
                budget=Budget(steps=count),
                evaluate_every=max(1, count // evaluations),
                **options,
            )
        yield rule, size, trained[size, rate]
    if progress is not None:
        progress(len(runs), len(runs))


def roughness(series: Tensor) -> Tensor:
    """Standard deviation of ``series`` (..., T) about its local trend, over the last axis.

    From pseudo-residuals e_t = x_t - (x_{t-1} + x_{t+1})/2, which a straight trend leaves at
    zero; their variance is 3/2 of the variance of white noise. Source: Gasser, Sroka and
    Jennen-Steinmetz (1986), Biometrika 73, equation 1. Noise that is correlated from one
    entry to the next is under-read.
    """
    if series.shape[-1] < 3:
        return torch.full(series.shape[:-1], torch.nan)
    residuals = series[..., 1:-1] - (series[..., 2:] + series[..., :-2]) / 2
    return (residuals.square().mean(dim=-1) / 1.5).sqrt()


def window_means(series: Tensor, length: int) -> Tensor:
    """Means over consecutive windows of ``length`` entries; a ragged end is left out."""
    whole = series.shape[-1] // length * length
    return series[..., :whole].unflatten(-1, (-1, length)).mean(dim=-1)


def sampling_sd(losses: Tensor, batch_size: int) -> float:
    """Standard deviation of a mini-batch's mean loss when the weights stand still.

    sqrt(Var_i(l_i) / B (N - B)/(N - 1)) for losses (N,), variance with divisor N: a mean
    of B drawn without replacement from N (Cochran, 1977, theorem 2.2).
    """
    examples = len(losses)
    correction = (examples - batch_size) / (examples - 1)
    return (losses.var(correction=0).item() / batch_size * correction) ** 0.5


def _roughness(
    task: Task, training: Training, batch_size: int, window: int, seeds: Sequence[int]
) -> Iterator[dict[str, float]]:
    assert training.batch_losses is not None
    for member, seed in enumerate(seeds):
        history = training.history[training.history["member"] == member]
        full = torch.tensor(history["train_loss"].to_numpy(dtype=np.float64))
        displayed = training.batch_losses[member].cpu().double()
        displayed = displayed[len(displayed) // 2 :]
        module = training.module(member)
        with torch.no_grad():
            losses = task.loss(module(task.train.inputs), task.train.targets)
        yield {
            "seed": seed,
            "displayed_sd": roughness(displayed).item(),
            "windowed_sd": roughness(window_means(displayed, window // batch_size)).item(),
            "full_sd": roughness(full[len(full) // 2 :]).item(),
            "predicted_sd": sampling_sd(losses.double(), batch_size),
        }


def _curve(training: Training) -> pd.DataFrame:
    assert training.batch_losses is not None
    history = training.history[training.history["member"] == 0]
    history = history[history["step"] > 0]
    displayed = training.batch_losses[0].cpu()[torch.tensor(history["step"].to_numpy()) - 1]
    return pd.DataFrame(
        {
            "step": history["step"],
            "examples": history["examples"],
            "displayed": displayed.numpy(),
            "full": history["train_loss"],
        }
    )
