"""Trainings stopped at one training loss, and three axes of one sweep."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from bslib import data, noise, training
from bslib.data import Task
from bslib.scaling import clocked, crossing, equal_loss
from bslib.scaling.protocol import Sweep

SIZES = [4, 16, 64, 1024]


def sweep_rows(sizes: Sequence[int], seeds: int) -> pd.DataFrame:
    """Return steps on the law S = 20 (1 + 64 / B), the same for all seeds."""
    rows = [(size, seed, 0.1, 20 * (1 + 64 / size)) for size in sizes for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["batch_size", "seed", "learning_rate", "steps_to_target"])


def winners(sizes: Sequence[int] = SIZES, outcome: str = "tuned") -> pd.DataFrame:
    return pd.DataFrame({"batch_size": sizes, "learning_rate": 0.1, "outcome": outcome})


def times() -> pd.DataFrame:
    rows = [(size, each, 1e-4 + size / 1e6) for size in SIZES for each in range(20)]
    return pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s"])


def reached(seeds: int) -> pd.DataFrame:
    """Return roughness B^-1/2, and accuracies that differ by 2, 3, 4 ... points."""
    rows = [
        (size, seed, size**-0.5, 0.5 + (0.01 * (seed + 2) if size == 4 else 0))
        for size in (4, 64, 1024)
        for seed in range(seeds)
    ]
    columns = ["batch_size", "seed", "displayed_sd", "validation_accuracy"]
    return pd.DataFrame(rows, columns=columns)


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def test_arms_are_exponents_and_a_paired_difference() -> None:
    """On exact laws each arm is its slope; the accuracies' difference is a mean over pairs."""
    rows = sweep_rows(SIZES, 3)
    found = equal_loss.arms(rows, rows, winners(), times(), reached(3))
    steps = [20 * (1 + 64 / size) for size in SIZES]
    examples = [size * each for size, each in zip(SIZES, steps, strict=True)]
    seconds = [each * (1e-4 + size / 1e6) for size, each in zip(SIZES, steps, strict=True)]
    below = SIZES[: int(np.argmin(seconds)) + 1]
    expected = {
        "randomness": -0.5,
        "generalisation at equal training loss": 3.0,
        "training time in steps": slope(SIZES, steps),
        "training time in examples": slope(SIZES, examples),
        "training time in seconds": slope(below, seconds[: len(below)]),
    }
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected)
    difference = found["generalisation at equal training loss"]
    assert difference.low == pytest.approx(3 - 4.302653 / math.sqrt(3), rel=1e-5)


def test_untuned_ends_are_refused_and_named() -> None:
    """With every size at an edge no arm has a value, and all say why."""
    rows = sweep_rows(SIZES, 2)
    nothing = reached(2).iloc[:0]
    found = equal_loss.arms(rows, rows.iloc[:0], winners(outcome="edge"), times(), nothing)
    assert all(each.value is None and each.reason for each in found.values())
    assert "edge" in found["generalisation at equal training loss"].reason


def test_three_sizes_tell() -> None:
    """Both ends and what lies nearest to their geometric mean, once each."""
    assert equal_loss.telling_sizes([4, 8, 16, 64, 2048]) == [4, 64, 2048]
    assert equal_loss.telling_sizes([8, 16]) == [8, 16]


def test_axes_start_together_and_multiply() -> None:
    """At the smallest size all cost 1; examples over steps are the batch sizes' ratio."""
    table = equal_loss.axes(sweep_rows(SIZES, 2), times())
    costs = table.pivot(index="batch_size", columns="axis", values="relative_cost")
    np.testing.assert_allclose(costs.loc[4], 1)
    np.testing.assert_allclose(costs["examples"] / costs["steps"], costs.index / 4)
    time = (1e-4 + costs.index / 1e6) / (1e-4 + 4 / 1e6)
    np.testing.assert_allclose(costs["seconds"] / costs["steps"], time)


@pytest.fixture(scope="module")
def problem() -> Task:
    """Return a small task."""
    return data.load("digits", examples=256, seed=2)


def swept(sizes: Sequence[int], steps: Sequence[float]) -> Sweep:
    runs = pd.DataFrame({"batch_size": sizes, "seed": 1, "steps_to_target": steps, "role": "rerun"})
    return Sweep(runs, winners(sizes))


def test_trainings_are_read_where_they_cross(problem: Task) -> None:
    """Roughness and accuracy are those of the same training, evaluated at every step."""
    found = equal_loss.trainings(
        problem, swept([32], [12.0]), value=1.2, batch_sizes=[32], seed=0, seeds=2
    )
    assert (found["steps_to_target"] > 0).all()
    assert (found["seed"] >= clocked.FRESH).all()  # none of the sweep's own
    target = training.Target("train_loss", 1.2)
    again = training.train(
        problem, batch_size=32, learning_rates=[0.1, 0.1], seeds=found["seed"].tolist(),
        budget=training.Budget(steps=48), target=target, evaluate_every=1,
        record_batch_loss=True,
    )  # fmt: skip
    exact = crossing.steps_to_target(again, target)["steps_to_target"]
    # Interpolation in between evaluations a tenth apart errs by less than their distance.
    np.testing.assert_allclose(found["steps_to_target"], exact, rtol=0.1)
    assert again.batch_losses is not None
    for row, steps in enumerate(found["steps_to_target"]):
        way = again.batch_losses[row, int(steps / 2) : math.ceil(steps)].to(torch.float64)
        assert found["displayed_sd"][row] == pytest.approx(noise.roughness(way).item(), rel=1e-4)
        curve = again.history[again.history["member"] == row]
        near = curve[(curve["step"] - steps).abs() <= 0.1 * steps + 1]["validation_accuracy"]
        assert near.min() <= found["validation_accuracy"][row] <= near.max()


def test_a_target_out_of_reach_leaves_gaps(problem: Task) -> None:
    """A training that ends before keeps its row, without values; an untuned size has no row."""
    sweep = swept([32], [2.0])
    found = equal_loss.trainings(problem, sweep, value=0.01, batch_sizes=[32], seed=0, seeds=2)
    assert found.drop(columns=["batch_size", "seed"]).isna().all(axis=None)
    sweep.winners["outcome"] = "edge"
    none = equal_loss.trainings(problem, sweep, value=0.01, batch_sizes=[32], seed=0, seeds=2)
    assert none.empty
    assert list(none.columns) == equal_loss.COLUMNS


def test_quality_averages_over_seeds() -> None:
    """Accuracy by its mean, roughness by its geometric mean."""
    table = reached(3)
    found = equal_loss.quality(table, "validation_accuracy")
    assert found["validation_accuracy"].tolist() == pytest.approx([0.53, 0.5, 0.5])
    table["displayed_sd"] *= np.tile([0.5, 1, 2], 3)
    assert equal_loss.quality(table)["displayed_sd"].tolist() == pytest.approx([0.5, 0.125, 1 / 32])
