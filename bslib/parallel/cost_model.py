"""What a step costs on n workers: compute, and an all-reduce of the gradient.

One worker takes t0 + b / r for b examples (:mod:`bslib.throughput.law`). n workers of b examples
each take sharing (t0 + b / r) + overhead + ring(n), where

    ring(n) = 2 (n - 1) latency + 2 (n - 1) / n  gradient bytes / bandwidth

is the ring all-reduce (Patarasuk and Yuan 2009; Thakur, Rabenseifner and Gropp 2005): each
worker sends 2 (n - 1) messages of an n-th of the gradient. Compute and communication may
overlap: with ``overlap`` g the two times C and R make (C^g + R^g)^(1/g), their sum at g = 1 and
the larger of the two as g grows (Qiao et al. 2021, equation 8).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from bslib import throughput
from bslib.refusal import Refusal
from bslib.throughput import StepTimeLaw

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """What connects the workers: ``latency_s`` a message, ``bandwidth`` in bytes a second."""

    name: str
    latency_s: float
    bandwidth: float

    def ring_s(self, workers: ArrayLike, message_bytes: float) -> Floats:
        """Return the seconds of a ring all-reduce; 0 for one worker."""
        n = np.asarray(workers, float)
        return 2 * (n - 1) * self.latency_s + 2 * (n - 1) / n * message_bytes / self.bandwidth


# Orders of magnitude a direction and device: NVLink of an H100 (NVIDIA 2023), NDR InfiniBand,
# 10 and 1 gigabit Ethernet.
NETWORKS = (
    Network("NVLink", 5e-6, 400e9),
    Network("InfiniBand", 1e-5, 50e9),
    Network("10 Gb Ethernet", 5e-5, 1.25e9),
    Network("1 Gb Ethernet", 1e-4, 0.125e9),
)


@dataclass(frozen=True)
class CostModel:
    """Step times of any number of workers.

    Attributes:
        fixed_time_s, example_time_s: of one worker's step: t0 and 1 / r.
        gradient_bytes: added up between the workers in each step.
        network: between the workers.
        sharing: by how much workers on one machine slow each other's compute.
        overhead_s: what sharing a step costs besides, whatever the network.
        overlap: from 1, no overlap, upwards.
    """

    fixed_time_s: float
    example_time_s: float
    gradient_bytes: int
    network: Network
    sharing: float = 1.0
    overhead_s: float = 0.0
    overlap: float = 1.0

    def compute_s(self, local_batch_size: ArrayLike) -> Floats:
        """Return the seconds that one worker alone takes for ``local_batch_size`` examples."""
        return self.fixed_time_s + self.example_time_s * np.asarray(local_batch_size, float)

    def communication_s(self, workers: ArrayLike) -> Floats:
        """Return the seconds a step that sharing it costs, before any overlap."""
        several = np.asarray(workers, float) > 1
        return self.network.ring_s(workers, self.gradient_bytes) + self.overhead_s * several

    def step_time_s(self, local_batch_size: ArrayLike, workers: ArrayLike) -> Floats:
        """Return the seconds of a step of ``workers`` with so many examples each."""
        sharing = np.where(np.asarray(workers) > 1, self.sharing, 1.0)
        compute, network = sharing * self.compute_s(local_batch_size), self.communication_s(workers)
        power = self.overlap
        return np.asarray((compute**power + network**power) ** (1 / power))

    def efficiency(self, local_batch_size: ArrayLike, workers: ArrayLike) -> Floats:
        """Return throughput over ``workers`` times that of one with the same local batch."""
        return self.step_time_s(local_batch_size, 1) / self.step_time_s(local_batch_size, workers)

    def on(self, network: Network) -> "CostModel":
        """Return the model of machines of their own on another network."""
        return replace(self, network=network, sharing=1.0)


def fit(times: pd.DataFrame, messages: pd.DataFrame, fitted_on: Sequence[int]) -> CostModel:
    """Fit the model to part of the measured step times.

    Args:
        times, messages: of :func:`bslib.parallel.timing.measure`.
        fitted_on: the local batch sizes used; the others are held out. One worker's law and
            the two constants of several, ``sharing`` and ``overhead_s`` (least squares in
            relative error, neither below what it can be), are fitted to these alone.
    """
    used = times[times["local_batch_size"].isin(list(fitted_on))]
    several = used[used["world_size"] > 1]
    if several["local_batch_size"].nunique() < 2:
        raise Refusal(f"a cost model takes two local batch sizes or more, not {list(fitted_on)}")
    workers = int(several["world_size"].iloc[0])
    alone = used[used["world_size"] == 1].rename(columns={"local_batch_size": "batch_size"})
    law = throughput.fit_law(alone)
    network = fit_network(messages)
    gradient_bytes = int(times["gradient_bytes"].iloc[0])
    ring = float(network.ring_s(workers, gradient_bytes))
    medians = several.groupby("local_batch_size")["step_time_s"].median()
    compute = law.step_time_s(medians.index.to_numpy(float))
    sharing, constant = _constants(compute, medians.to_numpy(float), ring)
    fixed, rate = _values(law)
    return CostModel(fixed, 1 / rate, gradient_bytes, network, sharing, constant - ring)


def _constants(compute: Floats, measured: Floats, ring: float) -> tuple[float, float]:
    """Return sharing >= 1 and constant >= ring that make sharing compute + constant."""
    design = np.column_stack([compute, np.ones_like(compute)]) / measured[:, None]
    extra, _ = nnls(design, 1 - design @ [1.0, ring])
    return 1.0 + float(extra[0]), ring + float(extra[1])


def _values(law: StepTimeLaw) -> tuple[float, float]:
    """Return t0 and r as fitted, whether or not their intervals are narrow."""
    fixed = float(law.step_time_s(1e-9))
    return fixed, 1 / float(law.step_time_s(1e9) / 1e9)


def fit_network(messages: pd.DataFrame) -> Network:
    """Fit latency and bandwidth of the ring to all-reduce times."""
    workers = int(messages["world_size"].iloc[0])
    medians = messages.groupby("bytes")["seconds"].median()
    size, seconds = medians.index.to_numpy(float), medians.to_numpy(float)
    columns = np.column_stack(
        [np.full_like(size, 2 * (workers - 1)), 2 * (workers - 1) / workers * size]
    )
    (latency, inverse), _ = nnls(columns / seconds[:, None], np.ones_like(seconds))
    if inverse <= 0:
        raise Refusal("all-reduce times do not grow with the message: send larger ones")
    return Network("measured", float(latency), float(1 / inverse))


def efficiencies(times: pd.DataFrame) -> pd.DataFrame:
    """Return ``local_batch_size``, ``round``, ``efficiency``: one worker's time over several's."""
    table = times.pivot_table(
        index=["local_batch_size", "round"], columns="world_size", values="step_time_s"
    )
    ratio = table[1] / table[max(table.columns)]
    return ratio.rename("efficiency").reset_index()
