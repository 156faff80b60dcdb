"""What a learning rate costs that was tuned for another batch size, and whether it is stable."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from bslib import noise, stats, training
from bslib.data import Task
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size, equal_budgets
from bslib.scaling.equal_budgets import EPOCHS, STEPS, EqualBudgets
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused

APART = 8.0  # batch sizes at least this far apart are judged
FARTHEST = 16.0  # and at equal steps, where large batches cost most, less far apart than this
BELOW, ABOVE = (f"retuning {side} the critical batch size" for side in ("below", "above"))
STABILITY = "stability of a large batch"
# The stability runs' rate at the smallest batch, as a share of the tuned one: the rates tuned
# under a cosine lie so close to their limit that a scaled constant rate would run away.
CALM = 0.25
EVALUATIONS = 64


def regrets(
    task: Task,
    budgets: EqualBudgets,
    *,
    epochs: int,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Train every batch size at the rates that were tuned for the others.

    All others at equal epochs; at equal steps those eight to sixteen times smaller or larger.

    The trainings have the seeds of the size's own fresh ones, so that what is lost is paired;
    where two sizes have the same rate it is 0 without one.

    Args:
        task: what the sweeps trained on.
        budgets: gives rates, seeds and the accuracies to compare with.
        epochs: of the budget at equal epochs.
        progress: told after every batch size and budget.

    Returns:
        A row a budget, pair of sizes and seed: ``budget``, ``tuned_for``, ``batch_size``
        (trained at), ``seed``, ``learning_rate``, ``regret`` in points of test accuracy, and
        ``outcome``, "tuned" where both sizes are.
    """
    runs = budgets.runs
    groups = list(runs[["budget", "batch_size"]].drop_duplicates().itertuples(index=False))
    parts: list[pd.DataFrame] = []
    for done, (budget, size) in enumerate(groups):
        progress(done, len(groups))
        rows = runs[runs["budget"] == budget]
        own, others = rows[rows["batch_size"] == size], rows[rows["batch_size"] != size]
        if budget == STEPS:
            ratio = np.maximum(others["batch_size"] / size, size / others["batch_size"])
            others = others[(ratio >= APART) & (ratio < FARTHEST)]
        length = _budget(budgets, budget, epochs * len(task.train))
        parts += _regrets_at(task, own, others, length)
    progress(len(groups), len(groups))
    columns = ["budget", "tuned_for", "batch_size", "seed", "learning_rate", "regret", "outcome"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


def _budget(budgets: EqualBudgets, budget: str, examples: int) -> training.Budget:
    if budget == EPOCHS:
        return training.Budget(examples=examples)
    return training.Budget(steps=int(budgets.steps.runs["steps"].max()))


def _regrets_at(
    task: Task, own: pd.DataFrame, others: pd.DataFrame, budget: training.Budget
) -> Iterator[pd.DataFrame]:
    size, rate = int(own["batch_size"].iloc[0]), float(own["learning_rate"].iloc[0])
    rates = others.groupby("batch_size").first()[["learning_rate", "outcome"]]
    new = sorted(set(rates["learning_rate"]) - {rate})
    pairs = [(each, seed) for each in new for seed in own["seed"]]
    accuracy = {rate: own["test_accuracy"].to_numpy(float)}
    if pairs:
        trained = train_at(task, size, pairs, budget).members["test_accuracy"].to_numpy(float)
        accuracy |= dict(zip(new, trained.reshape(len(new), -1), strict=True))
    for other, foreign, outcome in rates.itertuples():
        words = {own["outcome"].iloc[0], outcome} - {"tuned"}
        yield own[["budget", "batch_size", "seed"]].assign(
            tuned_for=other,
            learning_rate=foreign,
            regret=100 * (accuracy[rate] - accuracy[foreign]),
            outcome=next(iter(sorted(words)), "tuned"),
        )


def train_at(
    task: Task, size: int, pairs: Sequence[tuple[float, int]], budget: training.Budget
) -> training.Training:
    """Train a member for each (rate, seed), as the sweeps do, and test it at the end."""
    return training.train(
        task,
        batch_size=size,
        learning_rates=[rate for rate, _ in pairs],
        seeds=[seed for _, seed in pairs],
        budget=budget,
        schedule="cosine",
        evaluate_on=("train", "test"),
    )


def roughness(
    task: Task,
    swept: Sweep,
    *,
    batch_sizes: Sequence[int],
    steps: int,
) -> pd.DataFrame:
    """Train a larger batch at the smallest batch's rate, and at that rate scaled with the batch.

    The larger is the first at least ``APART`` times the smallest. Rates are constant, and start
    from a quarter of the one tuned for the smallest.

    Args:
        task: what to train on.
        swept: gives the rate and the seeds.
        batch_sizes: that were asked for.
        steps: at the smallest rate; all trainings cover the same learning rate times steps.

    Returns:
        A row a seed: ``batch_size``, ``learning_rate`` (the smallest batch's), ``small_rate_sd``
        and ``scaled_rate_sd`` of the loss over the training set about its local trend
        (:func:`bslib.noise.roughness`), infinite where it diverged, and ``outcome``.
    """
    small = min(batch_sizes)
    large = next((size for size in sorted(batch_sizes) if size >= APART * small), max(batch_sizes))
    own = equal_budgets.fresh(swept)
    own = own[own["batch_size"] == small]
    columns = ["seed", "batch_size", "learning_rate", "small_rate_sd", "scaled_rate_sd", "outcome"]
    if own.empty:
        return pd.DataFrame(columns=columns)
    rate, ratio = CALM * float(own["learning_rate"].iloc[0]), large / small
    fluctuates = partial(_deviations, task, large, own["seed"].tolist())
    found = own[["seed", "outcome"]].assign(batch_size=large, learning_rate=rate)
    found["small_rate_sd"] = fluctuates(rate, steps)
    found["scaled_rate_sd"] = fluctuates(rate * ratio, max(8, round(steps / ratio)))
    return found[columns].reset_index(drop=True)


def _deviations(
    task: Task, size: int, seeds: Sequence[int], rate: float, steps: int
) -> list[float]:
    """Return each seed's standard deviation of the loss over the second half of the steps."""
    trained = training.train(
        task,
        batch_size=size,
        learning_rates=[rate] * len(seeds),
        seeds=seeds,
        budget=training.Budget(steps=steps),
        evaluate_every=max(1, steps // EVALUATIONS),
        evaluate_on=("train",),
    )
    late = trained.history[trained.history["step"] > steps / 2]
    curves = dict(iter(late.groupby("member")["train_loss"]))
    return [
        noise.roughness(torch.tensor(curves[member].to_numpy(float))).item()
        if status == "finished"
        else math.inf
        for member, status in trained.members[["member", "status"]].itertuples(index=False)
    ]


def arms(regrets: pd.DataFrame, reaching: pd.DataFrame, rough: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the cost of not retuning on both sides of the critical size, and the stability.

    Args:
        regrets: of :func:`regrets`.
        reaching: :func:`bslib.scaling.equal_budgets.fresh` of the sweep to a common loss; its
            tuned sizes give the critical batch size.
        rough: of :func:`roughness`.
    """
    critical = critical_size(reaching)
    found = {side: _regret(regrets, side, critical) for side in (BELOW, ABOVE)}
    return found | {STABILITY: _stability(rough)}


def critical_size(reaching: pd.DataFrame) -> Estimate:
    """Estimate the critical batch size from the sizes that were tuned, or say why not."""
    try:
        return critical_batch_size.fit(reaching[reaching["outcome"] == "tuned"]).critical_batch_size
    except Refusal as refusal:
        return refused(str(refusal))


def judged(regrets: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of pairs that are far enough apart."""
    sizes = regrets[["tuned_for", "batch_size"]]
    return regrets[sizes.max(axis=1) >= APART * sizes.min(axis=1)]


def _regret(regrets: pd.DataFrame, side: str, critical: Estimate) -> Estimate:
    """Average a seed's regrets over pairs, directions and budgets; Student's t over seeds."""
    if critical.value is None:
        return refused(f"no critical batch size: {critical.reason}")
    rows = judged(regrets)
    sizes = rows[["tuned_for", "batch_size"]]
    inside = sizes <= critical.value if side == BELOW else sizes >= critical.value
    rows = rows[inside.all(axis=1)]
    if rows.empty:
        return refused(
            f"no two batch sizes {APART:g} times apart lie on this side of the critical one, "
            f"{critical.value:.3g}"
        )
    failed = rows[rows["outcome"] != "tuned"]
    if len(failed):
        pair = failed[["tuned_for", "batch_size", "outcome"]].iloc[0].tolist()
        return refused("batch sizes {} and {}: {}".format(*pair))
    return stats.mean(rows.groupby("seed")["regret"].mean().to_numpy())


def _stability(rough: pd.DataFrame) -> Estimate:
    """Return the ratio of the two deviations.

    The mean over seeds is taken of the small rate's share a / (a + b) of their sum, which stays
    bounded where a run diverges, and the share is turned back into a ratio.
    """
    if rough.empty or rough["outcome"].iloc[0] != "tuned":
        word = "unreached" if rough.empty else rough["outcome"].iloc[0]
        return refused(f"the smallest batch size has no tuned rate: {word}")
    small, scaled = (rough[name].to_numpy(float) for name in ("small_rate_sd", "scaled_rate_sd"))
    if both := int((np.isinf(small) & np.isinf(scaled)).sum()):
        return refused(f"{both} of {len(rough)} seeds diverge at both rates", n=len(rough))
    with np.errstate(divide="ignore"):
        return _odds(stats.mean(1 / (1 + scaled / small)))


def _odds(share: Estimate) -> Estimate:
    if share.value is None:
        return share
    low, value, high = (
        math.inf if each >= 1 else max(0.0, each) / (1 - each)
        for each in (share.low, share.value, share.high)
    )
    return Estimate(
        value, low, high, share.level, share.n, share.reason,
        recompute=lambda level: _odds(share.at(level)),
    )  # fmt: skip
