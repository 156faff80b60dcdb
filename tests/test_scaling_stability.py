"""The largest stable learning rate of least squares, by bisection, against closed forms."""

import numpy as np
import pytest

from bslib.data import linear_regression
from bslib.scaling import least_squares, stability


def test_the_full_batch_limit_is_two_over_the_curvature() -> None:
    """With every example in the batch bisection ends at 2 / lambda_max of the inputs.

    ln(4 / 0.001) / 2^11 is how far apart the last two rates are. A batch drawn with replacement
    as large as 400 times the dimensions has the spectrum of all the inputs to about 5 %.
    """
    found = stability.highest_rates([8_192], seed=0, seeds=2, examples=8_192, steps=60, halvings=11)
    task = linear_regression.load(8_192, 0, noise=0.0)
    inputs = task.train.inputs.numpy()
    limit = 2 / np.linalg.eigvalsh(inputs.T @ inputs / len(inputs)).max()
    assert found["learning_rate"].to_numpy() == pytest.approx(limit, rel=0.05)


def test_small_batches_follow_the_mean_s_limit() -> None:
    """Within 15 % of 2 B / (B + d + 1): a single run lasts to a little above the mean's limit."""
    sizes = [4, 64]
    found = stability.highest_rates(sizes, seed=0, seeds=4, device="auto")
    assert len(found) == 8
    means = found.groupby("batch_size")["learning_rate"].mean()
    law = stability.predicted_rates(sizes)["learning_rate"]
    for size, limit in zip(sizes, [law.iloc[0], law.iloc[-1]], strict=True):
        assert limit * 0.97 < means[size] < limit * 1.15


def test_one_seed_repeats_and_two_differ() -> None:
    """The search is deterministic, and the seeds search apart."""
    first = stability.highest_rates([4], seed=0, seeds=3, steps=50)
    again = stability.highest_rates([4], seed=0, seeds=3, steps=50)
    assert first.equals(again)
    assert first["learning_rate"].nunique() > 1


def test_swings_are_predicted_to_first_order() -> None:
    """sqrt(2 / d) of the mean excess loss; without a stable rate there is no prediction."""
    law = stability.predicted_swings([4, 64], {"a": [0.01, 0.01], "b": [0.01, 5.0]})
    d, s = linear_regression.DIMENSIONS, linear_regression.NOISE
    error = least_squares.stationary_error(0.01, 4, d, s)
    assert law["loss_sd"].iloc[0] == pytest.approx(float(error) / 2 * (2 / d) ** 0.5)
    assert law["loss_sd"].isna().tolist() == [False, False, False, True]
    assert law["loss_sd"].iloc[1] == pytest.approx(law["loss_sd"].iloc[0] / 16, rel=0.05)
