"""Advising, second measurement: what a step takes at each batch size."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from torch import nn

from bslib import device as devices
from bslib.advise.problem import Optimizer
from bslib.advise.subject import Subject
from bslib.memory import TrainingStep
from bslib.refusal import Refusal
from bslib.stats import Estimate
from bslib.throughput import StepTimeLaw, calls_for, fit_law, knee, step_times

# Sizes are tried until one is so many times the half batch size guessed so far.
REACH = 6.0
MOST_EXAMPLES = 2**20
FEWEST_ROUNDS, MOST_ROUNDS = 3, 12
BLOCK_S = {"cpu": 2e-3, "cuda": 2e-2}
# Share of the time that trying sizes out may take; the rest is for timing them in turn.
TRYING = 0.3


@dataclass(frozen=True)
class Throughput:
    """How step time grows with the batch.

    Attributes:
        law: t(B) = t0 + B / r.
        half_batch_size: B_half = t0 r; with a value even where its interval is wide.
        knee: the smallest size timed whose throughput is within a tenth of the highest.
        times: ``batch_size``, ``round``, ``step_time_s``.
        examples: how many were processed.
    """

    law: StepTimeLaw
    half_batch_size: Estimate
    knee: int
    times: pd.DataFrame = field(compare=False)
    examples: int

    @property
    def fixed_time_s(self) -> float:
        """t0: what a step costs whatever its batch."""
        return float(self.law.step_time_s(1e-9))

    @property
    def example_time_s(self) -> float:
        """1 / r: what an example adds."""
        return float(self.law.step_time_s(1e12)) / 1e12


@dataclass(frozen=True, eq=False)
class _Steps:
    """One step after another at a batch size, at a learning rate of 0."""

    step: TrainingStep
    module: nn.Module
    optimizer: Optimizer
    batch_size: int

    def __call__(self) -> None:
        self.step.take(
            self.module, self.optimizer, self.step.examples, self.batch_size, lambda phase: None
        )


def measure(
    subject: Subject,
    *,
    most: int,
    budget_s: float,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Throughput:
    """Time steps from the smallest batch up to where throughput hardly grows.

    All sizes are timed once a round, in random order. The model's and the optimiser's copies are
    shared by all sizes; at a learning rate of 0 they stay what they were, but for statistics.

    Args:
        most: no size above it is tried.
        budget_s: rounds end after so long; there are at least three.
    """
    step = subject.step()
    module = copy.deepcopy(step.module)
    optimizer = step.optimizer([each for each in module.parameters() if each.requires_grad])
    kind, start = subject.device.type, clock()

    def at(size: int) -> _Steps:
        return _Steps(step, module, optimizer, size)

    def synchronize() -> None:
        devices.synchronize(subject.device)

    most = min(most, MOST_EXAMPLES)
    tried = _tried(at, subject.smallest, most, TRYING * budget_s, clock, synchronize)
    steps = {size: at(size) for size in _between(subject.smallest, max(tried), most)}
    block_s = min(BLOCK_S[kind], budget_s / 500)
    calls = calls_for(steps, block_s=block_s, clock=clock, synchronize=synchronize)
    a_round = _round_s(tried, calls)
    left = budget_s - (clock() - start)
    rounds = int(np.clip(left / a_round, FEWEST_ROUNDS, MOST_ROUNDS))
    times = step_times(
        steps, rounds=rounds, warm_up=0, calls=calls, seed=seed, clock=clock,
        synchronize=synchronize, progress=progress,
    )  # fmt: skip
    taken = sum(size * (calls[size] + 1) * rounds + 2 * size for size in steps) + sum(tried) * 3
    law = fit_law(times)
    return Throughput(law, _half(law), knee(times), times, taken)


def _tried(
    at: Callable[[int], _Steps],
    smallest: int,
    most: int,
    patience_s: float,
    clock: Callable[[], float],
    synchronize: Callable[[], object],
) -> dict[int, float]:
    """Try sizes a factor of four apart; return roughly what a step of each takes."""
    taken: dict[int, float] = {}
    size, highest, start = smallest, 0.0, clock()
    while True:
        taken[size] = _rough(at(size), clock, synchronize)
        highest = max(highest, size / taken[size])
        half = taken[smallest] * highest
        slow = clock() - start + 12 * taken[size] > patience_s
        if size >= min(REACH * half, most) or (slow and size >= 8 * smallest):
            return taken
        size = min(4 * size, most)


def _rough(step: _Steps, clock: Callable[[], float], synchronize: Callable[[], object]) -> float:
    step()
    fewest = np.inf
    for _ in range(2):
        synchronize()
        start = clock()
        step()
        synchronize()
        fewest = min(fewest, clock() - start)
    return float(fewest)


def _between(smallest: int, largest: int, most: int) -> list[int]:
    """Return four sizes or more: powers of two where there are enough of them."""
    powers = {smallest * 2**power for power in range(int(np.log2(largest / smallest)) + 1)}
    sizes = powers | {min(largest, most)}
    if len(sizes) < 4:
        sizes |= {int(size) for size in np.linspace(smallest, most, 4)}
    if len(sizes) < 4:
        raise Refusal(
            f"step times need four batch sizes, and between {smallest} and {most} there are none"
        )
    return sorted(sizes)


def _round_s(tried: dict[int, float], calls: dict[int, int]) -> float:
    """Return what a round takes, each block preceded by a step that is not timed."""
    sizes, seconds = list(tried), list(tried.values())
    return float(
        sum(np.interp(size, sizes, seconds) * (count + 1) for size, count in calls.items())
    )


def _half(law: StepTimeLaw) -> Estimate:
    """Return B_half with the law's value also where its interval is too wide for one."""
    known = law.half_batch_size
    value = law.batch_size_at(0.5)
    low, high = min(known.low, value), max(known.high, value)
    return Estimate(value, low, high, known.level, known.n, known.reason)
