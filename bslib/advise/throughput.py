"""Advising, second measurement: what a step takes at each batch size."""

import copy
import time
from collections import Counter
from collections.abc import Callable, Collection
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
from bslib.throughput import StepTimeLaw, fit_law, knee, step_times

# Sizes are tried until one is so many times the half batch size guessed so far.
REACH = 6.0
MOST_EXAMPLES = 2**20
TRIALS, FEWEST_ROUNDS, MOST_ROUNDS, FEWEST_SIZES = 3, 3, 9, 4
# So many more trials of a size whose steps so far took no longer than this.
MOST_TRIALS, QUICK_S = 6, 0.2
# Seconds of a timed block, and steps in it at most.
BLOCK_S, MOST_CALLS = {"cpu": 2e-3, "cuda": 2e-2}, 1_000


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
    taken: Counter[int]  # steps by batch size, of all sizes

    def __call__(self) -> None:
        self.taken[self.batch_size] += 1
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
        budget_s: there are as many rounds as fit into it, nine at most; at least one.

    Raises:
        Refusal: fewer than four sizes fit, or there are fewer examples.
    """
    most = min(most, MOST_EXAMPLES)
    if most - subject.smallest + 1 < FEWEST_SIZES:
        raise Refusal(
            f"step times need {FEWEST_SIZES} batch sizes, and from {subject.smallest} to {most:,} "
            "there are fewer: take more data, more memory, or a smaller model"
        )
    step = subject.step()
    module = copy.deepcopy(step.module)
    optimizer = step.optimizer([each for each in module.parameters() if each.requires_grad])
    kind, start, taken = subject.device.type, clock(), Counter[int]()

    def at(size: int) -> _Steps:
        return _Steps(step, module, optimizer, size, taken)

    def synchronize() -> None:
        devices.synchronize(subject.device)

    tried = _tried(at, subject.smallest, most, budget_s, clock, synchronize)
    steps = {size: at(size) for size in _between(subject.smallest, max(tried), most)}
    calls = _calls(steps, tried, BLOCK_S[kind])
    a_round = _round_s(tried, calls)
    left = budget_s - (clock() - start)
    rounds = int(np.clip(left / a_round, 1, MOST_ROUNDS))
    times = step_times(
        steps, rounds=rounds, warm_up=0, calls=calls, seed=seed, clock=clock,
        synchronize=synchronize, progress=progress,
    )  # fmt: skip
    examples = sum(size * count for size, count in taken.items())
    law = fit_law(times)
    return Throughput(law, _half(law), knee(times), times, examples)


def _tried(
    at: Callable[[int], _Steps],
    smallest: int,
    most: int,
    patience_s: float,
    clock: Callable[[], float],
    synchronize: Callable[[], object],
) -> dict[int, float]:
    """Try sizes a factor of four apart; return roughly what a step of each takes.

    Until throughput hardly grows, or until the next size, timed in ``FEWEST_ROUNDS`` rounds
    later on, would take more than is left of the time.
    """
    taken: dict[int, float] = {}
    size, highest, start = smallest, 0.0, clock()
    while True:
        taken[size] = _rough(at(size), clock, synchronize)
        highest = max(highest, size / taken[size])
        fixed = max(time_s - each / highest for each, time_s in taken.items())
        half = highest * max(fixed, taken[smallest])
        left = patience_s - (clock() - start)
        # four times the time now, and then twice in each round; smaller sizes take a third more
        slow = 4 * taken[size] * (TRIALS + 2.7 * FEWEST_ROUNDS) > left
        if size >= min(REACH * half, most) or (slow and size >= min(4 * smallest, most)):
            return taken
        size = min(4 * size, most)


def _rough(step: _Steps, clock: Callable[[], float], synchronize: Callable[[], object]) -> float:
    """Return the shortest of a few steps, after one that is not timed.

    Of two; where they are quick of more, so that a passing disturbance does not end the trials.
    """
    step()
    seconds: list[float] = []
    while len(seconds) < TRIALS - 1 or (len(seconds) < MOST_TRIALS and sum(seconds) < QUICK_S):
        synchronize()
        start = clock()
        step()
        synchronize()
        seconds.append(max(clock() - start, 1e-9))
    return min(seconds)


def _calls(steps: Collection[int], tried: dict[int, float], block_s: float) -> dict[int, int]:
    """Return how many steps of each size fill a timed block."""
    expected = np.interp(list(steps), list(tried), list(tried.values()))
    counts = np.clip(np.ceil(block_s / expected), 1, MOST_CALLS)
    return {size: int(count) for size, count in zip(steps, counts, strict=True)}


def _between(smallest: int, largest: int, most: int) -> list[int]:
    """Return the powers of two, or where they are few, four sizes in equal steps."""
    powers = {smallest * 2**power for power in range(int(np.log2(largest / smallest)) + 1)}
    sizes = powers | {largest}
    if len(sizes) < FEWEST_SIZES:
        enough = min(max(largest, smallest + FEWEST_SIZES - 1), most)
        sizes = {int(size) for size in np.linspace(smallest, enough, FEWEST_SIZES)}
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
