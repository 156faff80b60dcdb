"""Carrying a learning rate to another batch size: what is trained, and what is estimated."""

import math

import numpy as np
import pandas as pd
import pytest

from bslib import data
from bslib.scaling import equal_budgets, rate_bands, transfer
from bslib.scaling.equal_budgets import EPOCHS, STEPS, EqualBudgets

SETTINGS = {
    "task": "digits", "examples": 128, "batch_sizes": [8, 64, 128], "epochs": 2,
    "learning_rate": 0.4, "seed": 0, "seeds": 2, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def budgets() -> EqualBudgets:
    return equal_budgets.measure(**SETTINGS)  # type: ignore[arg-type]


def test_a_regret_is_own_accuracy_less_that_at_the_other_rate(budgets: EqualBudgets) -> None:
    """Training a size alone at another's rate, on the same seed, gives the regret's difference."""
    task = data.load("digits", examples=128, seed=0)
    found = transfer.regrets(task, budgets, epochs=2)
    at_epochs = found[found["budget"] == EPOCHS]
    assert len(at_epochs) == 3 * 2 * 2
    row = at_epochs[(at_epochs["tuned_for"] == 8) & (at_epochs["batch_size"] == 128)].iloc[0]
    own = budgets.runs[(budgets.runs["budget"] == EPOCHS) & (budgets.runs["batch_size"] == 128)]
    own = own[own["seed"] == row["seed"]].iloc[0]
    alone = transfer.training.train(
        task,
        batch_size=128,
        learning_rates=[row["learning_rate"]],
        seeds=[int(row["seed"])],
        budget=transfer.training.Budget(examples=256),
        schedule="cosine",
        evaluate_on=("test",),
    )
    other = alone.members["test_accuracy"].iloc[0]
    # One example of the test part may fall on the other side by rounding.
    assert row["regret"] == pytest.approx(
        100 * (own["test_accuracy"] - other), abs=101 / len(task.test)
    )


def test_at_equal_steps_only_moderate_pairs_are_trained(budgets: EqualBudgets) -> None:
    """Eight to sixteen times apart: 8 with 64, in both directions; 16 times is too far."""
    task = data.load("digits", examples=128, seed=0)
    found = transfer.regrets(task, budgets, epochs=2)
    pairs = found.loc[found["budget"] == STEPS, ["tuned_for", "batch_size"]].drop_duplicates()
    assert {tuple(sorted(pair)) for pair in pairs.to_numpy().tolist()} == {(8, 64)}


def test_one_rate_for_two_sizes_costs_nothing(budgets: EqualBudgets) -> None:
    """Where the tuned rates are equal the regret is exactly zero, without a training."""
    runs, winners = budgets.epochs.runs.copy(), budgets.epochs.winners.copy()
    runs["learning_rate"] = winners["learning_rate"] = 0.1
    same = equal_budgets.Sweep(runs, winners)
    task = data.load("digits", examples=128, seed=0)
    found = transfer.regrets(task, EqualBudgets(same, same), epochs=2)
    assert (found["regret"] == 0).all()


def test_roughness_is_that_of_two_rates(budgets: EqualBudgets) -> None:
    """A row a fresh seed, of the first size eight times the smallest; a wild rate is infinite."""
    task = data.load("digits", examples=128, seed=0)
    found = transfer.roughness(task, budgets.epochs, batch_sizes=[8, 64, 128], steps=64)
    assert set(found["batch_size"]) == {64}
    assert found["seed"].tolist() == [1000, 1001]
    assert np.isfinite(found[["small_rate_sd", "scaled_rate_sd"]]).all().all()
    wild = equal_budgets.Sweep(
        budgets.epochs.runs.assign(learning_rate=40.0), budgets.epochs.winners
    )
    found = transfer.roughness(task, wild, batch_sizes=[8, 64, 128], steps=64)
    assert np.isinf(found["scaled_rate_sd"]).all()


def test_width_of_a_tent() -> None:
    """A curve that falls by 2 points an octave is within a point of its peak for one octave."""
    octaves = list(rate_bands.OCTAVES)
    rows = [
        {"batch_size": 8, "octaves": octave, "seed": seed, "accuracy": 50 + seed - 2 * abs(octave)}
        for octave in octaves
        for seed in range(4)
    ]
    found = rate_bands.widths(pd.DataFrame(rows))["batch size 8"]
    assert found.value == pytest.approx(1.0, abs=0.02)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


def frames(outcome: str = "tuned") -> dict[str, pd.DataFrame]:
    """A law of steps with B_crit = 60, regrets of 5 below and 0.2 above, a rough scaled rate."""
    sizes, seeds = [4, 32, 100, 800], range(5)
    reaching = pd.DataFrame(
        {"batch_size": size, "seed": seed, "outcome": "tuned",
         "steps_to_target": 20 * (1 + 60 / size) * (1 + 0.01 * seed), "steps": 0}
        for size in sizes
        for seed in seeds
    )  # fmt: skip
    regrets = pd.DataFrame(
        {"budget": EPOCHS, "tuned_for": source, "batch_size": size, "seed": seed,
         "learning_rate": 0.1, "outcome": outcome,
         "regret": 0.01 * seed + (5.0 if max(source, size) < 60 else
                                  0.2 if min(source, size) > 60 else 99.0)}
        for source in sizes
        for size in sizes
        if source != size
        for seed in seeds
    )  # fmt: skip
    rough = pd.DataFrame(
        {"seed": list(seeds), "batch_size": 32, "learning_rate": 0.1, "outcome": "tuned",
         "small_rate_sd": 0.01, "scaled_rate_sd": [0.04] * 5}
    )  # fmt: skip
    return {"regrets": regrets, "reaching": reaching, "rough": rough}


def test_arms_take_pairs_on_one_side_only() -> None:
    """Pairs across the critical size do not enter, and the ratio of deviations is 1/4."""
    arms = transfer.arms(**frames())
    assert arms[transfer.BELOW].value == pytest.approx(5.02)
    assert arms[transfer.ABOVE].value == pytest.approx(0.22)
    assert arms[transfer.STABILITY].value == pytest.approx(0.25)


def test_arms_say_what_is_missing() -> None:
    """An edge, no pair on a side, and no critical size each refuse their arms with a reason."""
    arms = transfer.arms(**frames("edge"))
    assert "edge" in arms[transfer.BELOW].reason
    tables = frames()
    tables["regrets"] = tables["regrets"][tables["regrets"]["batch_size"] != 800]
    tables["regrets"] = tables["regrets"][tables["regrets"]["tuned_for"] != 800]
    assert "no two batch sizes" in transfer.arms(**tables)[transfer.ABOVE].reason
    tables["reaching"] = tables["reaching"].assign(outcome="edge")
    assert "no critical batch size" in transfer.arms(**tables)[transfer.BELOW].reason
    tables["rough"] = tables["rough"].iloc[:0]
    assert "unreached" in transfer.arms(**tables)[transfer.STABILITY].reason


def test_a_run_that_diverges_fluctuates_without_bound() -> None:
    """At the scaled rate it pulls the ratio to 0, at the small one up; at both it is refused."""
    tables = frames()
    tables["rough"] = tables["rough"].assign(scaled_rate_sd=math.inf)
    found = transfer.arms(**tables)[transfer.STABILITY]
    assert (found.value, found.low, found.high) == (0, 0, 0)
    tables["rough"] = tables["rough"].assign(small_rate_sd=math.inf, scaled_rate_sd=0.01)
    assert transfer.arms(**tables)[transfer.STABILITY].value == math.inf
    tables["rough"] = tables["rough"].assign(scaled_rate_sd=math.inf)
    assert "both rates" in transfer.arms(**tables)[transfer.STABILITY].reason
