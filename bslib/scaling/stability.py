"""The largest learning rate at which least squares does not diverge, and how it swings below.

Beside the closed forms of :mod:`bslib.scaling.least_squares`, which hold for the mean over all
draws of the batches, and are known before any training.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bslib import device as devices
from bslib.data import Task, linear_regression
from bslib.scaling import least_squares
from bslib.scaling.protocol import Progress
from bslib.training import Budget, train

LOWEST, HIGHEST = 0.001, 4.0


def highest_rates(
    batch_sizes: Sequence[int],
    *,
    seed: int,
    seeds: int,
    examples: int = 8_192,
    steps: int = 200,
    halvings: int = 9,
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Find by bisection the rate above which plain SGD on least squares does not converge.

    Without label noise, batches drawn with replacement: at a stable rate the loss goes to zero,
    at any other it grows without bound, and the two are told apart by whether it ends above
    its start. All seeds search side by side, each on its own initial weights and batches,
    which are the same at all rates.

    Cost: ``halvings`` trainings of ``steps`` steps at each batch size.

    Args:
        seed: of the inputs, and the first of ``seeds``.
        examples: at least as many as the largest batch.
        halvings: of ln(rate), from 0.001 to 4, which cannot be stable at any batch size.
        progress: told after every training.

    Returns:
        A row a batch size and seed: ``batch_size``, ``seed``, ``learning_rate``.
    """
    task = linear_regression.load(max(examples, *batch_sizes), seed, noise=0.0)
    task = task.to(devices.resolve(device))
    each, rows = list(range(seed, seed + seeds)), []
    for number, size in enumerate(batch_sizes):
        low, high = np.full(seeds, math.log(LOWEST)), np.full(seeds, math.log(HIGHEST))
        for halving in range(halvings):
            progress(number * halvings + halving, len(batch_sizes) * halvings)
            middle = (low + high) / 2
            stable = _ends_below(task, size, np.exp(middle), each, steps)
            low, high = np.where(stable, middle, low), np.where(stable, high, middle)
        rates = np.exp((low + high) / 2)
        rows.append(pd.DataFrame({"batch_size": size, "seed": each, "learning_rate": rates}))
    progress(len(batch_sizes) * halvings, len(batch_sizes) * halvings)
    return pd.concat(rows, ignore_index=True)


def predicted_rates(batch_sizes: Sequence[int], points: int = 60) -> pd.DataFrame:
    """Return the curve of the mean's limit, 2 B / (B + d + 1), over the range of batch sizes.

    Columns ``batch_size``, ``learning_rate`` and ``law``, its name.
    """
    sizes = np.geomspace(min(batch_sizes), max(batch_sizes), points)
    highest = least_squares.highest_learning_rate(sizes, linear_regression.DIMENSIONS)
    law = "2B / (B + d + 1)"
    return pd.DataFrame({"batch_size": sizes, "learning_rate": highest, "law": law})


def predicted_swings(
    batch_sizes: Sequence[int], rates: Mapping[str, Sequence[float]]
) -> pd.DataFrame:
    """Return what the stationary error makes of the loss's swing on ``linear-regression``.

    To first order in the rate the error is Gaussian and the same in all d dimensions, so that
    the excess loss |e|^2 / 2 has a standard deviation of sqrt(2 / d) times its mean.

    Args:
        rates: the learning rate at each batch size, by rule.

    Returns:
        A row a rule and batch size: ``rule``, ``batch_size``, ``loss_sd``; missing where the
        rate is not stable.
    """
    d, s = linear_regression.DIMENSIONS, linear_regression.NOISE
    frames = []
    for rule, each in rates.items():
        error = least_squares.stationary_error(each, batch_sizes, d, s)
        swing = np.where(np.isfinite(error), error, np.nan) / 2 * math.sqrt(2 / d)
        frames.append(pd.DataFrame({"rule": rule, "batch_size": batch_sizes, "loss_sd": swing}))
    return pd.concat(frames, ignore_index=True)


def _ends_below(
    task: Task, batch_size: int, rates: np.ndarray, seeds: Sequence[int], steps: int
) -> np.ndarray:
    """Say for each seed whether its training at its rate ends with less loss than it began."""
    training = train(
        task,
        batch_size=batch_size,
        learning_rates=rates.tolist(),
        seeds=seeds,
        budget=Budget(steps=steps),
        evaluate_on=("train",),
        replacement=True,
    )
    start = training.history[training.history["step"] == 0].sort_values("member")
    end = training.members["train_loss"].to_numpy(float)
    return np.asarray(end < start["train_loss"].to_numpy(float))
