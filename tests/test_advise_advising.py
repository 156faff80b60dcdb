"""Advising from end to end: what is asked, what is measured, what is said not to be known."""

from typing import Any

import numpy as np
import pandas as pd
import problem_case
import pytest
import torch
from problem_case import Clock, Items
from torch import nn

from bslib.advise import Advice, advise
from bslib.advise.advising import LOADING, MEMORY, NOISE, THROUGHPUT
from bslib.memory import memory_law
from bslib.parallel import Network
from bslib.refusal import Refusal

NETWORK = Network("made up", 1e-5, 1e9)


def advised(asked: Any = None, **given: Any) -> Advice:
    asked = problem_case.problem(optimizer=problem_case.adam) if asked is None else asked
    return advise(asked, device="cpu", **{"budget_s": 5.0, "clock": Clock()} | given)


def test_the_same_seed_gives_the_same_advice_and_another_does_not() -> None:
    """On a clock that does not depend on the machine: examples, batches, looks, choice."""
    asked = problem_case.problem(dataset=problem_case.data(300))
    one, same, other = (advised(asked, seed=seed) for seed in (3, 3, 4))
    said = [
        (each.batch_size, each.best, each.flat_region, each.slowdown, each.examples)
        for each in (one, same)
    ]
    assert said[0] == said[1]
    assert one.noise is not None
    assert same.noise is not None
    assert other.noise is not None
    pd.testing.assert_frame_equal(one.noise.path, same.noise.path)
    pd.testing.assert_frame_equal(one.curve, same.curve)
    assert one.noise.path["noise_scale"].tolist() != other.noise.path["noise_scale"].tolist()


def test_what_the_caller_did_with_the_generators_makes_no_difference() -> None:
    """Dropout and data that draw follow from the seed alone."""
    items = Items(64, lambda row: (torch.randn(problem_case.FEATURES), row % 3))
    asked = problem_case.problem(problem_case.mlp(nn.Dropout(0.3)), dataset=items)
    torch.manual_seed(1)
    one = advised(asked).noise
    torch.manual_seed(2)
    other = advised(asked).noise
    assert one is not None
    assert other is not None
    pd.testing.assert_frame_equal(one.path, other.path)


def test_progress_is_told_of_each_measurement_in_turn() -> None:
    """Examples, memory, throughput, memory confirmed, noise; never more done than there is."""
    told: list[tuple[str, int, int]] = []
    advised(progress=lambda *each: told.append(each))
    assert all(0 <= done <= total for _, done, total in told)
    names = [name for name, _, _ in told]
    turns = [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
    assert turns == [LOADING, MEMORY, THROUGHPUT, MEMORY, NOISE]
    assert told[-1] == (NOISE, 100, 100)


def test_what_was_asked_is_written_down() -> None:
    """Parameters that are trained, optimiser, rate, size, seed, and what it took."""
    model = problem_case.mlp()
    model[0].requires_grad_(False)
    asked = problem_case.problem(model, optimizer=problem_case.adam(model.parameters()))
    found = advised(asked, target="mine", seed=5).asked
    assert (found.target, found.parameters, found.examples) == ("mine", 8 * 3 + 3, 96)
    assert (found.optimizer, found.learning_rate, found.batch_size) == ("Adam", 0.01, 8)
    assert (found.world_size, found.network, found.seed) == (1, None, 5)
    assert found.seconds > 0


def test_examples_are_the_sum_of_the_three_measurements() -> None:
    """What advising cost, in examples."""
    found = advised()
    assert found.noise is not None
    parts = (found.memory.examples, found.throughput.examples, found.noise.examples)
    assert min(parts) > 0
    assert found.examples == sum(parts)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"world_size": 0}, "must be above 0, not 0"),
        ({"budget_s": 0.0}, "must be above 0"),
        ({"budget_s": float("nan")}, "must be above 0"),
        ({"world_size": 2}, "2 devices share a network: give its latency and bandwidth"),
        ({"world_size": 49, "network": NETWORK}, "fewer than two for each of 49 devices"),
        ({"device": "tpu"}, "device 'tpu' is unknown"),
        ({"device": "cuda:99"}, "not there"),
    ],
)
def test_what_is_asked_is_checked_before_the_problem_is_touched(
    given: dict[str, Any], words: str
) -> None:
    """Devices, budgets and networks that cannot be are refused without a look at the data."""
    items = Items(96, lambda row: (torch.zeros(problem_case.FEATURES), row % 3))
    with pytest.raises(Refusal, match=words):
        advise(problem_case.problem(dataset=items), **{"device": "cpu"} | given)
    assert items.read == 0


