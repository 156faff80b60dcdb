"""Norms against batch size: which cases are trained, how, and what is made of the runs."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from bslib import data, models, training
from bslib.models import normalization
from bslib.refusal import Refusal
from bslib.scaling import norm_estimates, normalized
from bslib.scaling.normalized import BATCH, GHOST, GROUP, NONE, Case, Measured

DEPENDENCE, LAYERS = (
    "batch norm's dependence on the batch",
    "more batch-norm layers at a small batch",
)


def runs(cases: list[Case], accuracy: Callable[[Case, int], float]) -> pd.DataFrame:
    """What ``measure`` would return for three seeds, with accuracies of our own."""
    rows = [
        vars(case)
        | {"seed": seed, "accuracy": accuracy(case, seed)}
        | {"recalibrated": math.nan, "as_trained": math.nan}
        for case in cases
        for seed in (5, 6, 7)
    ]
    return pd.DataFrame(rows)


def tuned(cases: list[Case]) -> pd.DataFrame:
    return pd.DataFrame([vars(case) | {"outcome": "tuned"} for case in cases])


SIZES = normalized.by_batch_size([2, 8, 32])
COUNTED = normalized.by_layers([4, 16])


def by_norm(case: Case, seed: int) -> float:
    """Batch norm gains seed + 8 from 2 to 32 examples, group norm loses 2, all else is noise."""
    middle = 100.0 * (case.batch_size == 8)
    gain = {BATCH: seed + 8.0, GROUP: -2.0, NONE: 50.0}[case.norm]
    return 10.0 * seed + middle + gain * (case.batch_size == 32)


def by_layer(case: Case, seed: int) -> float:
    """Accuracy falls by seed a layer at a batch of 4, and rises at one of 16."""
    return 40.0 + seed * case.layers * (-1 if case.batch_size == 4 else 1)


def test_the_arms_are_the_catalogues() -> None:
    """A difference of differences between the ends, and a slope in layers, over seeds."""
    arms = norm_estimates.arms(
        runs(SIZES, by_norm), runs(COUNTED, by_layer), tuned(SIZES), tuned(COUNTED), small_batch=4
    )
    dependence, layers = arms[DEPENDENCE], arms[LAYERS]
    assert (dependence.value, dependence.n) == (pytest.approx(16.0), 3)  # 5, 6, 7 and 10
    half = 4.302652729911275 / math.sqrt(3)  # t at two degrees of freedom, of sd 1
    assert dependence.high - dependence.low == pytest.approx(2 * half)
    assert (layers.value, layers.n) == (pytest.approx(-6.0), 3)


@pytest.mark.parametrize("outcome", ["edge", "unreached"])
@pytest.mark.parametrize(
    ("spoilt", "arm"),
    [
        (Case(BATCH, 2, shared=2), DEPENDENCE),
        (Case(GROUP, 32), DEPENDENCE),
        (Case(BATCH, 4, shared=4, layers=1, depth=4), LAYERS),
        (Case(BATCH, 8, shared=8), None),
        (Case(NONE, 2), None),
        (Case(BATCH, 16, shared=16, layers=1, depth=4), None),
    ],
)
def test_an_arm_needs_its_own_cases_tuned(spoilt: Case, arm: str | None, outcome: str) -> None:
    """An untuned case refuses the arm that it belongs to, with its reason, and no other."""
    frames = []
    for cases, accuracy in ((SIZES, by_norm), (COUNTED, by_layer)):
        kept = [case for case in cases if outcome == "edge" or case != spoilt]
        winners = tuned(cases)
        winners.loc[[case == spoilt for case in cases], "outcome"] = outcome
        frames.append((runs(kept, accuracy), winners))
    (sizes, tuned_sizes), (layers, tuned_layers) = frames
    arms = norm_estimates.arms(sizes, layers, tuned_sizes, tuned_layers, small_batch=4)
    for name, estimate in arms.items():
        assert (estimate.value is None) == (name == arm)
        if name == arm:
            assert estimate.reason.startswith(outcome)
            assert f"a batch of {spoilt.batch_size}" in estimate.reason


def test_controls_take_the_first_arm_apart() -> None:
    """Gains of either norm, the loss by few shared examples, and the other ways of testing."""
    sizes = runs(SIZES, by_norm)
    sizes["recalibrated"] = sizes["accuracy"] + 3
    sizes["as_trained"] = sizes["accuracy"] - 4
    cases = normalized.by_shared_examples([2, 8, 32])
    ghosts = runs(cases, lambda case, seed: 10.0 * seed - case.shared)
    measured = Measured(sizes, tuned(SIZES))
    found = norm_estimates.controls(measured, Measured(ghosts, tuned(cases)))
    values = [estimate.value for estimate in found.values()]
    assert values == pytest.approx([14.0, -2.0, -16.0, 3.0, -4.0])
    none = norm_estimates.controls(measured, Measured(ghosts[:0], tuned(cases)))
    assert [name for name, each in none.items() if each.value is None] == [list(found)[2]]


def test_batch_norm_is_shown_once_more_recalibrated() -> None:
    """Curves hold every run, and those with other statistics again under another name."""
    frame = runs(SIZES, by_norm)
    own = frame["norm"] == BATCH
    frame.loc[own, "recalibrated"] = frame.loc[own, "accuracy"] + 1
    curves = Measured(frame, tuned(SIZES)).curves()
    again = curves[curves["norm"] == normalized.RECALIBRATED]
    assert len(curves) == len(frame) + 9
    assert again["accuracy"].tolist() == (frame.loc[own, "accuracy"] + 1).tolist()
    ghosts = Measured(frame[frame["norm"] == NONE].assign(norm=GHOST), tuned(SIZES))
    together = normalized.shared(Measured(frame, tuned(SIZES)), ghosts)
    assert together["norm"].tolist() == [BATCH] * 9 + [GHOST] * 9


def test_cases_are_what_the_page_compares() -> None:
    """Three norms at each size; groups that divide the largest; 0 to 4 layers at each size."""
    assert [(case.norm, case.batch_size) for case in SIZES] == [
        (norm, size) for norm in (BATCH, GROUP, NONE) for size in (2, 8, 32)
    ]
    ghosts = normalized.by_shared_examples([3, 8, 2, 32])
    assert [(case.batch_size, case.shared) for case in ghosts] == [(32, 8), (32, 2)]
    assert [(case.batch_size, case.layers) for case in COUNTED] == [
        (size, count) for size in (4, 16) for count in (0, 1, 2, 4)
    ]
    task = data.load("mnist1d", examples=32)
    for case in (*SIZES, *ghosts, *COUNTED):
        module = models.build("mlp", task, seed=0, **case.options)
        norms = (normalization.GhostBatchNorm, torch.nn.BatchNorm1d, torch.nn.GroupNorm)
        found = [part for part in module.modules() if isinstance(part, norms)]
        assert len(found) == (0 if case.norm == NONE else case.layers)


@pytest.mark.parametrize("sizes", [[1, 8], [8]])
def test_what_cannot_be_compared_is_refused(sizes: list[int]) -> None:
    """Batch norm has no statistics at a batch of one, and a comparison needs two sizes."""
    with pytest.raises(Refusal, match="two batch sizes or more, from 2"):
        normalized.by_batch_size(sizes)


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("mnist1d", examples=57)  # by 8: a single example would be left over


def test_measure_tunes_and_compares_on_fresh_seeds(task: data.Task) -> None:
    """A row a fresh seed and case, all at the case's tuned rate; batch norm alone tested thrice."""
    told: list[tuple[int, int]] = []
    cases = [Case(BATCH, 8, shared=8), Case(GROUP, 8), Case(BATCH, 8, 8, layers=0, depth=4)]
    settings = {"epochs": 1, "seed": 3, "seeds": 2}
    found = normalized.measure(
        task, cases, progress=lambda done, total: told.append((done, total)), **settings
    )
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert found.runs["seed"].tolist() == [1003, 1004] * 3
    assert found.winners["norm"].tolist() == [BATCH, GROUP, BATCH]
    assert set(found.winners["outcome"]) <= {"tuned", "edge"}
    rates = found.runs["learning_rate"].to_numpy()
    assert np.array_equal(rates, np.repeat(found.winners["learning_rate"].to_numpy(), 2))
    assert found.runs["accuracy"].between(0, 100).all()
    other = found.runs[["recalibrated", "as_trained"]].notna().all(axis=1)
    assert other.tolist() == [True, True, False, False, False, False]
    again = normalized.measure(task, cases[:1], **settings)
    pd.testing.assert_frame_equal(again.runs, found.runs[:2])


