"""From the three measurements to time against batch size: the fastest size, and how sure it is.

T(B) = S(B) t(B), with S(B) = S_min (1 + B_crit / B) steps to a target and t(B) = c + B / (n r)
seconds a step of n devices; c is what a step costs whatever its batch: t0, and the all-reduce of
the gradient where there are several. Its least is at B* = sqrt(B_crit n r c)
(:mod:`bslib.scaling.time_to_target`, with B_half = n r c). S_min is not known, and drops out:
times are relative to the best.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bslib.parallel.cost_model import CostModel, Network
from bslib.scaling import time_to_target
from bslib.stats import Estimate

# The noise scale stands in for the critical batch size. It was 0.05 to 8 times as large or small in
# the literature (McCandlish et al. 2018, table 1), and in the trainings of this book mostly larger,
# by up to about this factor (benchmarks/results/advice.json).
STAND_IN = 3.0
# Examples: so large that in the laws it is as good as infinite, to rounding.
UNBOUNDED = 1e30
# A size is said to be flat, or near enough, within so much of the best time.
FLAT = 0.1
# Beyond so much more time than the best, at worst, the data cannot tell.
CANNOT_TELL = 1.5
STATISTICS, THROUGHPUT, BOTH, MEMORY, NETWORK, DATA = (
    "statistics", "throughput", "both", "memory", "network", "data",
)  # fmt: skip
NO_NETWORK = Network("none", 0.0, math.inf)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Devices:
    """How many share a step, and what a step costs on them.

    Attributes:
        world_size: n.
        fixed_time_s, example_time_s: t0 and 1 / r of one device.
        gradient_bytes: added up between the devices in each step.
        network: between them; None for one device.
    """

    world_size: int
    fixed_time_s: float
    example_time_s: float
    gradient_bytes: int = 0
    network: Network | None = None

    @property
    def model(self) -> CostModel:
        """What a step costs, on machines of their own and without overlap."""
        network = self.network or NO_NETWORK
        return CostModel(self.fixed_time_s, self.example_time_s, self.gradient_bytes, network)

    @property
    def communication_s(self) -> float:
        """Seconds of the all-reduce in a step."""
        return float(self.model.communication_s(self.world_size))

    @property
    def half_batch_size(self) -> float:
        """B_half of all devices together: n r (t0 + communication)."""
        fixed = self.fixed_time_s + self.communication_s
        return self.world_size * fixed / self.example_time_s

    def step_time_s(self, batch_size: ArrayLike) -> Floats:
        """Return t(B) of a global batch."""
        local = np.asarray(batch_size, float) / self.world_size
        return self.model.step_time_s(local, self.world_size)


@dataclass(frozen=True)
class Range:
    """Where the critical batch size and B_half may lie."""

    critical: tuple[float, float, float]  # low, value, high; the last may be infinite
    half: tuple[float, float, float]

    @property
    def value(self) -> tuple[float, float]:
        """The pair of values."""
        return self.critical[1], self.half[1]

    @property
    def corners(self) -> list[tuple[float, float]]:
        """All pairs of ends and values."""
        return list(itertools.product(self.critical, self.half))


def possible(critical: Estimate, half: Estimate, scale: float = 1.0) -> Range:
    """Return where both may lie: the noise scale's interval, widened by ``STAND_IN``.

    Args:
        critical: of :func:`bslib.advise.critical.critical`.
        half: B_half of one device.
        scale: what B_half of all devices is over that.
    """
    value = math.inf if critical.value is None else critical.value
    low = min(max(critical.low, 1.0), value)
    ends = low / STAND_IN, value, critical.high * STAND_IN
    assert half.value is not None
    halves = tuple(scale * each for each in (half.low, half.value, half.high))
    return Range(ends, (halves[0], halves[1], halves[2]))


def slowdown(
    batch_size: ArrayLike, pair: tuple[float, float], most: float, least: float = 1.0
) -> Floats:
    """Return T(B) over its least between ``least`` and ``most``.

    Args:
        pair: a critical and a half batch size; either may be infinite.
    """
    critical, half = (min(each, UNBOUNDED) for each in pair)
    best = min(max(time_to_target.best_batch_size(critical, half), least), most)

    def taken(size: ArrayLike) -> Floats:
        return time_to_target.seconds(
            size,
            minimal_steps=1.0,
            critical_batch_size=critical,
            maximal_throughput=1.0,
            half_batch_size=half,
        )

    return np.asarray(taken(batch_size) / taken(best))


def band(sizes: ArrayLike, where: Range, most: float, least: float = 1.0) -> pd.DataFrame:
    """Return the slowdown at sizes: ``batch_size``, ``relative_time``, ``low``, ``high``.

    ``low`` and ``high`` are over all corners of the range; each corner has its own best size.
    """
    size = np.asarray(sizes, float)
    corners = np.array([slowdown(size, pair, most, least) for pair in where.corners])
    value = slowdown(size, where.value, most, least)
    ends = {"low": corners.min(axis=0), "high": corners.max(axis=0)}
    return pd.DataFrame({"batch_size": size, "relative_time": value, **ends})


def best(critical: Estimate, half: Estimate, scale: float = 1.0) -> Estimate:
    """Estimate B* = sqrt(B_crit B_half); its interval holds both ranges' corners."""
    where = possible(critical, half, scale)
    low, high = (math.sqrt(where.critical[end] * where.half[end]) for end in (0, 2))
    if math.isinf(where.critical[1]):
        return Estimate(None, low, high, critical.level, critical.n, critical.reason)
    value = time_to_target.best_batch_size(*where.value)
    return Estimate(value, low, high, critical.level, critical.n, critical.reason)


