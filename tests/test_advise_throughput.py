"""Step times of a problem, on a clock that follows a law exactly."""

from collections import Counter
from typing import Any

import pandas as pd
import problem_case
import pytest
import torch
from problem_case import Clock
from torch import Tensor, nn

from bslib.advise import throughput
from bslib.advise.throughput import FEWEST_SIZES, MOST_ROUNDS, Throughput
from bslib.refusal import Refusal


class Lawful:
    """A loss whose every step takes t0 + B / r seconds of a clock's."""

    def __init__(self, fixed_s: float, example_s: float) -> None:
        self.clock = Clock(0.0)
        self.fixed_s, self.example_s = fixed_s, example_s
        self.examples, self.steps = 0, 0
        self.sizes: set[int] = set()

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        self.clock.now += self.fixed_s + self.example_s * len(batch[0])
        self.examples += len(batch[0])
        self.steps += 1
        self.sizes.add(len(batch[0]))
        return problem_case.cross_entropy(model, batch)


def measured(
    loss: Lawful,
    *,
    most: int = 10**5,
    budget_s: float = 5.0,
    seed: int = 0,
    **given: Any,
) -> Throughput:
    held = problem_case.subject(problem_case.problem(loss=loss, **given))
    loss.clock.now, loss.examples, loss.steps, loss.sizes = 0.0, 0, 0, set()
    return throughput.measure(held, most=most, budget_s=budget_s, seed=seed, clock=loss.clock)


@pytest.mark.parametrize(
    ("fixed_s", "half"), [(2e-3, 20.0), (1e-2, 1.0), (1e-2, 0.1), (1e-3, 300.0)]
)
def test_the_clocks_law_is_recovered_within_the_budget(fixed_s: float, half: float) -> None:
    """t0, 1 / r and B_half come back, and no more time went by than was given."""
    loss = Lawful(fixed_s, fixed_s / half)
    found = measured(loss)
    assert found.fixed_time_s == pytest.approx(fixed_s, rel=1e-4)
    assert found.example_time_s == pytest.approx(fixed_s / half, rel=1e-4)
    assert found.half_batch_size.value == pytest.approx(half, rel=1e-4)
    assert found.half_batch_size.low <= half * (1 + 1e-4)
    assert found.half_batch_size.high >= half * (1 - 1e-4)
    assert loss.clock.now <= 5.0
    assert found.times["round"].nunique() <= MOST_ROUNDS
    largest = found.times["batch_size"].max()
    assert largest >= 6 * half
    assert largest <= max(24 * half, 16)


def test_the_knee_is_where_nine_tenths_of_the_throughput_are_reached() -> None:
    """The first power of two from which throughput is within a tenth of the highest timed."""
    loss = Lawful(2e-3, 1e-4)
    found = measured(loss)
    largest = found.times["batch_size"].max()
    share = {2**power: 2**power / (2**power + 20) for power in range(20)}
    top = largest / (largest + 20)
    assert found.knee == min(size for size, each in share.items() if each >= 0.9 * top)


@pytest.mark.parametrize("fixed_s", [1.0, 20.0])
def test_a_very_slow_model_is_timed_at_four_sizes_in_few_steps(fixed_s: float) -> None:
    """Where a step alone outlasts the budget, there is one round, and its law is found still."""
    loss = Lawful(fixed_s, fixed_s)
    found = measured(loss, budget_s=5.0)
    assert found.times["batch_size"].nunique() == FEWEST_SIZES
    assert found.times["round"].nunique() == 1
    assert loss.steps <= 3 * 2 + 2 * FEWEST_SIZES
    assert found.half_batch_size.value == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("most", [4, 5, 7, 8, 9, 33, 100])
def test_no_size_beyond_the_most_is_run(most: int) -> None:
    """Four sizes or more, from one to at most the cap."""
    loss = Lawful(1e-2, 1e-5)
    found = measured(loss, most=most)
    assert max(loss.sizes) == most == found.times["batch_size"].max()
    assert found.times["batch_size"].min() == 1
    assert found.times["batch_size"].nunique() >= FEWEST_SIZES


@pytest.mark.parametrize("most", [1, 2, 3])
def test_fewer_than_four_sizes_are_refused_before_a_step(most: int) -> None:
    """A law of two numbers needs them."""
    loss = Lawful(1e-2, 1e-5)
    with pytest.raises(Refusal, match=f"4 batch sizes, and from 1 to {most} there are fewer"):
        measured(loss, most=most)
    assert loss.steps == 0


def test_the_smallest_size_is_the_one_that_works() -> None:
    """Batch norm of vectors is timed from two on, and four sizes begin there."""
    for most in (5, 64):
        loss = Lawful(1e-2, 1e-5)
        found = measured(loss, most=most, model=problem_case.mlp(nn.BatchNorm1d(8)))
        assert min(loss.sizes) == 2
        assert max(loss.sizes) == most
        assert found.times["batch_size"].nunique() >= FEWEST_SIZES
    with pytest.raises(Refusal, match="from 2 to 4 there are fewer"):
        measured(Lawful(1e-2, 1e-5), most=4, model=problem_case.mlp(nn.BatchNorm1d(8)))


def test_examples_are_those_that_the_steps_took() -> None:
    """What is reported as processed went through the loss."""
    for seconds in (1e-3, 1e-2, 3.0):
        loss = Lawful(seconds, seconds / 50)
        assert measured(loss).examples == loss.examples


def test_a_seed_orders_the_rounds() -> None:
    """With one, times come out again; the law's own do not depend on it."""
    tables = [measured(Lawful(2e-3, 1e-4), seed=seed).times for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_steps_move_no_weight() -> None:
    """At a learning rate of zero, with momentum and weight decay, all steps are alike."""
    model = problem_case.mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    held = problem_case.subject(problem_case.problem(model, optimizer=optimizer))
    step = held.step()
    steps = throughput._Steps(
        step, held.module, step.optimizer([*held.module.parameters()]), 8, Counter()
    )
    before = [each.detach().clone() for each in held.module.parameters()]
    for _ in range(3):
        steps()
    after = held.module.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
