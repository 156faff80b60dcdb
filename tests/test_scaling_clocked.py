"""Trainings by the clock, products of two laws, and the ratio that the verdict needs."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from bslib import data, stats, training
from bslib.scaling import Sweep, clocked, time_to_target

MINIMAL, CRITICAL = 50.0, 100.0  # steps; examples
FIXED, RATE = 1e-3, 1e5  # seconds; examples a second: B_half = 100


def steps(size: float) -> float:
    return MINIMAL * (1 + CRITICAL / size)


def reruns(sizes: list[int], seeds: int = 3) -> pd.DataFrame:
    rows = [(size, seed, steps(size)) for size in sizes for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["batch_size", "seed", "steps_to_target"])


def times(sizes: list[int]) -> pd.DataFrame:
    rows = [(size, each, FIXED + size / RATE) for size in sizes for each in range(5)]
    return pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s"])


SIZES = [4, 16, 64, 256, 1024, 2048]


def test_prediction_is_the_product_of_the_laws() -> None:
    """On exact data B* = sqrt(B_crit B_half), and the curve is S(B) t(B)."""
    made = clocked.predict(reruns(SIZES), times(SIZES))
    assert made.best_batch_size.value == pytest.approx(math.sqrt(CRITICAL * FIXED * RATE), rel=1e-3)
    expected = time_to_target.seconds(
        made.curve["batch_size"],
        minimal_steps=MINIMAL,
        critical_batch_size=CRITICAL,
        maximal_throughput=RATE,
        half_batch_size=FIXED * RATE,
    )
    np.testing.assert_allclose(made.curve["seconds"], expected, rtol=1e-3)
    by_hand = [steps(size) for size in made.curve["batch_size"]]
    np.testing.assert_allclose(made.curve["steps_to_target"], by_hand, rtol=1e-3)
    assert len(made.table) == 3
    rates = [size / (FIXED + size / RATE) for size in SIZES]
    np.testing.assert_allclose(made.rates["examples_per_s"], rates, rtol=1e-3)


def test_too_few_sizes_give_no_prediction_but_no_error() -> None:
    """Two sizes cannot be fitted: no values, no curve, and the reason."""
    made = clocked.predict(reruns([8, 64]), times(SIZES))
    assert made.critical_batch_size.value is None
    assert "three" in made.best_batch_size.reason
    assert made.curve.empty
    assert made.critical_batch_size.at(0.99).level == 0.99
    assert made.half_batch_size.value is not None


def test_products_use_the_median_step_time_of_their_size() -> None:
    """One slow block changes nothing."""
    disturbed = times([8, 64])
    disturbed.loc[0, "step_time_s"] = 1.0
    found = clocked.products(reruns([8, 64], seeds=1), disturbed)
    expected = [steps(size) * (FIXED + size / RATE) for size in (8, 64)]
    np.testing.assert_allclose(found["seconds"], expected, rtol=1e-12)


def test_an_epoch_takes_its_steps() -> None:
    """N / B steps of the law's time, for the sizes asked for only."""
    found = clocked.summary(clocked.epochs(times(SIZES), [4, 1024], 2048))
    expected = [2048 / size * (FIXED + size / RATE) for size in (4, 1024)]
    np.testing.assert_allclose(found["seconds"], expected, rtol=1e-12)
    assert list(found["batch_size"]) == [4, 1024]


def test_summary_keeps_ways_apart() -> None:
    """A row a way and size, sizes in order: the geometric mean of each."""
    rows = pd.DataFrame({"batch_size": [64, 64, 8, 8], "seconds": [1.0, 4, 2, 8], "method": "a"})
    found = clocked.summary(rows, rows.assign(method="b", seconds=3.0))
    assert list(found["batch_size"]) == [8, 64, 8, 64]
    np.testing.assert_allclose(found["seconds"], [4, 2, 3, 3])


def clocked_rows(seconds: dict[int, list[float]]) -> pd.DataFrame:
    rows = [(size, seed, each) for size, row in seconds.items() for seed, each in enumerate(row)]
    return pd.DataFrame(rows, columns=["batch_size", "seed", "seconds"])


def test_ratio_is_paired_and_chooses_elsewhere() -> None:
    """The mini-batch that the products call fastest is the one judged, seed by seed."""
    expected = clocked_rows({8: [3, 3, 3], 64: [1, 1, 1], 512: [5, 5, 5]})
    timed = clocked_rows({8: [0.1, 0.1, 0.1], 64: [1, 2, 4], 512: [3, 6, 12.0]})
    found = clocked.full_over_best(timed, expected, 512)
    for value in (found.value, found.low, found.high):
        assert value == pytest.approx(3, rel=1e-12)
    assert found.n == 3


