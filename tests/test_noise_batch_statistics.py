"""The noise of batch norm's statistics: closed forms, simulation, and batches one by one."""

import math

import pytest
import torch
from scipy import special
from torch import nn

from bslib import data, models
from bslib.noise import batch_statistics
from bslib.refusal import Refusal


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", [2, 3, 8, 32])
def test_the_law_is_what_a_batch_norm_layer_meets(size: int) -> None:
    """Mean, spread and inverse root of variances, over 40,000 batches: within 5 standard errors."""
    batches = normal(size, 40_000)
    layer = nn.BatchNorm1d(40_000, momentum=1.0).double()
    layer(batches)
    assert layer.running_var is not None
    variance = layer.running_var * (size - 1) / size
    law = batch_statistics.gaussian([size]).iloc[0]
    factor = (variance + batch_statistics.EPS).rsqrt()
    for values, expected in (
        (variance, law["variance_mean"]),
        (
            (variance - law["variance_mean"]) ** 2,
            (law["variance_cv"] * law["variance_mean"]) ** 2,
        ),
        (factor, law["inverse_sd"]),
    ):
        error = values.std().item() / math.sqrt(len(values))
        assert abs(values.mean().item() - expected) < 5 * error


@pytest.mark.parametrize("size", [4, 8, 100])
def test_the_inverse_has_its_closed_form(size: int) -> None:
    """Without a constant E[1/s] is sqrt(m/2) gamma(m/2 - 1) / gamma((m - 1)/2), for m above 2."""
    logs = math.lgamma(size / 2 - 1) - math.lgamma((size - 1) / 2)
    (found,) = batch_statistics.gaussian([size], eps=0.0)["inverse_sd"]
    assert found == pytest.approx(math.sqrt(size / 2) * math.exp(logs), rel=1e-7)


@pytest.mark.parametrize("eps", [1e-8, 1e-5, 1e-2])
def test_two_examples_leave_it_to_the_constant(eps: float) -> None:
    """At m = 2, E[1/sqrt(s^2 + eps)] is exp(eps/2) K_0(eps/2) / sqrt(pi): infinite without one."""
    (found,) = batch_statistics.gaussian([2], eps=eps)["inverse_sd"]
    assert found == pytest.approx(special.k0e(eps / 2) / math.sqrt(math.pi), rel=1e-7)


def test_the_curve_reaches_from_two_to_the_largest() -> None:
    """Half octaves, each once, in order, ends included."""
    sizes = batch_statistics.curve(100)["batch_size"].tolist()
    assert sizes == [2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 100]
    assert batch_statistics.curve(2)["batch_size"].tolist() == [2]


def test_measured_is_each_batchs_own_variance() -> None:
    """Equal to taking the variance of the drawn rows, unit by unit; constant units are left out."""
    values = 5 + 2 * normal(30, 4)
    values[:, 2] = 7.0
    found = batch_statistics.measured(
        values, [2, 30], draws=6, generator=torch.Generator().manual_seed(3)
    )
    scaled = values[:, [0, 1, 3]] / values[:, [0, 1, 3]].std(0, correction=0)
    orders = torch.rand(6, 30, generator=torch.Generator().manual_seed(3)).argsort(dim=1)
    pairs = torch.stack([scaled[order[:2]].var(0, correction=0) for order in orders])
    rows = found[found["batch_size"] == 2]
    assert rows["unit"].tolist() == [0, 1, 2]
    # from a difference of squares of order 1
    assert rows["variance_mean"].tolist() == pytest.approx(pairs.mean(0).tolist(), abs=1e-13)
    cv = (pairs.std(0) / pairs.mean(0)).tolist()
    assert rows["variance_cv"].tolist() == pytest.approx(cv, rel=1e-10)
    inverse = (pairs + batch_statistics.EPS).rsqrt().mean(0).tolist()
    assert rows["inverse_sd"].tolist() == pytest.approx(inverse, rel=1e-8)
    whole = found[found["batch_size"] == 30]
    assert whole["variance_mean"].tolist() == pytest.approx([1.0] * 3)


def test_the_first_layer_is_the_networks() -> None:
    """What enters its norm is the linear layer's output; a seed decides network and batches."""
    task = data.load("mnist1d", examples=50)
    network = models.build("mlp", task, seed=2, norm="batch", depth=1)
    assert isinstance(network, nn.Sequential)
    with torch.no_grad():
        entering = network[1](task.train.inputs)
    expected = batch_statistics.measured(
        entering, [2, 10], draws=20, generator=torch.Generator().manual_seed(2)
    )
    found, again, other = (
        batch_statistics.first_layer(task, [2, 10], draws=20, seed=seed) for seed in (2, 2, 3)
    )
    assert found.equals(expected)
    assert found.equals(again)
    assert not found.equals(other)
    noise, factor = batch_statistics.summary(found)
    assert noise["batch_size"].tolist() == factor["batch_size"].tolist() == [2, 10]
    assert (noise["n"] == 64).all()
    mean = found.groupby("batch_size")["inverse_sd"].mean().tolist()
    assert factor["inverse_sd"].tolist() == pytest.approx(mean)


@pytest.mark.parametrize("sizes", [[1, 4], [4, 31]])
def test_sizes_without_a_variance_are_refused(sizes: list[int]) -> None:
    """One example varies about nothing, and there are no more than the population."""
    with pytest.raises(Refusal, match="over 2 to 30 examples"):
        batch_statistics.measured(normal(30, 2), sizes, draws=2, generator=torch.Generator())
