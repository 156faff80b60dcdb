"""Noise put back into full batches: the pilot's rule, the trainings, and the differences judged."""

import math

import numpy as np
import pandas as pd
import pytest

from bslib import claims, data
from bslib.noise import regularisation as room
from bslib.refusal import Refusal

WORKS = pd.DataFrame({"learning_rate": [0.1], "train_accuracy": [1.0], "works": [True]})


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("digits", examples=64, seed=0)


def compare(task: data.Task, rate: float, steps: int = 12) -> pd.DataFrame:
    return room.compare(task, batch_size=8, learning_rate=rate, steps=steps, seeds=[3, 5])


def test_the_rate_is_the_last_that_learns(task: data.Task) -> None:
    """Rates double; all but the last row work; the largest that works is taken."""
    settings = {"batch_size": 8, "steps": 60, "seed": 0, "seeds": 2}
    pilot = room.large_rate(task, learning_rate=0.05, **settings)
    rates = pilot["learning_rate"].tolist()
    assert rates == [0.05 * 2**power for power in range(len(rates))]
    assert pilot["works"].tolist() == [True] * (len(rates) - 1) + [False]
    assert (pilot["works"] == (pilot["train_accuracy"] >= room.FITTED)).all()
    assert room.largest(pilot) == rates[-2]
    hopeless = room.large_rate(task, learning_rate=64.0, **settings)
    assert hopeless["works"].tolist() == [False]
    assert room.largest(hopeless) == 64.0


def test_every_training_is_there(task: data.Task) -> None:
    """Four ways at the large rate, two at the small; each seed at every evaluation."""
    runs = compare(task, 0.05)
    last = runs[runs["step"] == 12]
    pairs = last.groupby(["rate", "training"]).size()
    assert (pairs == 2).all()
    assert len(pairs) == 6
    large = runs[runs["rate"] == room.LARGE_RATE]
    steps = large.groupby("training")["step"].unique().map(sorted)
    assert all(each == list(range(2, 13, 2)) for each in steps)
    full = large[large["training"] == room.FULL].set_index(["seed", "step"])
    noisy = large[large["training"] == room.EXAMPLE_NOISE].set_index(["seed", "step"])
    assert (full["train_loss"] != noisy["train_loss"]).all()


def test_what_broke_answers_at_random(task: data.Task) -> None:
    """A loss that is not finite counts as one right answer in as many as there are classes."""
    runs = compare(task, 1e30)
    broken = runs[~np.isfinite(runs["train_loss"])]
    assert len(broken)
    assert (broken["validation_accuracy"] == 0.1).all()
    assert all(each.value is not None for each in room.arms(runs, WORKS).values())


def table(accuracy: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Runs of two evaluations each, the last first; small batches were better by a tenth before."""
    return pd.DataFrame(
        [
            {"rate": rate, "training": training, "seed": seed, "step": step,
             "train_loss": 0.0, "train_accuracy": 1.0,
             "validation_accuracy": value + 0.1 * (step == 1 and training == room.SMALL)}
            for (rate, training), values in accuracy.items()
            for seed, value in enumerate(values)
            for step in (2, 1)
        ]
    )  # fmt: skip


ACCURACY = {
    (room.LARGE_RATE, room.SMALL): [0.52, 0.54],
    (room.LARGE_RATE, room.FULL): [0.50, 0.50],
    (room.LARGE_RATE, room.EXAMPLE_NOISE): [0.53, 0.53],
    (room.LARGE_RATE, room.ISOTROPIC_NOISE): [0.48, 0.49],
    (room.SMALL_RATE, room.SMALL): [0.41, 0.40],
    (room.SMALL_RATE, room.FULL): [0.40, 0.41],
}


def test_arms_are_final_differences_in_points() -> None:
    """Each arm is the mean paired difference after the last step; they are the catalogue's."""
    found = room.arms(table(ACCURACY), WORKS)
    assert list(found) == [arm.name for arm in claims.claim("1.4").arms]
    values = [each.value for each in found.values()]
    assert values == pytest.approx([3.0, 0.0, 3.0, 0.0, -1.5], abs=1e-6)
    half = 12.706 * math.sqrt(2) / math.sqrt(2)  # t at one degree; differences of 2 and 4 points
    assert found["a small batch at a large learning rate"].high == pytest.approx(3 + half, rel=1e-3)


def test_at_their_best_takes_the_best_moment() -> None:
    """The best evaluation of each training counts, whichever it is."""
    best = room.at_their_best(table(ACCURACY))
    values = {name: each.value for name, each in best.items()}
    assert values[room.SMALL] == pytest.approx(13.0)
    assert values[room.ISOTROPIC_NOISE] == pytest.approx(-1.5)
    later = table(ACCURACY)
    worse = (later["step"] == 1) & (later["training"] == room.SMALL)
    later.loc[worse, "validation_accuracy"] = 0.0
    assert room.at_their_best(later)[room.SMALL].value == pytest.approx(3.0)


def test_without_a_working_rate_nothing_is_estimated() -> None:
    """Where even the lowest rate fails, every arm is refused with that reason."""
    found = room.arms(table(ACCURACY), WORKS.assign(works=False))
    assert {each.value for each in found.values()} == {None}
    assert "no learning rate" in found["isotropic noise added to the full batch"].reason


def test_a_task_without_classes_is_refused() -> None:
    """Where there is no accuracy the comparison says so, before it trains."""
    regression = data.load("linear-regression", examples=16)
    with pytest.raises(Refusal, match="no accuracy"):
        compare(regression, 0.1)
    with pytest.raises(Refusal, match="no accuracy"):
        room.large_rate(regression, batch_size=4, learning_rate=0.1, steps=2, seed=0)
