"""The Hessian's trace and batch sharpness, against dense matrices and closed forms."""

import math

import pytest
import torch
from scipy.stats import binom
from torch import nn

from bslib import curvature, data, models
from bslib.refusal import Refusal
from bslib.stats import Estimate


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Matrix(curvature.Hessian):
    """A Hessian that is given as a matrix, (d, d)."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self._matrix, self.size, self.products = matrix, len(matrix), 0
        self._like = matrix

    def __call__(self, vector: torch.Tensor) -> torch.Tensor:
        self.products += 1
        return self._matrix @ vector


@pytest.fixture(scope="module")
def matrix() -> torch.Tensor:
    """Symmetric, of 24 rows: three large eigenvalues over a bulk, as Hessians have them."""
    basis, _ = torch.linalg.qr(torch.randn(24, 24, generator=generator(), dtype=torch.float64))
    eigenvalues = torch.linspace(-0.1, 0.2, 24, dtype=torch.float64)
    eigenvalues[:3] = torch.tensor([10.0, 5.0, 3.0])
    return basis * eigenvalues @ basis.T


@pytest.mark.parametrize("deflated", [0, 5])
def test_the_trace_is_unbiased_and_its_interval_holds(matrix: torch.Tensor, deflated: int) -> None:
    """Over 300 seeds the mean is tr H within four standard errors; intervals cover at 95 %."""
    found = [
        curvature.hessian_trace(
            Matrix(matrix), probes=12, deflated=deflated, generator=generator(seed)
        )
        for seed in range(300)
    ]
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    truth = matrix.trace().item()
    assert abs(values.mean().item() - truth) < 4 * values.std().item() / math.sqrt(300)
    hits = sum(each.low <= truth <= each.high for each in found)
    low, high = binom.interval(0.999, 300, 0.95)
    assert low <= hits <= high


def test_hutchinson_has_its_closed_variance(matrix: torch.Tensor) -> None:
    """A probe's variance is 2 sum_{i != j} H_ij^2; deflation leaves far less of it."""
    expected = 2 * (matrix.square().sum() - matrix.diagonal().square().sum()).item()

    def error(deflated: int) -> float:
        found = curvature.hessian_trace(
            Matrix(matrix), probes=2_000, deflated=deflated, generator=generator(1), level=0.6827
        )
        return (found.high - found.low) / 2

    # The variance of 2,000 values is known to about 2 (2 / 2,000)^0.5 = 6 % and more.
    assert 2_000 * error(0) ** 2 == pytest.approx(expected, rel=0.15)
    assert error(6) < error(0) / 5


def test_deflating_counts_its_products(matrix: torch.Tensor) -> None:
    """Probes plus twice the deflated directions, each told to the callback."""
    heard: list[tuple[int, int]] = []
    hessian = Matrix(matrix)
    curvature.hessian_trace(
        hessian,
        probes=4,
        deflated=3,
        generator=generator(),
        progress=lambda done, total: heard.append((done, total)),
    )
    assert hessian.products == 10
    assert heard == [(done, 10) for done in range(1, 11)]
    with pytest.raises(Refusal, match="2 probes or more"):
        curvature.hessian_trace(hessian, probes=1, generator=generator())


def test_the_trace_of_a_network_is_the_dense_one() -> None:
    """On a real network the interval at 0.999 holds the trace of the quadratic form's matrix."""
    task = data.load("noisy-quadratic", examples=8, seed=0)
    hessian = curvature.Hessian(models.build("quadratic", task, seed=0), task.train, task.loss)
    found = curvature.hessian_trace(hessian, probes=4, generator=generator())
    # The matrix is diagonal: every probe gives sum_j 1/j, but for rounding in float32.
    assert found.value == pytest.approx(sum(1 / j for j in range(1, 101)), rel=1e-5)


def quadratic() -> tuple[nn.Module, data.Task]:
    task = data.load("noisy-quadratic", examples=200, seed=0).to("cpu", torch.float64)
    return models.build("quadratic", task, seed=0).double(), task


def sharpness(seed: int = 0, batch_size: int = 4, batches: int = 50) -> Estimate:
    module, task = quadratic()
    return curvature.batch_sharpness(
        module,
        task.train,
        task.loss,
        batch_size=batch_size,
        batches=batches,
        generator=generator(seed),
    )


