"""Does training oscillate? The loss over the whole training set, read along the trajectory.

The standard deviation is about a smooth trend of the whole window, not about a local one
(:func:`bslib.noise.roughness`): slow swings count as oscillation, the descent does not.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bslib import stats
from bslib.data import Task
from bslib.noise.loss_curve import FIXED, SCALED, under_rules
from bslib.stats.estimate import Estimate
from bslib.training import Budget, Progress, train

DEGREE = 5
ROUNDING = 1e-6  # of a float32 mean, relative

_ARMS = {"least squares": "least squares", "network": "a network"}
_RULES = {
    FIXED: "at a fixed learning rate",
    SCALED: "at a learning rate scaled with the batch size",
}


def oscillations(
    task: Task,
    *,
    batch_sizes: Sequence[int],
    learning_rate: float,
    steps: int,
    seeds: Sequence[int],
    evaluations: int = 200,
    replacement: bool = False,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train at each batch size under two learning-rate rules, and measure how the loss swings.

    The runs are those of :func:`bslib.noise.loss_curves`: learning rate times steps is equal.

    Args:
        replacement: draw each batch independently, as the closed forms of least squares have
            it, instead of epochs without replacement.
        evaluations: of the full loss, in each run that has as many steps.

    Returns:
        A row a rule, batch size and seed: ``rule``, ``batch_size``, ``seed``, ``loss_sd``
        (over the second half; NaN where the run ended early: it diverged). And the curves, a row an
        evaluation: ``rule``, ``batch_size``, ``seed``, ``progress`` (learning rate times
        steps), ``loss``.
    """
    swings, curves = [], []
    for rule, size, training in under_rules(
        task,
        batch_sizes=batch_sizes,
        learning_rate=learning_rate,
        steps=steps,
        seeds=seeds,
        evaluations=evaluations,
        progress=progress,
        evaluate_on=("train",),
        replacement=replacement,
    ):
        where = {"rule": rule, "batch_size": size}
        history = training.history
        table = history.pivot(index="step", columns="seed", values="train_loss").loc[:, list(seeds)]
        second = table.iloc[len(table) // 2 :]
        found = sd_about_trend(second.to_numpy().T)  # NaN where evaluations are missing
        swings.append(pd.DataFrame({**where, "seed": list(seeds), "loss_sd": found}))
        rows = {"seed": history["seed"], "progress": history["step"] * history["learning_rate"]}
        curves.append(pd.DataFrame({**where, **rows, "loss": history["train_loss"]}))
    return pd.concat(swings, ignore_index=True), pd.concat(curves, ignore_index=True)


def sd_about_trend(series: ArrayLike, degree: int = DEGREE) -> np.ndarray:
    """Return the standard deviation of ``series`` (..., T) about a polynomial fitted to it.

    The divisor is T - degree - 1: for white noise the square is unbiased. NaN where nothing is
    left to divide by. Swings longer than about T / degree are partly taken for the trend.
    """
    values = np.asarray(series, float)
    length = values.shape[-1]
    if length < degree + 3:
        return np.full(values.shape[:-1], np.nan)
    basis = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, length), degree))[0]
    residuals = values - values @ basis @ basis.T
    return np.asarray(np.sqrt((residuals**2).sum(axis=-1) / (length - degree - 1)))


def full_batch_rises(
    task: Task, *, learning_rates: Sequence[float], steps: int, seeds: Sequence[int]
) -> pd.DataFrame:
    """Descend with all examples in every step, and count the steps at which the loss rises.

    Without sampling, nothing but curvature can make it rise. A row a rate and seed:
    ``learning_rate``, ``seed``, ``rises``: the share of the second half's steps, where a rise
    is more than what float32 rounds. NaN where the run diverged.
    """
    pairs = [(rate, seed) for rate in learning_rates for seed in seeds]
    training = train(
        task,
        batch_size=len(task.train),
        learning_rates=[rate for rate, _ in pairs],
        seeds=[seed for _, seed in pairs],
        budget=Budget(steps=steps),
        evaluate_every=1,
        evaluate_on=("train",),
    )
    rows = []
    for member, (rate, seed) in enumerate(pairs):
        history = training.history[training.history["member"] == member]
        losses = history["train_loss"].to_numpy(float)
        diverged = training.members["status"].iloc[member] == "diverged"
        rises = np.diff(losses) > ROUNDING * losses[:-1]
        share = np.nan if diverged else float(np.mean(rises[steps // 2 :]))
        rows.append({"learning_rate": rate, "seed": seed, "rises": share})
    return pd.DataFrame(rows)


def arms(swings: pd.DataFrame, highest: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the exponents in the batch size: of each loss's swing, and of the highest rate.

    Args:
        swings: of :func:`oscillations`, with ``model``: "least squares" or "network".
        highest: of :func:`bslib.scaling.stability.highest_rates`.
    """
    found = {
        f"{_ARMS[model]} {_RULES[rule]}": stats.exponent(
            swings[(swings["model"] == model) & (swings["rule"] == rule)],
            x="batch_size",
            y="loss_sd",
        )
        for model in _ARMS
        for rule in _RULES
    }
    rate = stats.exponent(highest, x="batch_size", y="learning_rate")
    return {**found, "the largest stable learning rate": rate}


def joined(models: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join tables of :func:`oscillations`, by model, into one with a column ``model``."""
    return pd.concat([table.assign(model=name) for name, table in models.items()])
