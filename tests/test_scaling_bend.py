"""The bend of the best learning rate in two models that need no training."""

import numpy as np
import pytest

from bslib.scaling import NoisyQuadratic, closed_forms

SIZES = [2.0**power for power in range(13)]
TABLE = closed_forms.best_rates(SIZES, dimensions=50)


@pytest.mark.parametrize("model", [closed_forms.LEAST_SQUARES, closed_forms.NOISY_QUADRATIC])
def test_exponent_goes_from_one_to_zero_across_the_bend(model: str) -> None:
    """Far below B_crit the best rate is proportional to B, far above it does not move."""
    rows = TABLE[TABLE["model"] == model]
    assert rows["exponent"].is_monotonic_decreasing
    assert rows["exponent"].iloc[0] > 0.9
    assert rows["exponent"].iloc[-1] < 0.05
    assert rows["relative_learning_rate"].iloc[-1] == pytest.approx(1, abs=0.02)
    bend = rows["exponent"].to_numpy()[np.abs(np.log(rows["relative_batch_size"])).argmin()]
    assert 0.2 < bend < 0.7


def test_exponents_are_slopes_of_the_rates() -> None:
    """Least squares' closed exponent is the derivative of its closed rate."""
    rows = TABLE[TABLE["model"] == closed_forms.LEAST_SQUARES]
    numeric = np.gradient(np.log(rows["learning_rate"]), np.log(rows["batch_size"]))
    # Central differences over an octave err by at most ln(2)^2 / 6 of the third derivative.
    np.testing.assert_allclose(rows["exponent"][1:-1], numeric[1:-1], atol=0.01)


def test_noisy_quadratic_limit_is_that_without_noise() -> None:
    """At an endless batch the best rate is that of full-batch gradient descent."""
    model = NoisyQuadratic.power_law(50)
    _, rate = model.fewest_steps(0.03 * model.initial_risk, 1e9)
    last = TABLE[TABLE["model"] == closed_forms.NOISY_QUADRATIC].iloc[-1]
    limit = last["learning_rate"] / last["relative_learning_rate"]
    assert limit == pytest.approx(rate, rel=1e-3)
