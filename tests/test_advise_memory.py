"""The largest batch of a problem: what the law tells, and what running it confirms."""

from typing import Any

import problem_case
import pytest
import torch
from problem_case import Counted
from torch import nn

from bslib.advise import memory
from bslib.advise.memory import Memory
from bslib.advise.subject import Subject
from bslib.memory import memory_law, peak_bytes
from bslib.refusal import Refusal

PLENTY = 10**9


class Wide(nn.Module):
    """Activations so wide that the smallest batch needs more memory than the update."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.repeat(1, 100).tanh().unflatten(1, (100, 8)).mean(dim=1)


def held(size: int = 400, **given: Any) -> Subject:
    options = {
        "model": problem_case.mlp(Wide()),
        "dataset": problem_case.data(size),
        "optimizer": problem_case.adam,
    }
    return problem_case.subject(problem_case.problem(**options | given))


def normalised() -> nn.Module:
    return problem_case.mlp(Wide(), nn.BatchNorm1d(8))


def confirmed(subject: Subject, limit: int, *, step_s: float = 1e-3, **given: Any) -> Memory:
    told, law = memory.predict(subject, limit)
    options = {"step_time_s": lambda size: step_s, "patience_s": 10.0} | given
    return memory.confirm(subject, told, law, **options)


def limit_for(subject: Subject, size: int) -> int:
    return memory_law(subject.step()).peak_bytes(size)


def test_what_is_told_is_the_laws_largest_batch() -> None:
    """Of the problem's own optimiser; the law's curve reaches the limit there and no further."""
    subject = held()
    law = memory_law(subject.step())
    for size in (1, 7, 100):
        limit = limit_for(subject, size)
        told, again = memory.predict(subject, limit)
        assert again is not None
        assert told.largest == law.largest_batch(limit) == size
        assert (told.stopped_by, told.confirmed, told.limit_bytes) == ("memory", False, limit)
        assert told.peaks["batch_size"].iloc[-1] == max(size, 2)
        for each, peak in zip(told.peaks["batch_size"], told.peaks["peak_memory_mb"], strict=True):
            assert peak == pytest.approx(law.peak_bytes(int(each)) / 1e6, rel=1e-12)


def test_data_that_fit_are_the_largest_batch() -> None:
    """With plenty of memory the data set ends first."""
    told, _ = memory.predict(held(50), PLENTY)
    assert (told.largest, told.stopped_by) == (50, "data")


def test_too_little_for_the_smallest_batch_is_refused() -> None:
    """By the law alone: one example, or two where batch norm needs them."""
    subject = held()
    with pytest.raises(Refusal, match=r"even for a batch of 1: its step needs .* are allowed"):
        memory.predict(subject, limit_for(subject, 1) - 1)
    pair = held(model=normalised())
    with pytest.raises(Refusal, match="even for a batch of 2"):
        memory.predict(pair, limit_for(pair, 1))
    told, _ = memory.predict(pair, limit_for(pair, 2))
    assert told.largest == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda each: torch.optim.SGD(each, lr=0.1, momentum=0.9),
        lambda each: torch.optim.AdamW(each, lr=0.1, amsgrad=True),
        lambda each: torch.optim.Adagrad(each, lr=0.1),
    ],
)
def test_the_law_is_that_of_the_optimizer_in_its_state(make: Any) -> None:
    """After real steps too nothing is counted twice: it is what the allocator hands out.

    Up to four bytes a parameter tensor, for counts that the law's own optimiser makes anew.
    """
    model = problem_case.mlp(nn.Linear(8, 200), nn.Tanh(), nn.Linear(200, 8))
    optimizer = make(model.parameters())
    for _ in range(2):
        problem_case.cross_entropy(model, problem_case.pairs(8)).backward()
        optimizer.step()
    subject = held(model=model, optimizer=optimizer)
    _, law = memory.predict(subject, PLENTY)
    assert law is not None
    assert law.source == "fake"
    tensors = len(list(model.parameters()))
    for size in (16, 64):
        run = peak_bytes(subject.step(), size)
        assert abs(law.peak_bytes(size) - run) <= 4 * tensors


def test_frozen_layers_are_held_once() -> None:
    """An optimiser that was given all parameters adds nothing for those that are frozen."""
    model = problem_case.mlp()
    model[0].requires_grad_(False)
    all_of_them = held(model=model, optimizer=problem_case.sgd(model.parameters()))
    some = held(model=model, optimizer=problem_case.sgd(model[2].parameters()))
    assert limit_for(all_of_them, 32) == limit_for(some, 32)


def test_the_largest_batch_is_run_and_near_the_law() -> None:
    """In processes of their own: what is confirmed was run within the limit, and lies within
    the tolerance of what the law told."""
    counted = Counted(problem_case.cross_entropy)
    subject = held(loss=counted)
    limit = limit_for(subject, 90)
    before = counted.calls
    found = confirmed(subject, limit)
    assert found.confirmed
    assert found.stopped_by == "memory"
    assert found.reason == ""
    assert found.largest is not None
    assert 90 * (1 - memory.TOLERANCE) - 1 <= found.largest <= 90 * (1 + memory.TOLERANCE) + 1
    run = found.peaks[found.peaks["source"] == "run"].set_index("batch_size")["peak_memory_mb"]
    assert run[found.largest] * 1e6 <= limit + 0.5
    assert found.examples == 3 * run.index.to_numpy().sum()
    # in this process only the law's own steps were taken, at three sizes
    assert counted.calls - before == 3 * 2


def test_all_the_data_are_run_at_once_where_they_fit() -> None:
    """One trial, of the whole data set."""
    found = confirmed(held(60), PLENTY)
    assert (found.largest, found.stopped_by, found.confirmed) == (60, "data", True)
    assert (found.peaks["source"] == "run").sum() == 1


def test_a_rest_too_small_to_train_on_is_dropped() -> None:
    """Where batches of three leave one example over, batch norm is not run on it."""
    subject = held(400, model=normalised())
    found = confirmed(subject, limit_for(subject, 3))
    assert (found.largest, found.confirmed) == (3, True)


def test_nothing_is_run_that_would_outlast_its_share() -> None:
    """It says how long it would have taken, and the law's word stands."""
    subject = held()
    found = confirmed(subject, limit_for(subject, 90), step_s=7.0)
    assert (found.largest, found.confirmed, found.examples) == (90, False, 0)
    assert found.reason == "running it would take about 42 s of the budget"
    assert confirmed(held(60), PLENTY, step_s=7.0).reason.startswith(
        "running it would take about 21"
    )


def test_a_step_that_fails_only_when_it_is_large_is_told() -> None:
    """What the loss raised there is the reason that the largest batch was not run."""

    def loss(model: nn.Module, batch: Any) -> Any:
        if len(batch[0]) > 20:
            raise ArithmeticError("too many for me")
        return problem_case.cross_entropy(model, batch)

    found = confirmed(held(60, loss=loss), PLENTY)
    assert (found.largest, found.confirmed) == (60, False)
    assert "ArithmeticError: too many for me" in found.reason


def test_without_a_law_nothing_is_known() -> None:
    """A model that takes other paths at other sizes is not searched, and the reason is given."""

    class Odd(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs = super().forward(inputs)
            return outputs.sigmoid() if len(inputs) % 2 else outputs

    subject = held(model=Odd(problem_case.FEATURES, problem_case.CLASSES))
    told, law = memory.predict(subject, PLENTY)
    assert law is None
    assert (told.largest, told.stopped_by, told.confirmed) == (None, "", False)
    assert "no law of its memory" in told.reason
    assert confirmed(subject, PLENTY).largest is None
