"""Escape from a local minimum: SGD in one dimension, where theory gives the rate.

U(x) = (x^2 - 1)^2 / 4 - t x has a local minimum on the left, a barrier, and a lower minimum on
the right. Every example's gradient is U'(x) plus noise of standard deviation s, so that a batch
of B has the standard deviation s / sqrt(B), and SGD at learning rate eta is a particle in U at
the temperature eta s^2 / (2 B). Kramers (1940, Physica 7, 284) gives its rate of escape,

    rate = eta sqrt(U''(left) |U''(top)|) / (2 pi) exp(-2 B dU / (eta s^2))

per step, dU being the height of the barrier: ln(rate) falls with B at the slope
-2 dU / (eta s^2). It holds where dU is well above the temperature, and for small eta.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bslib import stats
from bslib.stats.estimate import Estimate

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]  # (done, total)

TILT = 0.1  # t
LEARNING_RATE = 0.05  # eta
DEVIATION = 4.0  # s
BATCH_SIZES = (4, 6, 8, 12)
STEPS, PARTICLES = 2_000, 200


def height(x: Floats | float) -> Floats | float:
    """Return U(x)."""
    return (x * x - 1) ** 2 / 4 - TILT * x


def stationary_points() -> tuple[float, float, float]:
    """Return the left minimum, the top of the barrier and the right minimum: U'(x) = 0."""
    left, top, right = np.sort(np.roots([1.0, 0.0, -1.0, -TILT]).real)
    return float(left), float(top), float(right)


def kramers_slope() -> float:
    """Return d ln(rate) / dB = -2 dU / (eta s^2)."""
    left, top, _ = stationary_points()
    return float(-2 * (height(top) - height(left)) / (LEARNING_RATE * DEVIATION**2))


def kramers(batch_sizes: Sequence[int] = BATCH_SIZES) -> pd.DataFrame:
    """Return Kramers' rates of escape per step: ``batch_size``, ``escape_rate``."""
    left, top, _ = stationary_points()
    curvature = math.sqrt((3 * left**2 - 1) * (1 - 3 * top**2))
    factor = LEARNING_RATE * curvature / (2 * math.pi)
    rates = [factor * math.exp(kramers_slope() * size) for size in batch_sizes]
    return pd.DataFrame({"batch_size": list(batch_sizes), "escape_rate": rates})


def escapes(
    seeds: Sequence[int],
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    particles: int = PARTICLES,
    steps: int = STEPS,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Let particles start in the left minimum, and count those that reach the right one.

    Returns:
        One row a seed and batch size: ``escape_rate``, escapes over the steps that particles spent
        before theirs (the maximum-likelihood rate of an exponential time, censored at
        ``steps``), and ``escaped``, the share that did.

    Cost: particles times steps normal numbers for each seed and batch size.
    """
    rows = []
    for done, size in enumerate(batch_sizes):
        progress(done, len(batch_sizes))
        times = np.stack([_times(size, particles, steps, seed) for seed in seeds])
        out = times <= steps
        exposed = np.minimum(times, steps).sum(1)
        part = {"seed": list(seeds), "escape_rate": out.sum(1) / exposed, "escaped": out.mean(1)}
        rows.append(pd.DataFrame({"batch_size": size} | part))
    progress(len(batch_sizes), len(batch_sizes))
    return pd.concat(rows, ignore_index=True)


def _times(batch_size: int, particles: int, steps: int, seed: int) -> NDArray[np.int64]:
    """Return the step at which each particle first is beyond the right minimum; else steps + 1."""
    generator = np.random.default_rng([seed, batch_size])
    left, _, right = stationary_points()
    x, times = np.full(particles, left), np.full(particles, steps + 1)
    kick = LEARNING_RATE * DEVIATION / math.sqrt(batch_size)
    for step in range(1, steps + 1):
        noise = generator.standard_normal(len(x))
        x += kick * noise - LEARNING_RATE * (x * x * x - x - TILT)
        times[(x > right) & (times > steps)] = step
    return times


def slope_over_kramers(runs: pd.DataFrame) -> Estimate:
    """Return the slope of ln(rate) on B over Kramers', a slope a seed, Student's t over seeds.

    Where nothing escaped at some batch size, its rate has no logarithm, and nothing is estimated.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(runs["escape_rate"]) / kramers_slope()
    return stats.slope_by_seed(runs.assign(log_rate=logs), x="batch_size", y="log_rate")
