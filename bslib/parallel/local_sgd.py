"""Local SGD, simulated: workers that take steps of their own and average their weights at times.

With one step between averages it is synchronous SGD on the workers' shared batch, since the mean
of their steps is the step of their mean gradient. With more, the same examples are paid for with
less communication (Lin et al. 2020; Douillard et al. 2023, with an outer optimiser).
"""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import nn

from bslib import models, training
from bslib.data import Task

# Apart from a sweep's seeds; each stretch between averages draws its examples anew.
FRESH = 10_000
# Steps between evaluations of the shared batch.
EVERY = 4


def runs(
    task: Task,
    *,
    workers: int,
    local_batch_size: int,
    learning_rates: Sequence[float],
    steps: int,
    local_steps: Sequence[int],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Train with each number of local steps between averages.

    Args:
        task: what is learnt, with its model.
        workers: replicas, on one device.
        local_batch_size: examples a worker and step, drawn with replacement.
        learning_rates: of plain SGD; for each choice the one with the lowest last loss is kept.
        steps: of each worker, a multiple of every number of local steps.
        local_steps: what is compared.
        seeds: a training each, of initial weights and of examples.

    Returns:
        A row a choice, seed and average: ``local_steps``, ``seed``, ``learning_rate``, ``step``,
        ``sent_mb`` (by each worker until then, over a ring: 2 (n - 1) / n of the weights for each
        average) and ``train_loss`` of the average.

    Cost: an engine's start and two evaluations for each average of more than one local step.
    """
    pairs = [(rate, seed) for rate in learning_rates for seed in seeds]
    parts = [
        _shared(task, workers, local_batch_size, pairs, steps)
        if each == 1
        else _averaged(task, workers, local_batch_size, pairs, steps, each)
        for each in local_steps
    ]
    return pd.concat([_best(part) for part in parts], ignore_index=True)


def _best(found: pd.DataFrame) -> pd.DataFrame:
    last = found[found["step"] == found["step"].max()]
    means = last.groupby("learning_rate")["train_loss"].mean()
    return found[found["learning_rate"] == means.idxmin()]


def _shared(
    task: Task,
    workers: int,
    local_batch_size: int,
    pairs: Sequence[tuple[float, int]],
    steps: int,
) -> pd.DataFrame:
    """Take the workers' shared steps as what they are: those of one large batch."""
    trained = training.train(
        task,
        batch_size=workers * local_batch_size,
        learning_rates=[rate for rate, _ in pairs],
        seeds=[seed for _, seed in pairs],
        budget=training.Budget(steps=steps),
        evaluate_every=EVERY,
        evaluate_on=("train",),
        replacement=True,
    )
    sent = trained.history["step"] * _sent_bytes(trained.module(0), workers) / 1e6
    kept = ["learning_rate", "seed", "step", "train_loss"]
    return trained.history[kept].assign(sent_mb=sent, local_steps=1)


def _averaged(
    task: Task,
    workers: int,
    local_batch_size: int,
    pairs: Sequence[tuple[float, int]],
    steps: int,
    local_steps: int,
) -> pd.DataFrame:
    means = [models.build(task.model, task, seed=seed) for _, seed in pairs]
    stretches = steps // local_steps
    parts = []
    for stretch in range(stretches + 1):
        trained = training.train(
            task,
            batch_size=local_batch_size,
            learning_rates=[rate for rate, _ in pairs for _ in range(workers)],
            seeds=[_seed(seed, stretch, each) for _, seed in pairs for each in range(workers)],
            initial=[mean for mean in means for _ in range(workers)],
            # the last one only evaluates the last average
            budget=training.Budget(steps=local_steps if stretch < stretches else 1),
            evaluate_on=("train",),
            replacement=True,
        )
        starts = trained.history[trained.history["step"] == 0].iloc[::workers]
        parts.append(
            pd.DataFrame(pairs, columns=["learning_rate", "seed"]).assign(
                step=stretch * local_steps,
                sent_mb=stretch * _sent_bytes(means[0], workers) / 1e6,
                train_loss=starts["train_loss"].to_numpy(),
            )
        )
        replicas = [trained.module(member) for member in range(len(pairs) * workers)]
        means = [
            average(replicas[first : first + workers]) for first in range(0, len(replicas), workers)
        ]
    return pd.concat(parts).assign(local_steps=local_steps)


def _seed(seed: int, stretch: int, worker: int) -> int:
    return FRESH + 1_000_003 * seed + 1_009 * stretch + worker


def average(replicas: Sequence[nn.Module]) -> nn.Module:
    """Return the first of the networks with the mean of all their weights."""
    first = replicas[0]
    with torch.no_grad():
        for each in zip(*(replica.parameters() for replica in replicas), strict=True):
            each[0].copy_(torch.stack([weight.detach() for weight in each]).mean(0))
    return first


def _sent_bytes(module: nn.Module, workers: int) -> float:
    weights = sum(each.nbytes for each in module.parameters())
    return 2 * (workers - 1) / workers * weights


def curve(found: pd.DataFrame) -> pd.DataFrame:
    """Return the mean loss over seeds: ``sent_mb``, ``train_loss``, ``between`` (in words).

    Without the start, where nothing is sent.
    """
    keys = ["local_steps", "sent_mb"]
    table = found[found["step"] > 0].groupby(keys, as_index=False)["train_loss"].mean()
    return table.assign(between=[f"{each}" for each in table["local_steps"]])