def test_batch_sharpness_is_its_definition_on_a_quadratic() -> None:
    """With H = diag(h) it is the mean of sum h g^2 / sum g^2, g = h (theta - mean x), closely."""
    module, task = quadratic()
    h = task.loss.curvature
    draws = generator(0)
    ratios = []
    for _ in range(50):
        rows = torch.randperm(200, generator=draws)[:4]
        torch.randint(2**31, (), generator=draws)  # the seed of the batch's dropout
        g = h * (module.theta.detach() - task.train.inputs[rows].mean(dim=0))
        ratios.append((h * g**2).sum() / (g**2).sum())
    expected = torch.stack(ratios)
    found = sharpness()
    assert found.value == pytest.approx(expected.mean().item(), rel=1e-12)
    assert found.n == 50
    # Student's t on 49 degrees of freedom at 95 %: 2.0096 standard errors.
    half = 2.0096 * expected.std().item() / math.sqrt(50)
    assert found.high - found.value == pytest.approx(half, rel=1e-3)


def test_batch_sharpness_at_the_full_batch_is_the_full_losss() -> None:
    """All batches of N examples are the same one: an interval of no width."""
    found = sharpness(batch_size=200, batches=3)
    assert found.high - found.low < 1e-12


def test_batch_sharpness_uses_each_batchs_own_hessian() -> None:
    """On a network it is g' H g / |g|^2 of the batch's dense Hessian and gradient."""
    task = data.load("digits", examples=12, seed=0).to("cpu", torch.float64)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    found = curvature.batch_sharpness(
        module, task.train, task.loss, batch_size=3, batches=4, generator=generator()
    )
    draws, expected = generator(), []
    for _ in range(4):
        batch = task.train.subset(torch.randperm(12, generator=draws)[:3])
        torch.randint(2**31, (), generator=draws)
        loss = task.loss(module(batch.inputs), batch.targets).mean()
        parts = torch.autograd.grad(loss, list(module.parameters()))
        g = torch.cat([each.flatten() for each in parts])
        # Here the Hessian in the outputs' linear map is exact by a central difference of
        # gradients along g: error of third order in the step.
        step, slopes = 1e-4, []
        for sign in (1, -1):
            moved = [p + sign * step * d for p, d in zip(module.parameters(), parts, strict=True)]
            named = dict(zip(dict(module.named_parameters()), moved, strict=True))
            outputs = torch.func.functional_call(module, named, (batch.inputs,))
            there = task.loss(outputs, batch.targets).mean()
            found_parts = torch.autograd.grad(there, list(moved))
            slopes.append(torch.cat([each.flatten() for each in found_parts]))
        turned = (slopes[0] - slopes[1]) / (2 * step)
        expected.append((g @ turned / (g @ g)).item())
    assert found.value == pytest.approx(sum(expected) / 4, rel=1e-5)


def test_seeds_decide_the_draws(matrix: torch.Tensor) -> None:
    """One seed gives one result, another seed another."""
    assert sharpness(0) == sharpness(0)
    assert sharpness(0) != sharpness(1)

    def trace(seed: int) -> Estimate:
        return curvature.hessian_trace(Matrix(matrix), probes=3, generator=generator(seed))

    assert trace(0) == trace(0)
    assert trace(0) != trace(1)


def test_dropout_meets_the_same_mask_in_gradient_and_hessian() -> None:
    """Least squares on one weight behind dropout: the ratio is the kept input's square, or 0/0."""
    task = data.load("linear-regression", examples=20, seed=0).to("cpu", torch.float64)
    module = nn.Sequential(nn.Dropout(0.5), nn.Linear(task.train.inputs.shape[1], 1)).double()
    found = curvature.batch_sharpness(
        module, task.train, task.loss, batch_size=1, batches=20, generator=generator()
    )
    # H = x x' of the masked input x, and g is along x: the ratio is |x|^2, never negative, and
    # half of the inputs' kept squares are doubled twice over.
    squares = task.train.inputs.square().sum(dim=1)
    assert found.value is not None
    assert 0 < found.low < found.value < 4 * squares.max().item()
    parts = [p.clone() for p in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(parts, module.parameters(), strict=True))


def test_bad_requests_are_refused() -> None:
    """Batches larger than the data, or a gradient that is zero."""
    with pytest.raises(Refusal, match="between 1 and 200 examples"):
        sharpness(batch_size=201)
    module, task = quadratic()
    with torch.no_grad():
        module.theta.copy_(task.train.inputs.mean(dim=0))
    flat = data.Examples(task.train.inputs.mean(dim=0, keepdim=True), torch.zeros(1))
    found = curvature.batch_sharpness(
        module, flat, task.loss, batch_size=1, batches=2, generator=generator()
    )
    assert found.value is None
    assert "not finite" in found.reason
