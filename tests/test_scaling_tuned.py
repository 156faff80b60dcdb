"""Tuned sweeps of real trainings, small enough for a test."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from bslib.refusal import Refusal
from bslib.scaling import Sweep, critical_batch_size, crossing, tuned
from bslib.training import Adam, Target, Training


def test_sweep_to_target_feeds_the_fit() -> None:
    """On digits, steps fall with the batch size while examples do not, at tuned rates."""
    tables = tuned.to_target(
        task="digits",
        examples=512,
        options={"width": 16, "depth": 1},
        batch_sizes=[16, 64, 256],
        metric="train_loss",
        value=0.5,
        most_examples=40_000,
        learning_rate=1.6,
        noise_scale=60,
        seeds=2,
    )
    swept = Sweep(**tables)
    assert list(swept.winners["outcome"]) == ["tuned"] * 3
    assert len(swept.reruns) == 6
    assert set(swept.reruns["seed"]).isdisjoint(swept.grid["seed"])
    means = swept.reruns.groupby("batch_size")["steps_to_target"].mean()
    assert means.is_monotonic_decreasing
    fit = critical_batch_size.fit(swept.reruns)
    assert len(fit.residuals) == 6
    again = tuned.to_target(
        task="digits",
        examples=512,
        options={"width": 16, "depth": 1},
        batch_sizes=[256],
        metric="train_loss",
        value=0.5,
        most_examples=40_000,
        learning_rate=1.6,
        noise_scale=60,
        seeds=2,
    )
    same = swept.runs[swept.runs["batch_size"] == 256]["steps_to_target"]
    assert list(again["runs"]["steps_to_target"]) == pytest.approx(list(same), nan_ok=True)


def test_crossing_is_interpolated_between_evaluations() -> None:
    """On an exponential curve seen every 10 steps, the crossing is exact; unreached stays so."""
    step = np.tile(np.arange(0, 50, 10), 2)
    loss = np.where(np.arange(10) < 5, 2 * np.exp(-0.05 * step), 2.0)
    history = pd.DataFrame({"member": np.arange(10) // 5, "step": step, "train_loss": loss})
    members = pd.DataFrame({"member": [0, 1], "steps_to_target": [40, math.nan]})
    trained = Training(members, history, None, "loop", 0, 1, {})
    found = crossing.steps_to_target(trained, Target("train_loss", 0.3))["steps_to_target"]
    assert found[0] == pytest.approx(math.log(2 / 0.3) / 0.05)
    assert math.isnan(found[1])
    rising = Training(members, history.assign(train_accuracy=step / 40), None, "loop", 0, 1, {})
    found = crossing.steps_to_target(rising, Target("train_accuracy", 0.6))["steps_to_target"]
    assert found[0] == pytest.approx(24)


def test_fixed_budget_is_kept() -> None:
    """At equal epochs every training sees as many examples, at equal steps as many steps.

    The grid may have seeds of another number than the reruns; a task without accuracy is refused.
    """
    settings = {
        "task": "digits",
        "examples": 256,
        "options": {"width": 8, "depth": 1},
        "batch_sizes": [32, 128],
        "learning_rate": 0.8,
        "noise_scale": 60.0,
        "seeds": 2,
        "points": 3,
    }
    epochs = tuned.fixed_budget(epochs=4, **settings)["runs"]
    assert set(epochs["examples"]) == {1024}
    assert epochs["test_accuracy"].between(0, 1).all()
    steps = tuned.fixed_budget(steps=9, **settings)["runs"]
    assert set(steps["steps"]) == {9}
    with pytest.raises(Refusal, match="exactly one"):
        tuned.fixed_budget(steps=9, epochs=2, **settings)
    with pytest.raises(Refusal, match="no accuracy"):
        tuned.fixed_budget(steps=9, **{**settings, "task": "linear-regression"})
    fewer = tuned.fixed_budget(steps=9, grid_seeds=1, **settings)["runs"]
    assert fewer.groupby("role")["seed"].nunique().to_dict() == {"grid": 1, "rerun": 2}


def test_evaluations_are_close_enough() -> None:
    """Neighbouring steps differ by one, or by 5 % and the rounding of both ends."""
    steps = tuned.evaluation_steps(100_000, 0.05)
    assert steps[:5] == [1, 2, 3, 4, 5]
    assert steps[-1] >= 100_000
    assert tuned.evaluation_steps(1_000, 0.05) == [step for step in steps if step <= 1_040]
    gaps = [(b - a, a) for a, b in itertools.pairwise(steps)]
    assert all(gap == 1 or gap <= 0.05 * at + 1 for gap, at in gaps)
    assert len(steps) < 220


def test_adam_forgets_in_examples() -> None:
    """beta2 to the power of half-life / B is a half; other optimisers have no such setting."""
    for size in (8, 512):
        adam = tuned.optimizer_at(size, name="adamw", beta2_half_life=4096)
        assert isinstance(adam, Adam)
        assert adam.betas[1] ** (4096 / size) == pytest.approx(0.5)
        assert adam.decoupled
    assert math.isclose(tuned.optimizer_at(8, name="adam").betas[1], 0.999)  # type: ignore[union-attr]
    with pytest.raises(Refusal, match="no beta2"):
        tuned.optimizer_at(8, name="sgd", beta2_half_life=100)
