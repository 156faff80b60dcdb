"""Which batch size looks best: who is ruled out, and how far two ways' winners lie apart."""

import math

import numpy as np
import pandas as pd
import pytest

from bslib import data
from bslib.scaling import best_batch_size, equal_budgets
from bslib.scaling.best_batch_size import DECAYED, EPOCHS, FIXED, STEPS, WAYS

SIZES = [4, 16, 128, 512]


def accuracies(
    means: list[float], spread: float = 1.0, seeds: int = 16, seed: int = 0
) -> pd.DataFrame:
    drawn = np.random.default_rng(seed).normal(means, spread, size=(seeds, len(means)))
    return pd.DataFrame(drawn, columns=SIZES[: len(means)])


@pytest.mark.parametrize("means", [[0.0] * 4, [0.3, 0.0, 0.0, 0.0], [2.0, 1.9, 0.0, -5.0]])
def test_the_best_size_is_kept_with_the_stated_confidence(means: list[float]) -> None:
    """Over drawn accuracies the true best, or any one that ties, is a contender in 95 %."""
    draws, misses = 600, 0
    for draw in range(draws):
        misses += SIZES[0] not in best_batch_size.contenders(accuracies(means, seed=draw), 0.95)
    assert misses / draws <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_two_sizes_are_one_one_sided_test() -> None:
    """With two sizes and a tie, either is ruled out in 5 %: the test is not conservative there."""
    draws = 2_000
    out = sum(
        4 not in best_batch_size.contenders(accuracies([0.0, 0.0], seeds=6, seed=draw))
        for draw in range(draws)
    )
    assert out / draws == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / draws))


def test_intervals_of_octaves_hold_the_truth() -> None:
    """The distance of two ways' true best sizes lies inside in at least 95 % of draws."""
    draws, inside = 300, 0
    for draw in range(draws):
        first = accuracies([0.5, 0.0, 0.0, -1.0], seed=draw)
        second = accuracies([0.0, 0.0, 0.2, 0.5], seed=10_000 + draw)
        found = best_batch_size.octaves_apart(first, second)
        assert found.value is not None
        assert found.low <= found.value <= found.high
        inside += found.low <= -7 <= found.high
    assert inside / draws >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / draws)


def test_two_lists_hold_together() -> None:
    """With ties in both ways, either way's size is on its list in 95 % of draws, both at once."""
    draws = 2_000
    tables = (accuracies([0.0, 0.0], seeds=6, seed=draw) for draw in range(2 * draws))
    found = [best_batch_size.octaves_apart(next(tables), next(tables)) for _ in range(draws)]
    inside = sum(each.low <= -2 <= each.high for each in found)
    assert inside / draws == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / draws))


def test_clear_winners_leave_a_point_and_equal_sizes_everything() -> None:
    """Far apart: one difference, at any level. All alike: from end to end of the sweep."""
    small, large = accuracies([9.0, 0, 0, 0]), accuracies([0.0, 0, 0, 9])
    clear = best_batch_size.octaves_apart(small, large)
    assert (clear.value, clear.low, clear.high) == (-7, -7, -7)
    assert clear.at(0.998).low == -7
    rows = np.tile([[0.0], [1.0], [3.0]], (1, 4))
    same = pd.DataFrame(rows, columns=SIZES)
    alike = best_batch_size.octaves_apart(same, same)
    assert (alike.value, alike.low, alike.high) == (0, -7, 7)
    assert clear.needed is not None
    assert clear.needed <= 16
    assert alike.needed == best_batch_size.MOST_SEEDS + 1
    assert best_batch_size.contenders(same.iloc[:1]) == SIZES


