"""Full-batch training with noise put into its gradient on purpose.

Two kinds, both with the total variance of the gradient of a random batch of B examples,
tr C = (tr S / B) (N - B)/(N - 1):

``EXAMPLES``
    the batch's own covariance: examples get random weights w_i, and the gradient is
    (1/N) sum_i w_i g_i. See :func:`example_weights`.
``ISOTROPIC``
    as much in every direction: the exact gradient plus N(0, tr C / P) in each of the P
    parameters. tr S is computed exactly at every step, from the norms of all examples' gradients.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bslib import models
from bslib.data import Task
from bslib.noise.batch_variance import predicted_variance
from bslib.refusal import Refusal
from bslib.training import Progress
from bslib.training.evaluation import metrics
from bslib.training.linear_stack import LinearStack
from bslib.training.stacking import choose, stack

EXAMPLES, ISOTROPIC = "examples", "isotropic"
_PURPOSE = 0x4E4F  # keeps the noise's stream apart from others of one seed


def example_weights(draws: Tensor, batch_size: int) -> Tensor:
    """Return w_i = 1 + a (xi_i - mean xi), a^2 = N (N - B) / (B (N - 1)), for draws xi (..., N).

    For xi of unit variance, independent of each other, (1/N) sum_i w_i g_i has the mean and the
    covariance of the gradient of B examples drawn without replacement. The centring matters:
    without it the trace grows by a^2 |g|^2 / N, since the weights' mean then fluctuates too.
    """
    examples = draws.shape[-1]
    variance = examples * (examples - batch_size) / (batch_size * (examples - 1))
    return 1 + math.sqrt(variance) * (draws - draws.mean(-1, keepdim=True))


def full_batch(
    task: Task,
    *,
    noise: str,
    batch_size: int,
    learning_rate: float,
    seeds: Sequence[int],
    steps: int,
    evaluations: int = 8,
    model: str = "mlp",
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Train by plain SGD on all examples with injected noise, a member a seed, side by side.

    Initial weights are those that :func:`bslib.training.train` draws from the same seeds; the
    noise's stream is another. A member's noise depends on its own seed alone.

    Args:
        task: a classification or regression.
        noise: ``EXAMPLES`` or ``ISOTROPIC``.
        batch_size: B, whose noise is imitated; N stands for none.
        learning_rate: constant.
        seeds: a member each.
        steps: how many.
        evaluations: about how many, at equal distances, and one at the end.
        model: fully connected (:mod:`bslib.training.linear_stack`).
        progress: told after every step.

    Returns:
        A row a member and evaluation: ``seed``, ``learning_rate``, ``step``, and loss (and
        accuracy) of the training and validation examples, as they are, finite or not.

    Cost: a step over all examples for each of ``steps``, and for isotropic noise about a quarter
    more.
    """
    examples = len(task.train)
    if not 1 <= batch_size <= examples:
        raise Refusal(f"batch_size must be 1 to {examples:,} (the examples), not {batch_size}")
    if noise not in STEPS:
        raise Refusal(f"noise {noise!r} is unknown; use one of {', '.join(STEPS)}")
    modules = [models.build(model, task, seed=seed) for seed in seeds]
    strategy = choose(modules[0], task.train.inputs.device.type, "stacked")
    every, rows = max(1, steps // evaluations), []
    with torch.no_grad():
        stacked = stack(modules, task, strategy)
        assert isinstance(stacked, LinearStack)
        step = STEPS[noise](stacked, batch_size, learning_rate, seeds)
        for number in range(1, steps + 1):
            step()
            if number % every == 0 or number == steps:
                table = metrics(stacked, task, ("train", "validation"))
                moment = {"seed": list(seeds), "learning_rate": learning_rate, "step": number}
                rows.append(pd.DataFrame(moment | table))
            progress(number, steps)
    return pd.concat(rows, ignore_index=True)


def noise_trace(stacked: LinearStack, gradient: Tensor, batch_size: int) -> Tensor:
    """Return tr C (K,) of batches of B, from the (K, P) gradient of a step over all examples."""
    examples = len(stacked.train)
    squares = examples**2 * stacked.squared_norms()  # a step leaves gradients over N
    trace = squares.mean(1) - gradient.square().sum(1)
    (factor,) = predicted_variance(1.0, [batch_size], examples)
    return factor * trace


class _Draws:
    """Standard normal numbers, a row a member, each from its own stream."""

    def __init__(self, seeds: Sequence[int], columns: int, like: Tensor) -> None:
        self.rows = like.new_empty(len(seeds), columns)
        self._generators = [_generator(seed, like.device) for seed in seeds]

    def next(self) -> Tensor:
        for row, generator in zip(self.rows, self._generators, strict=True):
            row.normal_(generator=generator)
        return self.rows


def _generator(seed: int, device: torch.device) -> torch.Generator:
    state = int(np.random.SeedSequence([seed, _PURPOSE]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(state >> 1)


def _by_examples(
    stacked: LinearStack, batch_size: int, learning_rate: float, seeds: Sequence[int]
) -> Callable[[], None]:
    draws = _Draws(seeds, len(stacked.train), stacked.weights)
    stacked.bind(stacked.weights, 1.0)

    def step() -> None:
        weights = example_weights(draws.next(), batch_size)
        stacked.accumulate(None, -learning_rate * weights, record=False)

    return step


def _isotropic(
    stacked: LinearStack, batch_size: int, learning_rate: float, seeds: Sequence[int]
) -> Callable[[], None]:
    parameters = sum(each.numel() for each in stacked.template.parameters())  # P, unpadded
    draws = _Draws(seeds, parameters, stacked.weights)
    gradient = torch.zeros_like(stacked.weights)
    stacked.bind(gradient, 0.0)

    def step() -> None:
        stacked.accumulate(None, None, record=False)
        deviation = (noise_trace(stacked, gradient, batch_size) / parameters).sqrt()
        stacked.weights.add_(gradient, alpha=-learning_rate)
        noise = draws.next().mul_(deviation.unsqueeze(1))
        stacked.weights[:, :parameters].add_(noise, alpha=-learning_rate)

    return step


STEPS = {EXAMPLES: _by_examples, ISOTROPIC: _isotropic}
