"""Sweeps that keep the best checkpoint, against the same trainings evaluated at every step."""

import numpy as np
import pytest

from bslib import data, training
from bslib.refusal import Refusal
from bslib.scaling import Sweep, early_stopped

STEPS = 60
SETTINGS = {
    "batch_sizes": [16, 128], "steps": STEPS, "learning_rate": 0.1, "noise_scale": 0.0,
    "seeds": 2, "points": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("teacher-student", examples=128, seed=0)


@pytest.fixture(scope="module")
def swept(task: data.Task) -> Sweep:
    return Sweep(**early_stopped.sweep(task, **SETTINGS))


@pytest.mark.parametrize("batch_size", [16, 128])
def test_a_training_is_its_best_checkpoint(task: data.Task, swept: Sweep, batch_size: int) -> None:
    """Test accuracy is that of the checkpoint with the highest validation accuracy, the first."""
    runs = swept.runs[(swept.runs["role"] == "rerun") & (swept.runs["batch_size"] == batch_size)]
    history = training.train(
        task,
        batch_size=batch_size,
        learning_rates=runs["learning_rate"].tolist(),
        seeds=runs["seed"].tolist(),
        budget=training.Budget(steps=STEPS),
        evaluate_every=early_stopped.checkpoint_steps(STEPS),
        evaluate_on=("train", "validation", "test"),
    ).history
    for seed, own in history[history["step"] > 0].groupby("seed"):
        run = runs[runs["seed"] == seed].iloc[0]
        best = own.sort_values("step").iloc[own["validation_accuracy"].argmax()]
        assert run["best_step"] == best["step"]
        for part in ("validation", "test"):
            # counts over 2,000 and 4,000 examples: equal, but for how float32 sums them
            assert run[f"{part}_accuracy"] == pytest.approx(best[f"{part}_accuracy"], abs=1e-6)
        assert run["train_loss"] == pytest.approx(own["train_loss"].iloc[-1], rel=1e-4)


def test_winners_carry_their_grids_score(swept: Sweep) -> None:
    """The score that a batch size is chosen by is the grid's mean at the winning rate."""
    for _, winner in swept.winners.iterrows():
        own = swept.grid[swept.grid["batch_size"] == winner["batch_size"]]
        means = own.groupby("learning_rate")["validation_accuracy"].mean()
        assert winner["validation_accuracy"] == means[winner["learning_rate"]] == means.max()
    assert set(swept.grid["seed"]).isdisjoint(swept.runs[swept.runs["role"] == "rerun"]["seed"])


def test_what_never_had_a_finite_loss_has_no_checkpoint(task: data.Task) -> None:
    """Rates far too high leave no accuracy, and no rate at the end of the tuning."""
    tables = early_stopped.sweep(task, **SETTINGS | {"learning_rate": 1e30})
    assert set(tables["winners"]["outcome"]) == {"unreached"}
    assert tables["runs"][["validation_accuracy", "test_accuracy"]].isna().all(axis=None)


def test_checkpoints_run_to_the_end() -> None:
    """Checkpoints lie evenly in the logarithm of the step, and the last is the last step."""
    steps = early_stopped.checkpoint_steps(2_000)
    assert (steps[0], steps[-1], len(steps)) == (20, 2_000, early_stopped.CHECKPOINTS)
    ratios = np.array(steps[1:]) / np.array(steps[:-1])
    assert ratios == pytest.approx(100 ** (1 / 11), rel=0.05)
    assert early_stopped.checkpoint_steps(2) == [2]


def test_a_task_without_classes_is_refused() -> None:
    """Where there is no accuracy to choose by, the sweep says so."""
    with pytest.raises(Refusal, match="no accuracy"):
        early_stopped.sweep(data.load("linear-regression", examples=128), **SETTINGS)
