"""The step that is timed is a training's, and sizes reach beyond saturation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bslib import data, throughput, training
from bslib.throughput import training_step

FIXED, RATE = 1e-3, 1e5  # seconds; examples a second: B_half = 100


class Machine:
    """A clock that a step moves by t0 + B / r, times a slowness that may pass."""

    def __init__(self, slow_calls: int = 0) -> None:
        self.now, self.slow_calls, self.largest = 0.0, slow_calls, 0

    def step(self, batch_size: int) -> Callable[[], None]:
        def run() -> None:
            self.largest = max(self.largest, batch_size)
            self.slow_calls -= 1
            self.now += (FIXED + batch_size / RATE) * (20 if self.slow_calls >= 0 else 1)

        return run

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize("strategy_model", ["mlp", "linear"])
def test_a_step_is_a_training_step(strategy_model: str) -> None:
    """With a learning rate, the callable's steps leave the weights that a training leaves."""
    task = data.load("digits", examples=64, seed=0)
    task = type(task)(**{**vars(task), "model": strategy_model})
    steps = training_step.steps(task, [16], seed=3)[16]
    steps.run.update.rates.fill_(0.1)
    steps.count = 5
    steps()
    trained = training.train(
        task, batch_size=16, learning_rates=[0.1], seeds=[3], budget=training.Budget(steps=5)
    )
    found = steps.run.stack.module(0).state_dict()
    torch.testing.assert_close(found, trained.module(0).state_dict(), rtol=0, atol=0)
    assert steps.run.pace.step == 5


def test_steps_leave_the_weights_alone() -> None:
    """At rate 0 nothing moves, so that every timed step is the same step."""
    task = data.load("digits", examples=64, seed=0)
    steps = training_step.steps(task, [16])[16]
    before = steps.run.stack.weights.clone()
    steps()
    assert torch.equal(steps.run.stack.weights, before)


def test_no_timed_batch_is_the_whole_data_set() -> None:
    """Examples are repeated, whole and in order, to twice the largest batch and no further."""
    task = data.load("digits", examples=50, seed=0)
    enough = training_step.repeated(task, 120).train
    assert len(enough) == 150
    assert torch.equal(enough.inputs[50:100], task.train.inputs)
    assert torch.equal(enough.targets[100:], task.train.targets)
    assert training_step.repeated(task, 50) is task
    steps = training_step.steps(task, [4, 100])
    assert not any(each.run.shuffle.whole for each in steps.values())


@pytest.mark.parametrize("slow_calls", [0, 3, 14])
def test_sizes_reach_two_doublings_beyond_saturation(slow_calls: int) -> None:
    """Powers of two from 1 to between 40 and 120 B_half, also when the start was disturbed."""
    machine = Machine(slow_calls)
    sizes = training_step.saturating_sizes(machine.step, longest_s=10, clock=machine.clock)
    assert sizes == [2**power for power in range(len(sizes))]
    assert 40 <= sizes[-1] / (FIXED * RATE) <= 120


def test_the_search_for_sizes_has_an_end() -> None:
    """It goes beyond neither the largest size allowed nor one whose step takes too long."""
    machine = Machine()
    bounded = training_step.saturating_sizes(machine.step, most=256, clock=machine.clock)
    assert bounded[-1] == machine.largest == 256
    slow = Machine()
    patient = training_step.saturating_sizes(slow.step, longest_s=5e-3, clock=slow.clock)
    assert patient[-1] <= slow.largest == 1024  # the first power of four above 4 ms of examples


def test_a_block_is_one_call_and_its_time_is_shared() -> None:
    """Blocks of several steps give the time of one, whatever their length."""
    task = data.load("digits", examples=64, seed=0)
    taken = training_step.steps(task, [4, 16])
    now = [0.0]

    def clock() -> float:  # 2 ms a step, whichever the size
        now[0] = 2e-3 * sum(each.run.pace.step for each in taken.values())
        return now[0]

    times = training_step.block_times(taken, {4: 7, 16: 3}, rounds=4, clock=clock)
    np.testing.assert_allclose(times["step_time_s"], 2e-3, rtol=1e-9)
    assert taken[4].run.pace.step == 7 * (1 + 2 * 4)  # a warm-up, and an untimed one a round


def test_block_counts_ignore_a_passing_disturbance() -> None:
    """A trial that was slowed does not shorten the blocks."""
    machine = Machine(slow_calls=4)
    counts = training_step.block_counts({100: machine.step(100)}, block_s=0.02, clock=machine.clock)
    assert counts == {100: 10}  # 2 ms a step


def test_timed_training_steps_feed_the_law() -> None:
    """On a real task every size is timed in every round, those asked for included."""
    task = data.load("digits", examples=128, seed=0)
    times = throughput.training_step_times(task, [3, 128], rounds=2)
    sizes = set(times["batch_size"])
    assert {1, 2, 3, 4, 128} <= sizes
    assert len(times) == 2 * len(sizes)
    assert (times["step_time_s"] > 0).all()
    alone = throughput.training_step_times(task, [3, 128], rounds=2, saturated=False)
    assert set(alone["batch_size"]) == {3, 128}
