"""The step that trainings take, timed over batch sizes until the hardware is saturated.

What is timed is the engine's own step (:mod:`bslib.training`): one member, plain SGD, data
resident on the device, a batch gathered by its indices, forward, backward, update. The
learning rate is 0, so that all steps are alike.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from bslib import device as devices
from bslib import models
from bslib.data import Examples, Task
from bslib.throughput import timing
from bslib.throughput.speedup import SATURATED
from bslib.training.budgets import Budget
from bslib.training.engine import Run
from bslib.training.optimizers import resolve
from bslib.training.schedules import Schedule
from bslib.training.setup import Members, Setup
from bslib.training.stacking import choose

Clock = Callable[[], float]
Progress = Callable[[int, int], None]  # (done, total)

# The sizes timed reach this many times B_half: more than two doublings beyond saturation.
REACH = 6 * SATURATED
# No size is tried above this many examples, nor above one whose step takes this long.
MOST_EXAMPLES = 2**20
LONGEST_S = 0.1
# Seconds of a timed block. On a GPU one must hold enough steps that launching them is not
# charged to a few.
BLOCK_S = {"cpu": 2e-3, "cuda": 1e-2}
_FOREVER = Budget(steps=2**40)


@dataclass
class Steps:
    """Steps of one training, ``count`` of them a call."""

    run: Run
    count: int = 1

    def __call__(self) -> None:
        """Take them."""
        pace = self.run.pace
        stop = pace.step + self.count
        with torch.no_grad():
            while pace.step < stop:
                self.run.stepper.advance(stop - pace.step)


def steps(task: Task, batch_sizes: Sequence[int], *, seed: int = 0) -> dict[int, Steps]:
    """Return, for each batch size, a callable that takes one step of a training of the task.

    The examples are repeated until there are twice as many as the largest batch, so that
    every batch is drawn and gathered; how long that takes does not depend on their values.
    """
    enough = repeated(task, 2 * max(batch_sizes))
    module = models.build(task.model, task, seed=seed)
    strategy = choose(module, task.train.inputs.device.type)
    runs = {}
    for size in batch_sizes:
        setup = Setup(
            enough, size, resolve("sgd"), Schedule("constant", 0.0), _FOREVER, None, None,
            ("train",), (), False, False, False, strategy, time.perf_counter,
        )  # fmt: skip
        runs[size] = Steps(Run(setup, Members([0], [seed], [0.0], [0.0], [module])))
    return runs


def repeated(task: Task, examples: int) -> Task:
    """Return the task with its training examples repeated to at least ``examples`` of them."""
    train = task.train
    times = -(-examples // len(train))
    if times <= 1:
        return task
    inputs = train.inputs.repeat(times, *[1] * (train.inputs.ndim - 1))
    targets = train.targets.repeat(times, *[1] * (train.targets.ndim - 1))
    return replace(task, train=Examples(inputs, targets))


def saturating_sizes(
    step: Callable[[int], Callable[[], object]],
    *,
    reach: float = REACH,
    most: int = MOST_EXAMPLES,
    longest_s: float = LONGEST_S,
    block_s: float = BLOCK_S["cpu"],
    clock: Clock = time.perf_counter,
    synchronize: Callable[[], object] = lambda: None,
) -> list[int]:
    """Return the powers of two from 1 to the first that is ``reach`` times B_half, or more.

    Sizes are tried in powers of four. At each, B_half = t0 r_max is guessed from t(1) and the
    highest throughput so far, which is too low by what is still missing to the maximal one.

    Args:
        step: gives what one step at a batch size is.
        most, longest_s: the search ends at this size, or at one whose step takes this long.
        block_s, clock, synchronize: of the timing, as in :func:`bslib.throughput.step_times`.
    """
    fixed, highest, size = 0.0, 0.0, 1
    while True:
        taken = _rough(step(size), block_s, clock, synchronize)
        fixed, highest = fixed or taken, max(highest, size / taken)
        needed = reach * fixed * highest
        if size >= needed or size >= most or taken >= longest_s:
            break
        size *= 4
    largest = min(2.0 ** np.ceil(np.log2(needed)), size, most)
    return [2**power for power in range(int(np.log2(largest)) + 1)]


def _rough(
    step: Callable[[], object], block_s: float, clock: Clock, synchronize: Callable[[], object]
) -> float:
    """Return the shortest of a few blocks, for a guess that a busy machine does not mislead."""
    calls = block_counts({1: step}, block_s=block_s, clock=clock, synchronize=synchronize)
    times = timing.step_times(
        {1: step}, rounds=5, warm_up=1, calls=calls, clock=clock, synchronize=synchronize
    )
    return float(times["step_time_s"].min())


def training_step_times(
    task: Task,
    batch_sizes: Sequence[int] = (),
    *,
    seed: int = 0,
    rounds: int = 30,
    saturated: bool = True,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Time a training's step at all powers of two until beyond saturation, and at given sizes.

    All sizes are timed once a round, in a random order (:func:`bslib.throughput.step_times`).

    Args:
        task: what is trained on, with its own model, on its device.
        batch_sizes: sizes to time besides.
        seed: of the order within rounds, of weights and batches.
        rounds: how many timed blocks each size gets.
        saturated: whether to time the powers of two besides.
        progress: told after every round.

    Returns:
        A row a timed block: ``batch_size``, ``round``, ``step_time_s``.
    """
    device = task.train.inputs.device
    block_s = BLOCK_S[device.type]

    def synchronize() -> None:
        devices.synchronize(device)

    def step(size: int) -> Steps:
        return steps(task, [size], seed=seed)[size]

    sizes = set(batch_sizes)
    if saturated:
        sizes.update(saturating_sizes(step, block_s=block_s, synchronize=synchronize))
    taken = steps(task, sorted(sizes), seed=seed)
    counts = block_counts(taken, block_s=block_s, synchronize=synchronize)
    return block_times(
        taken, counts, rounds=rounds, seed=seed, synchronize=synchronize, progress=progress
    )


def block_counts(
    steps: Mapping[int, Callable[[], object]],
    *,
    trials: int = 5,
    block_s: float = BLOCK_S["cpu"],
    clock: Clock = time.perf_counter,
    synchronize: Callable[[], object] = lambda: None,
) -> dict[int, int]:
    """Return how many steps fill a block, from the fastest of a few trials.

    From one trial a passing disturbance would make a block of one step, and one step alone
    runs on cold caches: several times slower than the same step in a training.
    """
    found = [
        timing.calls_for(steps, block_s=block_s, clock=clock, synchronize=synchronize)
        for _ in range(trials)
    ]
    return {size: max(each[size] for each in found) for size in steps}


def block_times(
    taken: Mapping[int, Steps],
    counts: Mapping[int, int],
    *,
    rounds: int,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    synchronize: Callable[[], object] = lambda: None,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Time blocks of ``counts`` steps, each block in one call, and return the time of a step.

    In one call, so that a GPU is handed the steps of a block as a training hands them over.
    """
    for size, each in taken.items():
        each.count = counts[size]
    times = timing.step_times(
        taken, rounds=rounds, warm_up=1, seed=seed, clock=clock, synchronize=synchronize,
        progress=progress,
    )  # fmt: skip
    return times.assign(step_time_s=times["step_time_s"] / times["batch_size"].map(counts))