def test_other_statistics_are_those_of_the_trained_network(task: data.Task) -> None:
    """Accuracies recalibrated and as trained are those of the network, tested from scratch."""
    case = Case(BATCH, 8, shared=8)
    train = normalized._Train(task, case, epochs=1, fresh=range(5, 6))
    rows = train(batch_size=8, learning_rates=[0.1], seeds=[5], most_examples=math.inf).members
    trained = training.train(
        task,
        batch_size=8,
        learning_rates=[0.1],
        seeds=[5],
        model=lambda seed: models.build("mlp", task, seed=seed, norm="batch"),
        optimizer="momentum",
        schedule="cosine",
        budget=training.Budget(examples=57),
        drop_last=True,
    )
    module, test = trained.module(0), task.test
    mended = normalization.recalibrated(module, task.train.inputs).eval()
    with torch.no_grad():
        hits = (mended(test.inputs).argmax(1) == test.targets).double().mean().item()
        kept = len(test) // 8 * 8
        parts = torch.cat([module.train()(part) for part in test.inputs[:kept].split(8)])
        seen = (parts.argmax(1) == test.targets[:kept]).double().mean().item()
    assert rows["recalibrated"][0] == pytest.approx(100 * hits)
    assert rows["as_trained"][0] == pytest.approx(100 * seen, abs=0.2)  # a near tie, in float32
    assert rows["accuracy"][0] == pytest.approx(100 * rows["test_accuracy"][0])
