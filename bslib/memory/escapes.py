"""Claim 3.7: a plain step, one that recomputes activations, and one that accumulates."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from bslib import models, stats
from bslib.data import Task
from bslib.memory.allocator import peak_bytes
from bslib.memory.full_batch import MB, larger_half
from bslib.memory.law import MemoryLaw, memory_law
from bslib.memory.optimizers import Named
from bslib.memory.recompute import Recomputed
from bslib.memory.step import UPDATE, TrainingStep, training_step
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate, refused

Progress = Callable[[int, int], None]  # (done, total)

PLAIN, RECOMPUTED, ACCUMULATED = "plain", "activations recomputed", "micro-batches accumulated"
# Each way in its optimiser's three sizes of state: nothing, a velocity, two moments.
OPTIMIZERS = ("sgd", "momentum", "adam")


def networks(
    task: Task,
    *,
    width: int,
    depth: int,
    micro_batch_size: int,
    optimizer: str,
    seed: int,
    seeds: int,
) -> Iterator[dict[str, TrainingStep]]:
    """Iterate over seeds: steps by way, on a perceptron of the seed's weights.

    Recomputation is in sqrt(depth) stretches of layers, which holds least.
    """
    for each in range(seed, seed + seeds):
        module: Any = models.build("mlp", task, seed=each, width=width, depth=depth)
        plain = training_step(task, module, optimizer=optimizer)
        yield {
            PLAIN: plain,
            RECOMPUTED: replace(plain, module=_recomputed(plain.module, depth)),
            ACCUMULATED: replace(plain, micro_batch_size=micro_batch_size),
        }


def measure(
    task: Task,
    *,
    batch_sizes: Sequence[int],
    progress: Progress = lambda done, total: None,
    **setting: Any,
) -> pd.DataFrame:
    """Measure and predict the peak of each way at each batch size.

    Args:
        setting: what :func:`networks` takes.

    Returns:
        A row a seed, way and size: ``seed``, ``way``, ``batch_size``, ``peak_memory_mb`` from
        the allocator, second step; ``predicted_mb`` by the law.
    """
    rows = []
    laws: dict[str, MemoryLaw] = {}  # the first seed's: fake tensors do not see the weights
    for seed, steps in enumerate(networks(task, **setting)):
        laws = laws or {way: memory_law(step) for way, step in steps.items()}
        for way, size in itertools.product(steps, batch_sizes):
            micro = min(size, steps[way].micro_batch_size or size)
            law = laws[PLAIN if micro == size and way == ACCUMULATED else way]
            row = {"seed": seed, "way": way, "batch_size": size}
            row |= {"peak_memory_mb": peak_bytes(steps[way], size) / MB}
            rows.append(row | {"predicted_mb": law.peak_bytes(micro) / MB})
            progress(len(rows), setting["seeds"] * len(steps) * len(batch_sizes))
    return pd.DataFrame(rows)


def predicted(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the law's peaks to draw: ``way``, ``batch_size``, ``peak_memory_mb``."""
    once = runs[runs["seed"] == runs["seed"].min()]
    return once[["way", "batch_size"]].assign(peak_memory_mb=once["predicted_mb"])


def arms(runs: pd.DataFrame, *, batch_sizes: Sequence[int]) -> dict[str, Estimate]:
    """Return what claim 3.7 judges, from measured peaks; intervals are Student's t over seeds.

    Exponents are fitted to the larger half of the batch sizes. What a further example needs is
    the slope between the two largest sizes.
    """
    larger = runs[runs["batch_size"].isin(larger_half(batch_sizes))]
    exponents = stats.exponents(larger, x="batch_size", y="peak_memory_mb", by="way")
    return {
        "a plain step": exponents[PLAIN],
        "with recomputed activations": _slope_ratio(runs),
        "with accumulated micro-batches": exponents[ACCUMULATED],
    }


def bytes_per_weight(task: Task, *, width: int, depth: int, seed: int) -> pd.DataFrame:
    """Return what is alive before the update at a batch of nothing, over the weights.

    The law's a_t at the first operation of the optimiser's second step: weights, gradients and
    state. In single precision 4 bytes each.
    """
    module = models.build("mlp", task, seed=seed, width=width, depth=depth)
    weights = sum(each.numel() for each in module.parameters())
    rows = []
    for name in OPTIMIZERS:
        law = memory_law(training_step(task, module, optimizer=Named(name)))
        phases = [phase for _, phase in law.operations]
        fixed = float(law.fixed_bytes[phases.index(UPDATE)])
        rows.append({"optimizer": name, "bytes_per_weight": fixed / weights})
    return pd.DataFrame(rows)


def by_depth(task: Task, depths: Sequence[int], *, width: int, seed: int) -> pd.DataFrame:
    """Return the law's slope with recomputation over that without, for networks of these depths.

    Columns ``depth``, ``slope_ratio`` and ``way``; beside it 2 / sqrt(depth), which the count
    of held layers gives.
    """
    rows = []
    for depth in depths:
        module = models.build("mlp", task, seed=seed, width=width, depth=depth)
        plain = training_step(task, module)
        slopes = [
            memory_law(step, check=None).bytes_per_example.max()
            for step in (replace(plain, module=_recomputed(plain.module, depth)), plain)
        ]
        rows.append({"depth": depth, "slope_ratio": slopes[0] / slopes[1], "way": "the law"})
    counted = [
        {"depth": depth, "slope_ratio": min(1.0, 2 / np.sqrt(depth)), "way": "2 / sqrt(depth)"}
        for depth in depths
    ]
    return pd.DataFrame(rows + counted)


def _recomputed(module: nn.Module, depth: int) -> Recomputed:
    if not isinstance(module, nn.Sequential):
        raise Refusal("recomputation here needs a network that is a chain of layers")
    return Recomputed(module, max(1, round(depth**0.5)))


def _slope_ratio(runs: pd.DataFrame) -> Estimate:
    table = runs.pivot(index=["way", "seed"], columns="batch_size", values="peak_memory_mb")
    if table.shape[1] < 2:
        return refused("one batch size gives no slope", n=runs["seed"].nunique())
    rises = table.iloc[:, -1] - table.iloc[:, -2]
    return stats.mean((rises[RECOMPUTED] / rises[PLAIN]).to_numpy())
