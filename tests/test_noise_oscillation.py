"""How a loss swings about its trend, on curves that are known and on least squares."""

import numpy as np
import pandas as pd
import pytest

from bslib import claims, data, noise
from bslib.noise import oscillation
from bslib.scaling import stability

SIZES = [4, 32]
RATE = 0.02


def test_the_descent_is_no_swing() -> None:
    """A polynomial up to the trend's degree leaves nothing; the trend's own scale is no matter."""
    x = np.linspace(0, 3, 60)
    curve = 1e3 * (5 - x + 0.3 * x**5)
    assert oscillation.sd_about_trend(curve) == pytest.approx(0, abs=1e-8)


def test_white_noise_reads_its_standard_deviation() -> None:
    """Noise of sd 3 on a descent reads 3 in the mean square, short windows included."""
    x = np.linspace(0, 1, 24)
    series = np.random.default_rng(0).normal(0, 3, (4_000, 24)) - 50 * x**2
    squares = oscillation.sd_about_trend(series) ** 2
    error = squares.std() / len(squares) ** 0.5
    assert squares.mean() == pytest.approx(9, abs=4 * error)


def test_slow_swings_count_as_oscillation() -> None:
    """Ten periods in the window read 1/sqrt(2) of the amplitude; local roughness sees little."""
    wave = np.sin(np.linspace(0, 20 * np.pi, 2_000))
    assert oscillation.sd_about_trend(wave) == pytest.approx(0.5**0.5, rel=0.05)


def test_too_short_a_window_has_no_swing() -> None:
    """Where the trend goes through nearly every point, nothing is said, and that is not 0."""
    assert np.isnan(oscillation.sd_about_trend(np.arange(7.0)))


@pytest.fixture(scope="module")
def swings() -> tuple[pd.DataFrame, pd.DataFrame]:
    task = data.load("linear-regression", examples=8_192, seed=0)
    return oscillation.oscillations(
        task,
        batch_sizes=SIZES,
        learning_rate=RATE,
        steps=3_000,
        seeds=[5, 3, 4],
        evaluations=300,
        replacement=True,
    )


def test_least_squares_swings_as_its_closed_form_says(
    swings: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """Under both rules the sd over 60 relaxations is the stationary law's, within a third.

    The window holds about 30 independent values, each sd so known to 13 %, its mean over three
    seeds to 8 %; the trend takes 6 of the 30, another 11 %.
    """
    table, _ = swings
    measured = table.groupby(["rule", "batch_size"])["loss_sd"].mean()
    law = stability.predicted_swings(SIZES, noise.rates(SIZES, RATE))
    law = law.set_index(["rule", "batch_size"])["loss_sd"]
    assert len(measured) == 4
    for key, value in measured.items():
        assert value == pytest.approx(law[key], rel=0.35)


def test_rows_and_curves_belong_to_their_seeds(swings: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """One row a rule, size and seed; each is its own curve's; rules agree at the smallest size."""
    table, curves = swings
    assert len(table) == 12
    for row in table.itertuples():
        same = (curves["rule"] == row.rule) & (curves["batch_size"] == row.batch_size)
        curve = curves[same & (curves["seed"] == row.seed)].sort_values("progress")
        loss = curve["loss"].to_numpy()
        assert row.loss_sd == pytest.approx(oscillation.sd_about_trend(loss[len(loss) // 2 :]))
        assert curve["progress"].max() == pytest.approx(60, rel=0.01)
    small = table[table["batch_size"] == 4].set_index(["rule", "seed"])["loss_sd"]
    assert small[noise.FIXED].to_dict() == small[noise.SCALED].to_dict()


def test_a_run_that_diverged_has_no_swing() -> None:
    """Beyond the largest stable rate the row stays, without a number, and its arm is refused."""
    task = data.load("linear-regression", examples=256, seed=0)
    table, _ = oscillation.oscillations(
        task, batch_sizes=[2, 128], learning_rate=0.05, steps=400, seeds=[0, 1]
    )
    gone = table["loss_sd"].isna()
    assert set(table[gone]["rule"]) == {noise.SCALED}
    assert set(table[gone]["batch_size"]) == {128}
    joined = oscillation.joined({"least squares": table, "network": table})
    rates = pd.DataFrame({"batch_size": [2, 128] * 2, "seed": [0, 0, 1, 1]})
    found = oscillation.arms(joined, rates.assign(learning_rate=rates["batch_size"] ** 0.5))
    assert list(found) == [arm.name for arm in claims.claim("1.6").arms]
    values = [estimate.value is not None for estimate in found.values()]
    assert values == [True, False, True, False, True]
    assert found["the largest stable learning rate"].value == pytest.approx(0.5)


def test_the_full_batch_rises_only_beyond_its_own_limit() -> None:
    """On least squares: never at half of 2 / curvature, and it is gone, or rising, above it."""
    task = data.load("linear-regression", examples=400, seed=0)
    inputs = task.train.inputs.numpy()
    limit = 2 / np.linalg.eigvalsh(inputs.T @ inputs / len(inputs)).max()
    table = oscillation.full_batch_rises(
        task, learning_rates=[0.5 * limit, 1.2 * limit], steps=30, seeds=[0, 1]
    )
    rises = table.groupby("learning_rate")["rises"].apply(list).tolist()
    assert rises[0] == [0, 0]
    assert all(np.isnan(each) or each > 0.9 for each in rises[1])