def round_sizes(world_size: int, smallest: int, most: int) -> list[int]:
    """Return global batches worth naming: a power of two a device, up to the largest that fits.

    The largest itself is among them, rounded down to a multiple of eight a device where it is
    that large.
    """
    local_most = max(1, most // world_size)
    powers = [2**power for power in range(local_most.bit_length()) if 2**power >= smallest]
    cap = local_most // 8 * 8 if local_most >= 16 else local_most
    local = sorted({*powers, cap}) if cap >= smallest else powers
    return [world_size * each for each in local or [local_most]]


def choose(candidates: Sequence[int], where: Range, most: int, least: int = 1) -> tuple[int, float]:
    """Return the round size with the least time, and its slowdown at worst over the range.

    Where the critical batch size has no finite value, the one whose worst case is least.
    """
    table = band(candidates, where, most, least)
    column = "high" if math.isinf(where.critical[1]) else "relative_time"
    at = int(table[column].to_numpy(float).argmin())
    return int(candidates[at]), float(table["high"].iloc[at])


def flat(where: Range, smallest: int, most: int, within: float = FLAT) -> tuple[int, int]:
    """Return the sizes between which T is within a fraction of the best one that fits."""
    sizes = np.unique(np.geomspace(smallest, most, 2_000).round().astype(int))
    near = sizes[slowdown(sizes, where.value, most, smallest) <= 1 + within]
    return int(near.min()), int(near.max())


def binding(where: Range, best_size: float, cap: int, capped_by: str, devices: Devices) -> str:
    """Say what keeps the batch from being larger.

    The cap, where B* lies beyond it. Where the all-reduce is most of what a step costs whatever
    its batch, the network. Else the smaller of B_crit and B_half decides: above B_crit more
    examples do not save steps (statistics); above B_half more examples do not save time an
    example (throughput). Where either may be the smaller, both.
    """
    if best_size > cap and capped_by:
        return capped_by
    if devices.communication_s > devices.fixed_time_s:
        return NETWORK
    if where.critical[2] < where.half[0]:
        return STATISTICS
    return THROUGHPUT if where.half[2] < where.critical[0] else BOTH
