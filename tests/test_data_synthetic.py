"""Synthetic tasks against their closed forms; tolerances are five standard errors."""

import pytest
import torch

from bslib import data
from bslib.data import linear_regression, noisy_quadratic

N = 20_000


@pytest.fixture(scope="module")
def regression() -> data.Task:
    return linear_regression.load(N, seed=0)


@pytest.fixture(scope="module")
def quadratic() -> data.Task:
    return noisy_quadratic.load(N, seed=0)


def test_regression_inputs_are_isotropic(regression: data.Task) -> None:
    """The inputs' second moments are the identity's."""
    inputs = regression.train.inputs.double()
    moments = inputs.T @ inputs / N
    identity = torch.eye(linear_regression.DIMENSIONS, dtype=torch.float64)
    error = (identity + 1).sqrt() / N**0.5  # variance 2 on the diagonal, 1 off it
    assert ((moments - identity).abs() < 5 * error).all()


def test_regression_noise_has_its_deviation(regression: data.Task) -> None:
    """Targets scatter about the true weights' prediction with deviation NOISE, unbiased."""
    residuals = regression.train.targets - regression.train.inputs @ linear_regression.weights()
    assert abs(residuals.mean()) < 5 * linear_regression.NOISE / N**0.5
    assert abs(residuals.std() / linear_regression.NOISE - 1) < 5 / (2 * N) ** 0.5


def test_true_weights_are_fixed_and_of_length_one() -> None:
    """The truth is one unit vector, so that the noise-free targets have variance 1."""
    assert abs(linear_regression.weights().norm() - 1) < 1e-6
    assert torch.equal(linear_regression.weights(), linear_regression.weights())


def test_without_noise_targets_are_exact() -> None:
    """With noise 0 the targets are the true weights' prediction, to float32."""
    task = linear_regression.load(100, 0, noise=0.0)
    predicted = task.train.inputs @ linear_regression.weights()
    torch.testing.assert_close(task.train.targets, predicted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 4, 20])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_regression_step_contracts_as_theory_says(batch_size: int, noise: float) -> None:
    """One step takes |e|^2 to (1 - 2 eta + eta^2 (1 + (d+1)/B)) |e|^2 + eta^2 s^2 d / B."""
    train = linear_regression.load(N, 1, noise=noise).to("cpu", torch.float64).train
    d, rate = linear_regression.DIMENSIONS, 0.05
    error = torch.full((d,), d**-0.5, dtype=torch.float64)
    theta = linear_regression.weights().double() + error
    gradients = (train.inputs @ theta - train.targets).unsqueeze(1) * train.inputs
    steps = gradients.reshape(-1, batch_size, d).mean(1)
    after = ((error - rate * steps) ** 2).sum(1)
    factor = 1 - 2 * rate + rate**2 * (1 + (d + 1) / batch_size)
    expected = factor + rate**2 * noise**2 * d / batch_size
    assert abs(after.mean() - expected) < 5 * after.std() / len(after) ** 0.5


def test_quadratic_gradients_have_the_stated_variance(quadratic: data.Task) -> None:
    """Gradients of single examples have the covariance diag(1/j), wherever theta is."""
    variance = noisy_quadratic.gradient_variance()
    theta = torch.ones(noisy_quadratic.DIMENSIONS)
    gradients = noisy_quadratic.curvature() * (theta - quadratic.train.inputs)
    covariance = torch.cov(gradients.T)
    scale = torch.outer(variance, variance).sqrt()
    error = scale * (1 + torch.eye(len(variance))).sqrt() / N**0.5
    assert ((covariance - variance.diag()).abs() < 5 * error).all()


def test_quadratic_gradient_is_autograds(quadratic: data.Task) -> None:
    """The loss's gradient in theta is h (theta - x), as its formula has it."""
    theta = torch.ones(noisy_quadratic.DIMENSIONS, requires_grad=True)
    inputs, targets = quadratic.train.inputs[:1], quadratic.train.targets[:1]
    quadratic.loss(theta - inputs, targets).sum().backward()
    torch.testing.assert_close(theta.grad, noisy_quadratic.curvature() * (1 - inputs[0]))