def test_as_many_seeds_as_it_says_leave_one() -> None:
    """With the spread kept, the number is the first at which the winner stands alone."""
    means = [1.0, 0.0, 0.0, 0.0]
    pattern = np.array([[1.0, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]]) * 1.5
    tables = {
        4 * times: pd.DataFrame(np.tile(pattern, (times, 1)) + means, columns=SIZES)
        for times in (5, 6, 7, 10)
    }
    needed = best_batch_size.seeds_for_one(tables[40])
    assert needed is not None
    assert 24 <= needed <= 28
    assert len(best_batch_size.contenders(tables[20])) > 1
    assert best_batch_size.contenders(tables[28]) == [4]
    table = tables[40]
    assert best_batch_size.seeds_for_one(table - means) is None


def runs() -> pd.DataFrame:
    """All four ways, with the best size 4, 4, 16 and 512, far ahead."""
    best = dict(zip(WAYS, (4, 4, 16, 512), strict=True))
    rows = [
        {"way": way, "batch_size": size, "seed": seed, "outcome": "tuned",
         "validation_accuracy": 0.3 + 0.001 * ((seed * 7 + size) % 5) + 0.2 * (size == best[way])}
        for way in WAYS
        for size in SIZES
        for seed in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_arms_measure_from_the_way_with_everything_tuned() -> None:
    """log2 of each way's best over the fourth's."""
    arms = best_batch_size.arms(runs(), batch_sizes=SIZES)
    assert {name: arm.value for name, arm in arms.items()} == {FIXED: -7, EPOCHS: -7, STEPS: -5}
    shown = best_batch_size.summary(runs(), SIZES)
    assert list(shown["looks best"]) == ["4", "4", "16", "512"]
    spreads = best_batch_size.spreads(runs(), SIZES)
    assert all(19 < (each.value or 0) < 21 for each in spreads.values())


def test_a_size_without_a_tuned_rate_refuses_its_way() -> None:
    """An edge in one way leaves that arm open; in the reference, all of them. Nothing crashes."""
    table = runs()
    table.loc[(table["way"] == STEPS) & (table["batch_size"] == 512), "outcome"] = "edge"
    arms = best_batch_size.arms(table, batch_sizes=SIZES)
    assert "batch size 512: edge" in arms[STEPS].reason
    assert arms[EPOCHS].value == -7
    without = table[(table["way"] != DECAYED) | (table["batch_size"] != 4)]
    arms = best_batch_size.arms(without, batch_sizes=SIZES)
    assert all(
        "batch size 4: unreached" in arm.reason for arm in arms.values() if arm is not arms[STEPS]
    )
    assert best_batch_size.spreads(without, SIZES)[DECAYED].value is None
    assert "unreached" in best_batch_size.summary(without, SIZES)["may be the best"].iloc[-1]


def test_one_batch_size_is_no_comparison() -> None:
    """All arms are refused, instead of agreeing with themselves."""
    table = runs()
    arms = best_batch_size.arms(table[table["batch_size"] == 4], batch_sizes=[4])
    assert all("one batch size" in arm.reason for arm in arms.values())


def test_four_ways_share_their_seeds() -> None:
    """On real trainings: every way has every size and seed, and the fixed rate is one."""

    settings = {
        "task": "digits", "examples": 128, "batch_sizes": [8, 32, 128], "epochs": 2,
        "learning_rate": 0.4, "seed": 0, "seeds": 2, "device": "cpu",
    }  # fmt: skip
    problem = data.load("digits", examples=128, seed=0)
    budgets = equal_budgets.measure(**settings)
    found = best_batch_size.four_ways(
        problem, budgets, weight_decays=[0.0, 0.001, 0.01], **settings
    )
    assert found.groupby(["way", "batch_size"])["seed"].nunique().tolist() == [2] * 12
    fixed = found[found["way"] == FIXED]
    assert fixed["learning_rate"].nunique() == 1
    own = found[(found["way"] == EPOCHS) & (found["batch_size"] == 8)]
    same = fixed[fixed["batch_size"] == 8]
    assert same["train_loss"].tolist() == pytest.approx(own["train_loss"].tolist(), rel=1e-4)
