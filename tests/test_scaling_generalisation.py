"""The generalisation gap, on drawn tables and on small real trainings."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from bslib.refusal import Refusal
from bslib.scaling import generalisation

SETTINGS = {
    "task": "digits",
    "examples": 128,
    "model": "mlp",
    "options": {"width": 8, "depth": 1},
    "steps": 24,
    "weight_decays": [0.0, 0.01, 0.1],
    "learning_rate": 0.8,
    "noise_scale": 16.0,
    "seeds": 3,
    "grid_seeds": 2,
}


def drawn(gap: float, seeds: int = 6) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return runs whose small batch is better by about ``gap`` points, rows shuffled."""
    random = np.random.default_rng(0)
    shared = random.normal(50, 10, seeds)
    rows = [
        {"comparison": name, "batch_size": size, "seed": seed, "accuracy": value}
        for name in generalisation.COMPARISONS
        for size, mean in ((8, gap), (64, 0.0), (32, -50.0))
        for seed, value in enumerate(shared + mean + random.normal(0, 0.1, seeds))
    ]
    winners = [
        {"comparison": name, "batch_size": size, "outcome": "tuned", "side": ""}
        for name in generalisation.COMPARISONS
        for size in (8, 32, 64)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1), pd.DataFrame(winners)


def test_the_gap_is_paired_by_seed_between_the_end_sizes() -> None:
    """It equals scipy's paired interval of smallest less largest; sizes between do not enter."""
    runs, winners = drawn(2.0)
    found = generalisation.arms(runs, winners)
    assert list(found) == [generalisation.PLAIN, generalisation.DECAYED]
    table = runs[runs["comparison"] == generalisation.PLAIN].pivot(
        index="seed", columns="batch_size", values="accuracy"
    )
    interval = scipy_stats.ttest_rel(table[8], table[64]).confidence_interval()
    estimate = found[generalisation.PLAIN]
    assert (estimate.low, estimate.high) == pytest.approx(tuple(interval))
    assert estimate.value == pytest.approx(2.0, abs=0.3)


def test_a_failed_tuning_gives_no_gap() -> None:
    """An edge at an end's size refuses that comparison alone, and says where it happened."""
    runs, winners = drawn(2.0)
    edge = (winners["comparison"] == generalisation.DECAYED) & (winners["batch_size"] == 64)
    winners.loc[edge, ["outcome", "side"]] = ["edge", "highest weight decay"]
    found = generalisation.gaps(runs, winners)
    assert found[generalisation.DECAYED].value is None
    assert found[generalisation.DECAYED].reason == "batch size 64 edge highest weight decay"
    assert found[generalisation.PLAIN].value is not None
    assert found[generalisation.EPOCHS].value is not None


def test_each_decay_is_shown_at_its_best_rate() -> None:
    """Rates are ranked by validation accuracy alone; the gap is of test accuracy, per decay."""
    rows = [
        {
            "batch_size": size,
            "weight_decay": decay,
            "learning_rate": rate,
            "seed": seed,
            "validation_accuracy": 0.5 + (0.1 if rate == best else 0.0),
            "accuracy": 40.0 + (gap if size == 8 else 0.0) + (9 if rate != best else 0) + seed,
        }
        for decay, gap in ((0.0, 5.0), (0.01, -1.0))
        for size, best in ((8, 0.1), (64, 0.2))
        for rate in (0.1, 0.2)
        for seed in range(3)
    ]
    grid = pd.DataFrame(rows)
    shown = generalisation.by_decay(grid)
    assert len(shown) == 12
    assert shown.groupby("batch_size")["learning_rate"].unique().map(list).to_dict() == {
        8: [0.1],
        64: [0.2],
    }
    assert list(shown["weight_decay"].unique()) == ["0", "0.01"]
    found = generalisation.gaps_by_decay(grid)
    assert found["weight decay 0 at both"].value == pytest.approx(5.0)
    assert found["weight decay 0.01 at both"].value == pytest.approx(-1.0)


def test_three_comparisons_of_real_trainings() -> None:
    """Small batches serve both plain comparisons; at equal epochs the large one stops early."""
    tables = generalisation.compare(batch_sizes=[8, 64], **SETTINGS)  # type: ignore[arg-type]
    runs, winners, grid = tables["runs"], tables["winners"], tables["grid"]
    assert len(winners) == 6
    assert set(grid["seed"]) == {0, 1}
    assert set(runs["seed"]).isdisjoint(grid["seed"])
    small = runs[runs["batch_size"] == 8].set_index(["comparison", "seed"])["accuracy"]
    plain = small.loc[generalisation.PLAIN]
    assert plain.tolist() == small.loc[generalisation.EPOCHS].tolist()
    assert runs["accuracy"].between(0, 100).all()
    assert runs["accuracy"].max() > 1
    assert set(runs.loc[runs["comparison"] != generalisation.DECAYED, "weight_decay"]) <= {0.0}
    loss = runs[runs["batch_size"] == 64].groupby("comparison")["train_loss"].mean()
    assert loss[generalisation.EPOCHS] > loss[generalisation.PLAIN]


def test_a_single_size_is_refused() -> None:
    """There is no gap between a batch size and itself."""
    with pytest.raises(Refusal, match="two batch sizes"):
        generalisation.compare(batch_sizes=[8], **SETTINGS)  # type: ignore[arg-type]
