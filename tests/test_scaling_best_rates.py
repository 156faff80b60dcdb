"""Best learning rates read from a sweep, beside the rules, on sweeps with known answers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bslib import sweeps
from bslib.scaling import best_rates, rules, tuned
from bslib.scaling.protocol import Sweep
from bslib.stats.estimate import exact

B_CRIT, S_MIN, HIGHEST = 64.0, 100.0, 0.8
SIZES = [2, 4, 8, 16, 64, 512, 1024, 2048]


def best(size: float) -> float:
    return rules.saturating(HIGHEST, B_CRIT, size)


def swept(sizes: Sequence[int] = SIZES, *, noise: float = 0.01, edge: int = 0) -> Sweep:
    """Draw a sweep whose steps follow the law, times a parabola in ln(rate) about the best.

    The grids' centers are a quarter of an octave off the best rates; at batch size ``edge``
    the grid lies wholly above them.
    """
    generator = np.random.default_rng(0)
    rows, winners = [], []
    for size in sizes:
        center = best(size) * 2 ** (8 if size == edge else 0.25)
        for role, rates in (("grid", [center / 2, center, 2 * center]), ("rerun", [best(size)])):
            for rate in rates:
                for seed in range(3):
                    log_steps = math.log(S_MIN * (1 + B_CRIT / size))
                    log_steps += math.log(rate / best(size)) ** 2 + noise * generator.normal()
                    rows.append((size, rate, seed, math.exp(log_steps), role))
        winners.append((size, center, "edge" if size == edge else "tuned"))
    columns = ["batch_size", "learning_rate", "seed", "steps_to_target", "role"]
    return Sweep(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(winners, columns=["batch_size", "learning_rate", "outcome"]),
    )


def test_known_rates_exponents_and_bend_are_recovered() -> None:
    """Rates to 5 %, steps and B_crit to 5 %, exponents to the true slopes' intervals."""
    found = best_rates.read(swept())
    truth = np.array([best(size) for size in SIZES])
    np.testing.assert_allclose(found.rates["learning_rate"], truth, rtol=0.05)
    np.testing.assert_allclose(
        found.rates["steps"], [S_MIN * (1 + B_CRIT / size) for size in SIZES], rtol=0.05
    )
    assert found.critical_batch_size.value == pytest.approx(B_CRIT, rel=0.05)
    small, large = SIZES[:4], SIZES[-3:]
    for estimate, sizes in ((found.below, small), (found.above, large)):
        slope = np.polyfit(np.log(sizes), np.log([best(size) for size in sizes]), 1)[0]
        assert estimate.low < slope < estimate.high
    assert found.below.low > 0.5 > found.above.high


def test_intervals_end_at_the_rates_tried() -> None:
    """A flat optimum's interval is not drawn where nothing was trained."""
    found = best_rates.read(swept(noise=0.5))
    grid = swept(noise=0.5).grid.groupby("batch_size")["learning_rate"].agg(["min", "max"])
    known = found.rates.dropna(subset="learning_rate").set_index("batch_size")
    assert (known["low"] >= grid["min"].reindex(known.index)).all()
    assert (known["high"] <= grid["max"].reindex(known.index)).all()


def test_an_edge_is_a_gap_and_a_reason() -> None:
    """A size whose best rate is at the end of its grid has no rate, and names itself."""
    found = best_rates.read(swept(edge=512))
    row = found.rates.set_index("batch_size").loc[512]
    assert row["outcome"] == "edge"
    assert np.isnan([row["learning_rate"], row["low"], row["high"], row["steps"]]).all()
    assert found.above.value is None
    assert "512" in found.above.reason
    assert found.below.value is not None


def test_too_few_sizes_refuse_both_exponents() -> None:
    """Without a critical batch size nobody knows which sizes lie well below or above it."""
    found = best_rates.read(swept([2, 4]))
    assert found.below.value is found.above.value is None
    assert "three" in found.below.reason
    given = best_rates.read(swept([512, 1024, 2048]), exact(B_CRIT))
    assert given.critical_batch_size == exact(B_CRIT)
    assert given.above.value is not None


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_rules_start_where_they_should(power: float) -> None:
    """Linear and square root pass through the smallest size; the saturating one has its shape."""
    found = best_rates.read(swept(noise=0))
    curves = found.under_rules(power).pivot_table(
        index="batch_size", columns="rule", values="learning_rate"
    )
    first = found.rates["learning_rate"].iloc[0]
    assert curves["linear"].iloc[0] == pytest.approx(first)
    assert curves["square root"].iloc[0] == pytest.approx(first)
    assert curves["linear"].loc[8] == pytest.approx(4 * first)
    assert curves["square root"].loc[8] == pytest.approx(2 * first)
    shape = [rules.saturating(1, B_CRIT, size) ** power for size in SIZES]
    ratio = curves["saturating"] / shape
    np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=0.01)
    if power == 1:
        np.testing.assert_allclose(curves["saturating"], [best(size) for size in SIZES], rtol=0.01)


def test_no_rates_and_no_bend_draw_no_rules() -> None:
    """A sweep without one optimum has nothing to scale from; without B_crit one rule less."""
    assert best_rates.read(swept([512], edge=512)).under_rules().empty
    assert set(best_rates.read(swept([2, 4])).under_rules()["rule"]) == {"linear", "square root"}


def test_measuring_reads_the_shared_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep made by another notebook with the same arguments is not trained again."""
    monkeypatch.setenv(sweeps.FOLDER, str(tmp_path))
    settings: dict[str, Any] = {
        "task": "mnist1d", "examples": 64, "seed": 0, "seeds": 2, "device": "cpu",
        "metric": "train_loss", "value": 2.2, "most_examples": 2_000, "points": 3,
    }  # fmt: skip
    sweeps.forget()
    sweeps.shared(
        tuned.to_target, batch_sizes=[8, 32], learning_rate=0.5, noise_scale=20,
        optimizer={"name": "sgd"}, **settings,
    )  # fmt: skip
    sweeps.forget()
    trained: list[int] = []
    found = best_rates.measure(
        "sgd", [8, 32], 0.5, 20, progress=lambda done, total: trained.append(done), **settings
    )
    sweeps.forget()
    assert trained == []
    assert found.rates["batch_size"].tolist() == [8, 32]
