"""Advice on made-up measurements: what the laws give at sizes of one's choosing."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import TensorDataset

from bslib.advise.advice import Advice, Asked
from bslib.advise.conclude import Measured, conclude
from bslib.advise.memory import Memory
from bslib.advise.noise import Noise
from bslib.advise.problem import Problem
from bslib.advise.subject import Subject
from bslib.advise.throughput import Throughput
from bslib.parallel import Network
from bslib.stats import Estimate, refused
from bslib.throughput import fit_law, knee

EXAMPLES = 50_000
SLOW = Network("slow", 5e-3, 1e8)


def throughput(half: float, *, largest: int = 4096, spread: float = 0.0) -> Throughput:
    """Return step times on the law t(B) = 1 ms (1 + B / half); ``spread`` widens B_half."""
    sizes = [2**power for power in range(int(math.log2(largest)) + 1)]
    wobble = {0: 1.0, 1: 1.01, 2: 0.99}
    times = pd.DataFrame(
        [
            (size, turn, 1e-3 * (1 + size / half) * wobble[turn])
            for size in sizes
            for turn in wobble
        ],
        columns=["batch_size", "round", "step_time_s"],
    )
    low, high = half / (1.1 + spread), half * (1.1 + spread)
    return Throughput(fit_law(times), Estimate(half, low, high, n=13), knee(times), times, 90_000)


def memory(largest: int | None, *, stopped_by: str = "memory", confirmed: bool = True) -> Memory:
    """Return a memory law of 0.1 MB an example and 2 MB besides."""
    if largest is None:
        empty = pd.DataFrame(columns=["batch_size", "peak_memory_mb", "source"])
        return Memory(None, "", 10**9, False, "no law of its memory: KeyError: 'x'", empty)
    sizes = np.unique(np.geomspace(1, largest, 20).astype(int))
    told = pd.DataFrame(
        {"batch_size": sizes, "peak_memory_mb": 2 + 0.1 * sizes, "source": "the law"}
    )
    run = pd.DataFrame({"batch_size": [largest], "peak_memory_mb": [2 + 0.102 * largest]})
    peaks = pd.concat([told, run.assign(source="run")], ignore_index=True)
    limit = int(1e6 * (2 + 0.105 * largest)) if stopped_by == "memory" else 10**9
    why = "" if confirmed else "running it would take about 99 s of the budget"
    return Memory(largest, stopped_by, limit, confirmed, why, peaks if confirmed else told, 600)


def noise(critical: Estimate, *, growth: Estimate | None = None) -> Noise:
    """Return a path that grows up to the critical batch size, its first look unbounded."""
    middle = critical.value if critical.value and math.isfinite(critical.value) else 4 * 10**4
    steps = np.array([4, 8, 16, 32, 64])
    scales = middle * np.array([0.3, 0.5, 0.8, 1.1, 1.5])
    path = pd.DataFrame(
        {
            "step": steps,
            "examples": 32 * steps,
            "loss": [2.3, 2.2, 2.0, 1.7, 1.5],
            "noise_scale": scales,
            "low": scales / 1.5,
            "high": [math.inf, *(2 * scales[1:])],
            "sampled": 256,
        }
    )
    grown = growth or Estimate(0.6, 0.3, 0.9, n=5)
    return Noise(critical, grown, path, 32, 0.1, "SGD", "Euclidean", 16, None, 5_000)


def problem(*, optimizer: str = "SGD", batch_size: int | None = 32) -> Problem:
    """Return a small problem with an optimiser of that name; "" for none."""
    model = nn.Linear(4, 3)
    data = TensorDataset(torch.zeros(EXAMPLES, 4), torch.zeros(EXAMPLES, dtype=torch.int64))
    made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.1) if optimizer else None
    return Problem(model, lambda model, batch: model(batch[0]).mean(), data, made, None, batch_size)


def advice(
    *,
    critical: Estimate | None,
    half: float = 300.0,
    held: Memory | None = None,
    of: Problem | None = None,
    world_size: int = 1,
    network: Network | None = None,
    examples: int | None = EXAMPLES,
    target: str = "a made-up problem",
    doubts: tuple[str, ...] = (),
    spread: float = 0.0,
    missed: float | None = None,
) -> Advice:
    """Conclude from such measurements; ``critical`` None for no noise, ``missed`` of the law."""
    own = of or problem()
    subject = Subject(own, own.model, own.dataset.tensors, 1_000, 0.0, 1)
    name = type(own.optimizer).__name__ if own.optimizer else None
    asked = Asked(
        target, "CPU (made up)", examples, 15, name,
        own.rate, own.batch_size, world_size, network, 0, 15.0, 3.21,
    )  # fmt: skip
    speed = throughput(half, spread=spread)
    if missed is not None:
        speed = replace(speed, law=replace(speed.law, max_relative_error=missed))
    measured = Measured(
        subject,
        held or memory(8_192),
        speed,
        None if critical is None else noise(critical),
        doubts,
    )
    return conclude(own, asked, measured)


def known(value: float, factor: float = 1.2) -> Estimate:
    """Return an estimate with an interval of that factor either way."""
    return Estimate(value, value / factor, value * factor, n=5)


def certain() -> Advice:
    """Return advice that the statistics bind."""
    return advice(critical=known(200), half=900)


def throughput_bound() -> Advice:
    """Return advice that throughput binds."""
    return advice(critical=known(2_000), half=40)


def cannot_tell() -> Advice:
    """Return advice on noise whose interval has no upper end."""
    told = Estimate(900, 30, math.inf, n=5, reason="the signal is not told from zero")
    return advice(critical=told, half=300, spread=2.0)


def no_signal() -> Advice:
    """Return advice on gradients that told nothing."""
    return advice(critical=refused("the gradients told no noise from signal"))


def no_data() -> Advice:
    """Return advice on memory and throughput alone."""
    return advice(critical=None, examples=None, held=memory(512, confirmed=False), half=10)


def no_law() -> Advice:
    """Return advice without noise and without a law of memory."""
    why = "the gradient noise scale: the training ended before the noise was looked at once"
    return advice(critical=None, held=memory(None), doubts=(why,))


def memory_bound() -> Advice:
    """Return advice where a larger batch would pay but does not fit."""
    return advice(critical=known(8_000), half=700, held=memory(256))


def data_bound() -> Advice:
    """Return advice where a larger batch would pay but there are no more examples."""
    return advice(
        critical=known(8_000), half=700, held=memory(600, stopped_by="data"), examples=600
    )


def several(network: Network = SLOW) -> Advice:
    """Return advice to eight devices on a slow network, with Adam."""
    own = problem(optimizer="AdamW")
    return advice(critical=known(2_000), half=60, world_size=8, network=network, of=own)


def several_in_little_memory() -> Advice:
    """Return advice to four devices that would gain from accumulating."""
    return advice(
        critical=known(50_000), half=60, held=memory(64), world_size=4, network=SLOW,
        of=problem(optimizer=""),
    )  # fmt: skip


def hostile() -> Advice:
    """Return advice on a problem whose name is markup."""
    return replace(
        advice(critical=known(200), half=900, target='<script src="http://x.y/z.js">&"'),
        not_measured=("</ul><img src=x onerror=alert(1)>",),
    )


CASES = {
    each.__name__: each
    for each in (
        certain, throughput_bound, cannot_tell, no_signal, no_data, no_law, memory_bound,
        data_bound, several, several_in_little_memory, hostile,
    )
}  # fmt: skip
