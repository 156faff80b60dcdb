"""Two budgets of one sweep: what is asked of them, and what may be compared."""

import numpy as np
import pandas as pd
import pytest

from bslib.refusal import Refusal
from bslib.scaling import Sweep, equal_budgets


def sweep(outcome: str = "tuned", losses: tuple[float, float] = (0.1, 1.234)) -> Sweep:
    """Two sizes, three fresh seeds each, the second size's accuracy 2 points lower."""
    rows = [
        {
            "role": role,
            "batch_size": size,
            "seed": seed,
            "learning_rate": 0.1,
            "train_loss": losses[size > 8],
            "validation_accuracy": 0.5 + 0.01 * seed - 0.02 * (size > 8),
            "test_accuracy": 0.4,
        }
        for role in ("grid", "rerun")
        for size in (8, 64)
        for seed in range(3)
    ]
    winners = [
        {"batch_size": 8, "learning_rate": 0.1, "outcome": "tuned", "side": ""},
        {"batch_size": 64, "learning_rate": 0.1, "outcome": outcome, "side": ""},
    ]
    return Sweep(pd.DataFrame(rows), pd.DataFrame(winners))


def test_equal_steps_are_those_of_the_second_smallest_batch() -> None:
    """Epochs times N over the second smallest size, in any order of the sizes."""
    assert equal_budgets.equal_steps([128, 4, 16], 12, 512) == 384
    assert equal_budgets.equal_steps([4], 2, 64) == 32
    assert equal_budgets.equal_steps([64, 64 * 2], 1, 64) == 2


def test_runs_are_the_fresh_ones_of_both_budgets() -> None:
    """Grid trainings are left out; a row says its budget and how its size was tuned."""
    pair = equal_budgets.EqualBudgets(sweep(), sweep("edge"))
    assert len(pair.runs) == 12
    by = pair.runs.groupby(["budget", "batch_size"])["outcome"].unique().str[0]
    assert by[equal_budgets.EPOCHS, 64] == "tuned"
    assert by[equal_budgets.STEPS, 64] == "edge"
    assert len(pair.winners) == 4


def test_a_gap_is_paired_by_seed_and_in_points() -> None:
    """A difference that is the same in all seeds has no width, however they differ."""
    found = equal_budgets.gap(equal_budgets.fresh(sweep()), 8, 64)
    assert found.value == pytest.approx(2.0)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("outcome", "sizes"), [("edge", [8, 64]), ("tuned", [8, 32])])
def test_an_untuned_or_absent_size_is_not_compared(outcome: str, sizes: list[int]) -> None:
    """An edge, and a size that never trained, refuse the gap and are named."""
    runs = equal_budgets.fresh(sweep(outcome))
    found = equal_budgets.gap(runs, *sizes)
    assert found.value is None
    assert f"batch size {sizes[1]}" in found.reason
    assert equal_budgets.untuned(runs, [8]) == ""
    assert "two batch sizes" in equal_budgets.gap(runs, 8, 8).reason


def test_the_common_loss_is_one_that_all_reach() -> None:
    """The worst size's median, to two decimals; a diverged size says nothing about it."""
    assert equal_budgets.common_loss(sweep()) == 1.23
    assert equal_budgets.common_loss(sweep(losses=(0.1, np.nan))) == 0.1
    with pytest.raises(Refusal, match="lower learning_rate"):
        equal_budgets.common_loss(sweep(losses=(np.nan, np.nan)))


def test_both_sweeps_keep_their_budgets() -> None:
    """On real trainings: equal examples, equal steps, and one loss that every size reaches."""
    settings = {
        "task": "digits",
        "examples": 128,
        "batch_sizes": [8, 32, 128],
        "epochs": 3,
        "learning_rate": 0.4,
        "seed": 0,
        "seeds": 2,
        "device": "cpu",
    }
    pair = equal_budgets.measure(**settings)
    assert set(pair.epochs.runs["examples"]) == {384}
    assert set(pair.steps.runs["steps"]) == {12}
    assert set(pair.runs["seed"]) == {1000, 1001}
    swept = equal_budgets.to_common_loss(pair.epochs, **settings)
    assert swept.runs["steps_to_target"].notna().any()
    assert list(swept.winners["batch_size"]) == [8, 32, 128]
