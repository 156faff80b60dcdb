"""The mean of per-step ratios beside the pooled statistic: a trap that is only shown."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from bslib.data import Task
from bslib.noise.exact_noise_scale import exact_noise_scale
from bslib.noise.gradient_variance import trained_checkpoints
from bslib.noise.gradients import per_example_gradients
from bslib.noise.noise_scale import noise_scale, of_gram
from bslib.stats.samples import Floats
from bslib.training import Progress


def mean_of_ratios(
    task: Task,
    *,
    steps: int,
    seeds: Sequence[int],
    learning_rate: float = 0.05,
    micro_batch_size: int = 8,
    accumulation_steps: int = 4,
    draws: int = 64,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Estimate one noise scale in two ways from the same gradients, beside its exact value.

    At the end of a plain SGD training the weights are frozen and ``draws`` steps are drawn, each
    of ``accumulation_steps`` micro-batches of ``micro_batch_size`` independent examples. Each
    step alone has unbiased estimates of |G|^2 and tr S. Their ratio is taken once, of all
    micro-batches pooled (:func:`bslib.noise.noise_scale`), and once a step and then averaged,
    which converges to nothing: |G|^2 of a step is near zero or negative where noise dominates.

    Returns:
        One row a seed: ``exact``, of all training examples; ``pooled``, with the interval's
        ends ``low`` and ``high``; ``mean_of_ratios``. All in examples; NaN where refused.

    Cost: the training, and the per-example gradients of the training set twice, held once.
    """
    trained = trained_checkpoints(task, steps, learning_rate, seeds)
    rows: list[dict[str, float]] = []
    for seed, (*_, module) in trained.items():
        gradients = per_example_gradients(module, task.train, task.loss)
        shape = (draws * accumulation_steps, micro_batch_size)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(len(gradients), shape, generator=generator)
        means = torch.stack([gradients[each].mean(dim=0) for each in drawn])
        gram = (means @ means.T).double().cpu().numpy()
        exact = exact_noise_scale(module, task.train, task.loss).estimate
        pooled = noise_scale(of_gram(gram, micro_batch_size))
        row = {"exact": exact.value, "pooled": pooled.value, "low": pooled.low, "high": pooled.high}
        shown = {name: math.nan if value is None else value for name, value in row.items()}
        averaged = _mean_of_ratios(gram, micro_batch_size, accumulation_steps)
        rows.append({"seed": seed, **shown, "mean_of_ratios": averaged})
        progress(len(rows), len(seeds))
    return pd.DataFrame(rows)


def _mean_of_ratios(gram: Floats, micro_batch_size: int, count: int) -> float:
    starts = range(0, len(gram), count)
    blocks = [gram[start : start + count, start : start + count] for start in starts]
    pairs = [of_gram(each, micro_batch_size).signal_and_trace() for each in blocks]
    return float(np.mean([trace / signal for signal, trace in pairs]))
