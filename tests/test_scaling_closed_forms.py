"""Closed forms of scaling, against direct simulation and independent recursions."""

import math

import numpy as np
import pytest

from bslib.scaling import least_squares, rules, time_to_target
from bslib.scaling.noisy_quadratic import NoisyQuadratic
from bslib.stats.estimate import Estimate

D = 10


def errors_after_steps(
    *, learning_rate: float, batch_size: int, label_noise: float, steps: int, replicas: int
) -> np.ndarray:
    """Run mini-batch SGD on fresh Gaussian examples; return |e|^2 per replica and step."""
    generator = np.random.default_rng(0)
    weights = np.ones((replicas, D)) / math.sqrt(D)
    squares = np.empty((replicas, steps))
    for step in range(steps):
        inputs = generator.standard_normal((replicas, batch_size, D))
        noise = label_noise * generator.standard_normal((replicas, batch_size))
        residual = np.einsum("rbd,rd->rb", inputs, weights) - noise
        gradient = np.einsum("rb,rbd->rd", residual, inputs) / batch_size
        weights = weights - learning_rate * gradient
        squares[:, step] = np.sum(weights**2, axis=1)
    return squares


@pytest.mark.parametrize("batch_size", [2, 8, 32])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_least_squares_contracts_as_in_closed_form(batch_size: int, share: float) -> None:
    """One simulated step's E|e|^2 is the closed factor, within four standard errors."""
    eta = share * float(least_squares.best_learning_rate(batch_size, D))
    after = errors_after_steps(
        learning_rate=eta, batch_size=batch_size, label_noise=0, steps=1, replicas=20_000
    )[:, 0]
    error = after.std(ddof=1) / math.sqrt(len(after))
    expected = float(least_squares.contraction(eta, batch_size, D))
    assert abs(after.mean() - expected) < 4 * error
    assert error < 0.01 * expected


def test_least_squares_limits_are_consistent() -> None:
    """The best rate minimises the factor, the highest makes it 1, and S follows from both."""
    sizes = np.array([1.0, 10, 100])
    best = least_squares.best_learning_rate(sizes, D)
    factor = least_squares.contraction(best, sizes, D)
    for nearby in (0.99 * best, 1.01 * best):
        assert (least_squares.contraction(nearby, sizes, D) > factor).all()
    highest = least_squares.highest_learning_rate(sizes, D)
    np.testing.assert_allclose(least_squares.contraction(highest, sizes, D), 1, rtol=1e-12)
    steps = least_squares.fewest_steps(sizes, D, 1e-3)
    np.testing.assert_allclose(factor**steps, 1e-3, rtol=1e-9)
    assert best == pytest.approx([rules.saturating(1, D + 1, size) for size in sizes])


@pytest.mark.parametrize(("batch_size", "eta"), [(4, 0.1), (16, 0.3)])
def test_stationary_error_is_simulated(batch_size: int, eta: float) -> None:
    """Long after the start, E|e|^2 with label noise is the closed form, within four errors."""
    squares = errors_after_steps(
        learning_rate=eta, batch_size=batch_size, label_noise=0.5, steps=260, replicas=400
    )[:, 60:]
    means = squares.mean(axis=1)  # one independent value a replica
    expected = float(least_squares.stationary_error(eta, batch_size, D, 0.5))
    error = means.std(ddof=1) / math.sqrt(len(means))
    assert abs(means.mean() - expected) < 4 * error
    assert error < 0.03 * expected


def test_stationary_error_is_infinite_where_it_diverges() -> None:
    """Above the highest rate there is no stationary error; below, the linear rule keeps it."""
    highest = float(least_squares.highest_learning_rate(8, D))
    assert least_squares.stationary_error(1.01 * highest, 8, D, 1) == np.inf
    small, large = (float(least_squares.stationary_error(1e-4 * b, b, D, 1)) for b in (1, 64))
    assert small == pytest.approx(large, rel=0.01)


def quadratic() -> NoisyQuadratic:
    return NoisyQuadratic.power_law(30)


@pytest.mark.parametrize("batch_size", [1, 30, 1000])
@pytest.mark.parametrize("eta", [0.05, 0.5, 1.5])
def test_noisy_quadratic_risk_is_the_recursion(batch_size: int, eta: float) -> None:
    """m <- (1 - eta h)^2 m + eta^2 c / B, iterated, gives the closed risk to 1e-12."""
    model = quadratic()
    moments = model.start.copy()
    for step in range(200):
        risk = float(np.sum(model.curvatures * moments) / 2)
        assert float(model.risk(step, eta, batch_size)) == pytest.approx(risk, rel=1e-12)
        moments = (1 - eta * model.curvatures) ** 2 * moments + eta**2 * model.noise / batch_size
    assert model.stationary_risk(eta, batch_size) == pytest.approx(
        float(model.risk(1e9, eta, batch_size)), rel=1e-9
    )


