"""The resume test: of a run that is done, and of one that is not."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bslib import data
from bslib.scaling import Sweep, equal_budgets, resumed, tuned


@pytest.fixture(scope="module")
def swept() -> Sweep:
    return Sweep(
        **tuned.fixed_budget(
            task="digits", examples=128, batch_sizes=[128], epochs=4, learning_rate=0.4,
            noise_scale=30.0, seeds=3, grid_seeds=2, points=3,
        )
    )  # fmt: skip


def test_before_is_the_sweep_and_after_is_longer(swept: Sweep) -> None:
    """The first part repeats the sweep's reruns; an under-trained run goes on falling."""
    task = data.load("digits", examples=128, seed=0)
    found = resumed.resume(task, swept, batch_size=128, epochs=4, times=10)
    reruns = equal_budgets.fresh(swept)
    assert list(found.runs["loss_before"]) == pytest.approx(list(reruns["train_loss"]), rel=1e-4)
    assert (found.runs["loss_after"] < found.runs["loss_before"]).all()
    curve = found.curves[found.curves["seed"] == reruns["seed"].iloc[0]]
    assert curve.groupby("part", sort=False)["step"].max().tolist() == [4, 44]
    assert curve["step"].is_monotonic_increasing


def test_a_size_without_a_rate_is_not_resumed(swept: Sweep) -> None:
    """Empty tables, a picture without a line, and an arm that says why."""
    task = data.load("digits", examples=128, seed=0)
    found = resumed.resume(task, swept, batch_size=64, epochs=4)
    assert found.runs.empty
    runs = equal_budgets.EqualBudgets(swept, swept).runs
    assert found.level(runs).empty
    arms = resumed.arms(runs, runs, found.runs, batch_sizes=[64, 128])
    assert "batch size 128: unreached" in arms["a premature minimum"].reason


def test_gradient_norm_of_a_straight_line() -> None:
    """For mean squared error of w x the gradient is the mean of 2 (w x - y) x."""
    task = data.load("linear-regression", examples=64, seed=0)
    module = nn.Sequential(nn.Linear(task.train.inputs.shape[1], 1, bias=False))
    inputs, targets = task.train.inputs, task.train.targets
    rows = task.loss(module(inputs), targets)
    weight = module[0].weight.detach().clone().requires_grad_()
    doubled = task.loss(inputs @ weight.T, targets)
    assert torch.allclose(rows, doubled)
    numeric = []
    with torch.no_grad():
        for index in range(weight.shape[1]):
            step = torch.zeros_like(weight)
            step[0, index] = 0.01  # the loss is quadratic: a central difference is exact
            up, down = (task.loss(inputs @ (weight + s * step).T, targets).mean() for s in (1, -1))
            numeric.append(float(up - down) / 0.02)
    assert resumed.gradient_norm(module, task) == pytest.approx(np.linalg.norm(numeric), rel=1e-3)


def table(ratio: float) -> dict[str, pd.DataFrame]:
    """Four seeds at two sizes: steps fall as B^-1/2, losses fall by ``ratio``."""
    rows = [
        {"budget": budget, "batch_size": size, "seed": seed, "outcome": "tuned", "train_loss": 1.0,
         "validation_accuracy": 0.5 + 0.001 * seed + effect * (size < 64),
         "steps_to_target": 100 * (1 + 0.01 * seed) / math.sqrt(size)}
        for budget, effect in ((equal_budgets.EPOCHS, 0.05), (equal_budgets.STEPS, -0.03))
        for size in (4, 64)
        for seed in range(4)
    ]  # fmt: skip
    runs = pd.DataFrame(rows)
    large = runs[(runs["batch_size"] == 64) & (runs["budget"] == equal_budgets.EPOCHS)]
    spread = np.array([0.9, 1 / 0.9, 1.0, 1.0])
    return {
        "runs": runs,
        "reaching": runs[runs["budget"] == equal_budgets.EPOCHS],
        "resumed": large.assign(loss_before=2.0, loss_after=2.0 * ratio * spread),
    }


def test_arms_are_what_was_put_in() -> None:
    """An exponent of -1/2, the geometric mean of the ratios, and both gaps in points."""
    arms = resumed.arms(**table(0.25), batch_sizes=[4, 64])
    values = {name: arm.value for name, arm in arms.items()}
    assert values == pytest.approx(
        {
            "iterations": -0.5,
            "a premature minimum": 0.25,
            "generalisation at equal epochs": 5.0,
            "generalisation at equal steps": -3.0,
        }
    )
    ratio = arms["a premature minimum"]
    assert ratio.low * ratio.high == pytest.approx(0.25**2)
    assert ratio.at(0.99).low < ratio.low


def test_a_size_at_an_edge_leaves_its_arms_open() -> None:
    """No exponent and no gap with a size whose tuning failed."""
    frames = table(0.25)
    frames["reaching"] = frames["reaching"].assign(outcome="edge")
    frames["runs"] = frames["runs"].assign(outcome="edge")
    arms = resumed.arms(**frames, batch_sizes=[4, 64])
    assert {name for name, arm in arms.items() if arm.value is None} == set(arms) - {
        "a premature minimum"
    }
