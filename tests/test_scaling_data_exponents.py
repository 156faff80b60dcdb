"""Exponents of the critical batch size in the data, on trainings drawn from the law."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from bslib import claims
from bslib.scaling import critical_batch_size, data_exponents
from bslib.scaling.data_exponents import COMMON, MEMORY, OWN

DATA_SIZES, BATCH_SIZES = [500, 1400, 4000], [8, 32, 128, 512]


def drawn(
    exponent: float,
    noise: float,
    seeds: int,
    generator: np.random.Generator,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Steps of B_crit = 60 (N / 1400)^exponent; half of the noise's variance is the seed's."""
    rows = []
    for seed in range(seeds):
        shared = generator.normal(0, noise / 2**0.5)
        for size in DATA_SIZES:
            critical = 60 * (size / 1400) ** exponent
            for batch_size in batch_sizes:
                error = shared + generator.normal(0, noise / 2**0.5)
                steps = 20 * (1 + critical / batch_size) * np.exp(error)
                for target in (COMMON, OWN):
                    rows.append((size, target, "rerun", batch_size, seed, steps))
    names = ["data_size", "target", "role", "batch_size", "seed", "steps_to_target"]
    runs = pd.DataFrame(rows, columns=names)
    winners = runs[[*names[:2], "batch_size"]].drop_duplicates().assign(outcome="tuned", side="")
    return runs, winners.reset_index(drop=True)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.4])
def test_without_noise_the_exponent_is_exact(exponent: float) -> None:
    """Steps on the law give its exponent, and B_crit at every data size, to 1e-4."""
    tables = drawn(exponent, 0.0, 3, np.random.default_rng(0))
    for found in data_exponents.critical(*tables).values():
        assert found.value == pytest.approx(exponent, abs=1e-4)
        assert found.n == 3
    sizes = data_exponents.critical_batch_sizes(*tables)
    expected = 60 * (sizes["data_size"] / 1400) ** exponent
    np.testing.assert_allclose(sizes["critical_batch_size"], expected, rtol=1e-4)
    np.testing.assert_allclose(sizes["minimal_steps"], 20, rtol=1e-4)


def test_the_law_is_the_one_that_all_sweeps_are_fitted_with() -> None:
    """On noisy steps B_crit is that of the general fit through the same rows, to 1e-3."""
    runs, winners = drawn(0.3, 0.1, 5, np.random.default_rng(1))
    found = data_exponents.critical_batch_sizes(runs, winners)
    for size, value in found[found["target"] == OWN][["data_size", "critical_batch_size"]].values:
        rows = runs[(runs["data_size"] == size) & (runs["target"] == OWN)]
        other = critical_batch_size.fit(rows).critical_batch_size.value
        assert value == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("seeds", [4, 12])
def test_the_interval_covers(seeds: int) -> None:
    """With 20 % noise a training, half of it the seed's: 95 % in 300 draws, to 3.3 errors."""
    generator = np.random.default_rng(seeds)
    hits = 0
    for _ in range(300):
        runs, winners = drawn(0.2, 0.2, seeds, generator)
        one = runs[runs["target"] == COMMON], winners[winners["target"] == COMMON]
        found = data_exponents.critical(*one)[COMMON]
        hits += found.low <= 0.2 <= found.high
    assert abs(hits / 300 - 0.95) < 3.3 * (0.95 * 0.05 / 300) ** 0.5


def test_curves_pass_through_the_steps() -> None:
    """The law's curve, at a batch size that was tried, is the steps measured there."""
    runs, winners = drawn(0.0, 0.0, 2, np.random.default_rng(0))
    curve = data_exponents.curves(runs, winners)
    smallest = curve[curve["batch_size"] == curve["batch_size"].min()]
    np.testing.assert_allclose(smallest["steps_to_target"], 20 * (1 + 60 / 8), rtol=1e-4)
    assert len(curve) == 2 * 3 * 40


def spoilt(case: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    runs, winners = drawn(0.0, 0.05, 3, np.random.default_rng(2))
    if case == "edge":
        winners.loc[0, ["outcome", "side"]] = ["edge", "lowest"]
        return runs, winners, "batch size 8 at data size 500 is not tuned: edge lowest"
    if case == "missed":
        runs.loc[runs.index[0], "steps_to_target"] = np.nan
        return runs, winners, "1 of 3 seeds missed the target"
    if case == "few":
        kept = runs["batch_size"].isin([8, 32])
        return runs[kept], winners, "fewer than three batch sizes are known at data size 500"
    if case == "span":
        narrow = drawn(0.0, 0.05, 3, np.random.default_rng(2), [8, 16, 32, 64])
        return *narrow, "add larger batch sizes"
    kept, won = runs["data_size"] == 500, winners["data_size"] == 500
    return runs[kept], winners[won], "needs two data sizes"


@pytest.mark.parametrize("case", ["edge", "missed", "few", "span", "one"])
def test_what_cannot_be_compared_is_refused(case: str) -> None:
    """An arm without a fair sweep has no value, says why, and is judged inconclusive."""
    runs, winners, reason = spoilt(case)
    memory = pd.DataFrame({"data_size": DATA_SIZES, "peak_bytes": [1e6, 1e6, 1e6]})
    arms = data_exponents.arms(runs, winners, memory)
    found = arms[COMMON]
    assert found.value is None
    assert reason in found.reason
    verdict = claims.judge("2.2", arms)
    assert {arm.name: arm.outcome for arm in verdict.arms} == {
        COMMON: "inconclusive",
        OWN: "refuted" if case in ("edge", "missed") else "inconclusive",
        MEMORY: "refuted",
    }


def test_a_seed_that_missed_is_set_aside_everywhere() -> None:
    """One of ten: the estimate is that of the other nine, at every batch and data size."""
    runs, winners = drawn(0.2, 0.1, 10, np.random.default_rng(4))
    spoilt = runs.copy()
    spoilt.loc[spoilt.index[runs["seed"] == 3][0], "steps_to_target"] = np.nan
    target = spoilt["target"][spoilt["steps_to_target"].isna()].item()
    found = data_exponents.critical(spoilt, winners)[target]
    assert found == data_exponents.critical(runs[runs["seed"] != 3], winners)[target]
    assert found.n == 9


def test_memory_that_grows_is_seen() -> None:
    """A peak in proportion to the data has the exponent 1: the third arm can be supported."""
    runs, winners = drawn(-0.5, 0.05, 4, np.random.default_rng(3))
    memory = pd.DataFrame({"data_size": DATA_SIZES, "peak_bytes": [5e5, 1.4e6, 4e6]})
    verdict = claims.judge("2.2", data_exponents.arms(runs, winners, memory))
    assert {arm.outcome for arm in verdict.arms} == {"supported"}
    two = data_exponents.arms(runs, winners, memory[:2])[MEMORY]
    assert two.value == two.low == two.high == pytest.approx(1)