@pytest.mark.parametrize("size", [*range(2, 10), 12, 20, 33, 40])
def test_small_data_sets_are_refused_or_advised_on(size: int) -> None:
    """Below four examples step times have no law; from there on there is advice that fits."""
    asked = problem_case.problem(dataset=problem_case.data(size), batch_size=None)
    if size < 4:
        with pytest.raises(Refusal, match="step times need 4 batch sizes"):
            advised(asked, budget_s=4.0)
        return
    found = advised(asked, budget_s=4.0)
    assert found.noise is not None
    assert found.batch_size is not None
    assert 1 <= found.batch_size <= size == found.largest


def test_where_noise_cannot_be_sampled_it_says_so() -> None:
    """Five examples hold no three micro-batches of two: memory and throughput are left."""
    model = problem_case.mlp(nn.BatchNorm1d(8))
    asked = problem_case.problem(model, dataset=problem_case.data(5), batch_size=None)
    found = advised(asked)
    assert (found.batch_size, found.noise, found.binding) == (None, None, "")
    assert found.best.value is None
    assert len(found.curve) == 0
    assert any("fewer than 3 micro-batches" in each for each in found.not_measured)


def test_memory_that_is_given_is_a_cap_on_all_that_is_run() -> None:
    """No batch in this process or another is larger than what fits, whatever size is in use."""
    largest = 0

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, len(batch[0]))
        return problem_case.cross_entropy(model, batch)

    asked = problem_case.problem(
        loss=loss, optimizer=problem_case.adam, dataset=problem_case.data(300), batch_size=100
    )
    limit = memory_law(problem_case.subject(asked).step(), check=None).peak_bytes(20)
    largest = 0
    found = advised(asked, memory_bytes=limit)
    assert largest <= 20
    assert found.memory.confirmed
    assert found.batch_size is not None
    assert found.batch_size <= found.largest <= 20
    assert found.noise is not None
    assert found.noise.batch_size <= 20
    assert found.learning_rate is not None
    assert found.learning_rate.from_batch_size == 100


def test_several_devices_share_the_global_batch() -> None:
    """Sizes are whole for each, the network's cost is in, and it is said to be taken as given."""
    asked = problem_case.problem(optimizer=problem_case.adam, dataset=problem_case.data(500))
    found = advised(asked, world_size=4, network=NETWORK)
    assert found.batch_size is not None
    assert found.batch_size == 4 * (found.local_batch_size or 0)
    assert found.largest <= 500
    assert found.curve["batch_size"].min() == 4
    assert any("network" in each for each in found.not_measured)


def test_data_that_stand_in_for_others_make_no_noise() -> None:
    """Then a few of them are enough, and neither size nor rate is named."""
    items = Items(10**6, lambda row: (torch.zeros(problem_case.FEATURES), row % 3))
    found = advised(
        problem_case.problem(dataset=items, optimizer=problem_case.adam), with_noise=False
    )
    assert items.read <= 64
    assert (found.batch_size, found.noise, found.learning_rate) == (None, None, None)
    assert found.asked.examples is None
    assert any("no data" in each for each in found.not_measured)
    assert found.throughput.knee >= 1


def test_what_is_missing_from_the_problem_is_said_to_be() -> None:
    """Without an optimiser, or without a batch size, no rate is advised and the reason is told."""
    none = advised(problem_case.problem())
    assert none.learning_rate is None
    assert none.noise is not None
    assert none.noise.optimizer == "Adam (none was given)"
    assert any("your optimiser" in each for each in none.not_measured)
    sizeless = advised(problem_case.problem(optimizer=problem_case.sgd, batch_size=None))
    assert sizeless.learning_rate is None
    assert any("the batch size that your learning rate" in each for each in sizeless.not_measured)


def test_loading_is_told_where_items_take_time() -> None:
    """As many processes as keep up with the device; nothing is said of tensors in memory."""
    items = Items(64, lambda row: (torch.zeros(problem_case.FEATURES), row % 3))
    found = advised(problem_case.problem(dataset=items))
    assert any(each.startswith("loading while training") for each in found.not_measured)
    assert not any(each.startswith("loading") for each in advised().not_measured)


def test_the_advised_size_is_fastest_on_its_own_curve() -> None:
    """Of the sizes that can be named none has a smaller relative time."""
    found = advised(problem_case.problem(dataset=problem_case.data(400)))
    assert found.batch_size is not None
    sizes = [2**power for power in range(9) if 2**power <= found.largest]
    curve = found.curve
    times = np.interp([found.batch_size, *sizes], curve["batch_size"], curve["relative_time"])
    assert times[0] <= times.min() * (1 + 1e-2)