@pytest.mark.parametrize(("batch_size", "eta"), [(8, 0.2), (64, 1.0)])
def test_noisy_quadratic_steps_are_those_of_stochastic_descent(batch_size: int, eta: float) -> None:
    """The mean loss of 20,000 simulated descents crosses the target when said, to 1 %."""
    model, generator = quadratic(), np.random.default_rng(1)
    target = 0.3 * model.initial_risk
    replicas = 20_000
    theta = np.sqrt(model.start) * generator.choice([-1.0, 1.0], (replicas, 30))
    losses = [model.initial_risk]
    while losses[-1] > target:
        noise = np.sqrt(model.noise / batch_size) * generator.standard_normal(theta.shape)
        theta = theta - eta * (model.curvatures * theta + noise)
        losses.append(float(np.mean(np.sum(model.curvatures * theta**2, axis=1)) / 2))
    before, after = losses[-2:]
    crossing = len(losses) - 2 + (before - target) / (before - after)
    # Between whole steps the closed form bends where the chord does not: 0.05 step at most.
    assert model.steps_to(target, eta, batch_size) == pytest.approx(crossing, rel=0.01, abs=0.05)


def test_fewest_steps_beat_a_fine_grid_of_rates() -> None:
    """No rate of a fine grid needs fewer steps than the search found, nor far fewer than it."""
    model = quadratic()
    target = 0.05 * model.initial_risk
    for batch_size in (2, 50, 5000):
        steps, eta = model.fewest_steps(target, batch_size)
        grid = [model.steps_to(target, rate, batch_size) for rate in np.geomspace(1e-4, 1.999, 900)]
        assert steps <= min(grid) * (1 + 1e-9)
        assert steps == pytest.approx(min(grid), rel=2e-3)
        assert model.steps_to(target, eta, batch_size) == pytest.approx(steps, rel=1e-9)


def test_noisy_quadratic_rate_is_linear_then_flat() -> None:
    """The best rate's exponent is near 1 at small batches and near 0 at large ones."""
    model = NoisyQuadratic.power_law()
    target = 0.03 * model.initial_risk

    def exponent(size: float) -> float:
        rates = [model.fewest_steps(target, each)[1] for each in (size, 2 * size)]
        return math.log2(rates[1] / rates[0])

    assert exponent(2) > 0.95
    assert abs(exponent(20_000)) < 0.02


def test_targets_out_of_reach_take_for_ever() -> None:
    """Below the noise floor and beyond stability the answer is infinity; at the start, zero."""
    model = quadratic()
    assert model.steps_to(0.5 * model.stationary_risk(0.5, 4), 0.5, 4) == math.inf
    assert model.steps_to(0.1, 2.1, 4) == math.inf
    assert model.steps_to(model.initial_risk, 0.5, 4) == 0
    still = model.without_noise()
    assert still.steps_to(1e-6 * model.initial_risk, 1.0, 4) < math.inf


def test_best_batch_size_minimises_seconds() -> None:
    """B* and T* are the minimum of T(B); the flat region's ends cost what they say."""
    law = {"minimal_steps": 90.0, "critical_batch_size": 142.0}
    speed = {"maximal_throughput": 3e5, "half_batch_size": 225.0}
    best = time_to_target.best_batch_size(142, 225)
    least = time_to_target.fewest_seconds(90, 142, 3e5, 225)
    sizes = np.geomspace(1, 1e5, 20_001)
    seconds = time_to_target.seconds(sizes, **law, **speed)
    assert seconds.min() == pytest.approx(least, rel=1e-6)
    assert sizes[seconds.argmin()] == pytest.approx(best, rel=1e-3)
    ends = time_to_target.seconds(time_to_target.flat_region(142, 225, 0.1), **law, **speed)
    assert ends == pytest.approx(1.1 * least, rel=1e-9)


def test_best_batch_size_carries_both_intervals() -> None:
    """An exact factor leaves half the other's logarithmic width; infinite stays infinite."""

    def estimate(low: float, value: float | None, high: float, level: float = 0.95) -> Estimate:
        return Estimate(
            value, low, high, level, 3, "" if value else "not spanned",
            recompute=lambda other: estimate(low, value, high, other),
        )  # fmt: skip

    exact, wide = estimate(100, 100, 100), estimate(50, 100, 400)
    found = time_to_target.estimated_best_batch_size(exact, wide)
    assert found.value == pytest.approx(100)
    assert (found.low, found.high) == pytest.approx((100 / math.sqrt(2), 200))
    assert found.at(0.9).level == 0.9
    assert (
        time_to_target.estimated_best_batch_size(exact, estimate(1, 2, math.inf)).high == math.inf
    )
    refused = time_to_target.estimated_best_batch_size(exact, estimate(1, None, math.inf))
    assert refused.value is None
    assert refused.reason == "not spanned"
