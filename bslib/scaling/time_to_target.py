"""Seconds to target: the law of steps times the law of step time.

T(B) = S(B) t(B) = S_min (1 + B_crit / B) (B + B_half) / r_max, which is least at the
geometric mean of the two sizes: below it the hardware idles, above it examples are wasted.
A corollary of the law of steps (McCandlish et al. 2018) and of an affine step time; Pollux
(Qiao et al. 2021) maximises the same product numerically.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bslib.stats.estimate import Estimate


def seconds(
    batch_size: ArrayLike,
    *,
    minimal_steps: float,
    critical_batch_size: float,
    maximal_throughput: float,
    half_batch_size: float,
) -> NDArray[np.float64]:
    """Return T(B), with the throughput in examples a second."""
    size = np.asarray(batch_size, float)
    steps = minimal_steps * (1 + critical_batch_size / size)
    return np.asarray(steps * (size + half_batch_size) / maximal_throughput)


def best_batch_size(critical_batch_size: float, half_batch_size: float) -> float:
    """Return B* = sqrt(B_crit B_half)."""
    return math.sqrt(critical_batch_size * half_batch_size)


def fewest_seconds(
    minimal_steps: float,
    critical_batch_size: float,
    maximal_throughput: float,
    half_batch_size: float,
) -> float:
    """Return T* = S_min / r_max (sqrt(B_crit) + sqrt(B_half))^2, the time at B*."""
    roots = math.sqrt(critical_batch_size) + math.sqrt(half_batch_size)
    return minimal_steps / maximal_throughput * roots**2


def flat_region(
    critical_batch_size: float, half_batch_size: float, within: float = 0.1
) -> tuple[float, float]:
    """Return the batch sizes between which T is within a fraction ``within`` of T*.

    B + B_crit B_half / B = (1 + within) (sqrt(B_crit) + sqrt(B_half))^2 - B_crit - B_half.
    """
    if not within >= 0:
        raise ValueError(f"within must be at least 0, not {within}")
    product = critical_batch_size * half_batch_size
    roots = math.sqrt(critical_batch_size) + math.sqrt(half_batch_size)
    total = (1 + within) * roots**2 - critical_batch_size - half_batch_size
    high = (total + math.sqrt(max(total**2 - 4 * product, 0.0))) / 2
    return product / high, high


def estimated_best_batch_size(critical_batch_size: Estimate, half_batch_size: Estimate) -> Estimate:
    """Return B* with an interval from those of its two factors, taken as independent.

    On the logarithms, the distance to each end is half the root of the sum of squares of
    the two factors' distances (method of variance estimates recovery, Zou and Donner 2008).
    """
    parts = (critical_batch_size, half_batch_size)
    level, n = critical_batch_size.level, min(part.n for part in parts)
    reason = "; ".join(part.reason for part in parts if part.value is None)
    values = [part.value for part in parts if part.value is not None]
    if len(values) < 2:
        return Estimate(None, 0.0, math.inf, level, n, reason)
    value = best_batch_size(values[0], values[1])
    pairs = list(zip(values, parts, strict=True))
    low = _distance([each / part.low if part.low > 0 else math.inf for each, part in pairs])
    high = _distance([part.high / each for each, part in pairs])
    return Estimate(
        value, value / low, value * high, level, n,
        recompute=lambda other: estimated_best_batch_size(*(part.at(other) for part in parts)),
    )  # fmt: skip


def _distance(ratios: list[float]) -> float:
    logarithm = math.hypot(*(math.log(ratio) for ratio in ratios)) / 2
    return math.exp(logarithm) if logarithm < 700 else math.inf