def test_ratio_s_interval_is_student_s_on_logs() -> None:
    """Ends are e to the power of the t interval of the log ratios, at any level."""
    timed = clocked_rows({64: [1, 1, 1], 512: [2, 3, 5.0]})
    expected = clocked_rows({64: [1, 1, 1]})
    for level in (0.95, 0.99):
        found = clocked.full_over_best(timed, expected, 512).at(level)
        logs = stats.mean(np.log([2, 3, 5]), level)
        assert (found.low, found.high) == pytest.approx((math.exp(logs.low), math.exp(logs.high)))


def test_telling_sizes_are_the_ends_and_the_fastest_mini_batch() -> None:
    """The full batch is never the fastest mini-batch, and no size is clocked twice."""
    expected = clocked_rows({4: [9.0], 16: [5.0], 64: [2.0], 512: [1.0]})
    assert clocked.telling_sizes(expected, 512) == [4, 64, 512]
    assert clocked.telling_sizes(expected[expected["batch_size"] != 64], 512) == [4, 16, 512]
    assert clocked.telling_sizes(expected[expected["batch_size"] == 512], 512) == [512]
    assert clocked.telling_sizes(clocked_rows({4: [math.nan]}), 512) == []


@pytest.mark.parametrize(
    ("timed", "expected", "reason"),
    [
        ({8: [1.0, 1], 64: [1, 1]}, {8: [1.0, 1]}, "full batch of 512"),
        ({512: [1.0, 1]}, {512: [1.0, 1]}, "no mini-batch"),
        ({8: [1.0, 1], 512: [math.nan, 1]}, {8: [1.0, 1]}, "finite"),
    ],
)
def test_ratio_is_refused_with_its_reason(
    timed: dict[int, list[float]], expected: dict[int, list[float]], reason: str
) -> None:
    """No full batch, no mini-batch, or a training that did not arrive: no value."""
    found = clocked.full_over_best(clocked_rows(timed), clocked_rows(expected), 512)
    assert found.value is None
    assert reason in found.reason


def test_the_first_step_counts_as_one_of_the_others() -> None:
    """A slow first step, in which buffers are made, is left out of the time of a step."""
    history = pd.DataFrame({"step": [0, 1, 5, 11], "seconds": [0.0, 9.0, 9.4, 10.0]})
    assert clocked.step_seconds(history) == pytest.approx(0.1)
    assert clocked.step_seconds(history[:2]) == pytest.approx(9.0)


def test_trainings_run_at_tuned_rates_on_fresh_seeds() -> None:
    """A training's seconds are its steps times what the clock shows a step; "edge" is left out."""
    task = data.load("digits", examples=256, seed=0)
    winners = pd.DataFrame(
        {
            "batch_size": [16, 64, 256],
            "learning_rate": [0.1, 0.3, 0.3],
            "outcome": ["tuned", "tuned", "edge"],
        }
    )
    runs = pd.DataFrame(
        {"batch_size": [16, 64], "seed": 1000, "steps_to_target": [10.0, 7.0], "role": "rerun"}
    )
    ticks = itertools.count()
    target = training.Target("train_loss", 1.0)
    found = clocked.trainings(
        task,
        Sweep(runs, winners),
        metric="train_loss",
        value=1.0,
        batch_sizes=[16, 64, 256],
        seed=0,
        seeds=2,
        clock=lambda: float(next(ticks)),
    )
    assert sorted(zip(found["batch_size"], found["seed"], strict=True)) == [
        (16, 2000), (16, 2001), (64, 2000), (64, 2001),
    ]  # fmt: skip
    assert (found["status"] == "reached").all()
    assert set(found.loc[found["batch_size"] == 64, "learning_rate"]) == {0.3}
    assert (found["seconds"] > 0).all()
    alone = training.train(
        task, batch_size=64, learning_rates=[0.3], seeds=[2000], target=target,
        budget=training.Budget(steps=1000), evaluate_every=1, evaluate_on=("train",),
    )  # fmt: skip
    steps_seen = found.set_index(["batch_size", "seed"]).loc[(64, 2000), "steps_to_target"]
    assert steps_seen == pytest.approx(float(alone.members["steps_to_target"][0]), abs=1)


def test_evaluations_begin_well_before_the_crossing() -> None:
    """After the first step nothing interrupts until half the steps that the sweep took."""
    found = clocked._evaluations(100.0, 0.1)
    assert found[0] == 1
    assert 50 < found[1] <= 56
    assert found[-1] >= 400
    assert clocked._evaluations(1.2, 0.1) == [1, 2, 3, 4, 5]
