"""The variance of the mini-batch gradient along a training, against its closed form."""

from collections.abc import Sequence

import pandas as pd
import torch

from bslib import models
from bslib.data import Task
from bslib.noise.batch_variance import (
    batch_gradient_variance,
    centred_gram,
    predicted_variance,
)
from bslib.noise.gradients import per_example_gradients
from bslib.training import Budget, Progress, train

CHECKPOINTS = ("at initialisation", "in mid-training", "after training")
TRAINING_BATCH_SIZE = 32


def gradient_variance(
    task: Task,
    *,
    batch_sizes: Sequence[int],
    draws: int,
    steps: int,
    seeds: Sequence[int],
    learning_rate: float = 0.05,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure E|g_B - g|^2 at three checkpoints of a plain SGD training, for each seed.

    A seed sets the initial weights, the order of training and the batches that are drawn,
    so that seeds are independent repeats.

    Returns:
        One row a seed, checkpoint and batch size: ``variance`` and its ``standard_error``
        over the draws; ``trace``, the exact tr S of the per-example gradients (divisor N);
        ``predicted``, the closed form; ``correction``, (N - B)/(N - 1); ``noise_scale``,
        tr S over the squared norm of the full gradient, in examples.

    Cost: for each seed and checkpoint, one pass of per-example gradients, N^2 d operations
    for their Gram matrix, and 2 draws N^2 for each batch size.
    """
    frames, total = [], len(CHECKPOINTS) * len(seeds)
    for order, (seed, modules) in enumerate(
        trained_checkpoints(task, steps, learning_rate, seeds).items()
    ):
        for number, (checkpoint, module) in enumerate(zip(CHECKPOINTS, modules, strict=True)):
            if progress is not None:
                progress(order * len(CHECKPOINTS) + number, total)
            generator = torch.Generator().manual_seed(seed)
            frame = variance_at(task, module, batch_sizes, draws=draws, generator=generator)
            frame.insert(0, "checkpoint", checkpoint)
            frame.insert(0, "seed", seed)
            frames.append(frame)
    if progress is not None:
        progress(total, total)
    return pd.concat(frames, ignore_index=True)


def variance_at(
    task: Task,
    module: torch.nn.Module,
    batch_sizes: Sequence[int],
    *,
    draws: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Measure E|g_B - g|^2 at one set of weights; columns as in :func:`gradient_variance`."""
    gradients = per_example_gradients(module, task.train, task.loss)
    gram = centred_gram(gradients)
    examples, trace = len(gradients), gram.trace().item() / len(gradients)
    frame = batch_gradient_variance(gram, batch_sizes, draws=draws, generator=generator)
    return frame.assign(
        trace=trace,
        predicted=predicted_variance(trace, batch_sizes, examples),
        correction=[(examples - size) / (examples - 1) for size in batch_sizes],
        noise_scale=trace / gradients.mean(dim=0).square().sum().item(),
    )


def trained_checkpoints(
    task: Task, steps: int, learning_rate: float, seeds: Sequence[int]
) -> dict[int, list[torch.nn.Module]]:
    """Return, for each seed, the network at initialisation, half way and at the end."""
    half = max(1, steps // 2)
    training = train(
        task,
        batch_size=min(TRAINING_BATCH_SIZE, len(task.train)),
        learning_rates=[learning_rate] * len(seeds),
        seeds=seeds,
        budget=Budget(steps=max(2, steps)),
        checkpoints=[half],
    )
    return {
        seed: [
            models.build(task.model, task, seed=seed).to(task.train.inputs),
            training.module(member, half),
            training.module(member),
        ]
        for member, seed in enumerate(seeds)
    }
