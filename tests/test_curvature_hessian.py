"""Products with the Hessian and its eigenvalues, against dense Hessians and curvlinops."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from bslib import curvature, data, models
from bslib.refusal import Refusal


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("digits", examples=70, seed=0).to("cpu", torch.float64)


@pytest.fixture(scope="module")
def module(task: data.Task) -> nn.Module:
    """A network of 64 x 8 + 8 + 8 x 10 + 10 = 610 parameters."""
    return models.build("mlp", task, seed=1, width=8, depth=1).double()


def dense(module: nn.Module, examples: data.Examples, loss: data.Loss) -> torch.Tensor:
    """The whole matrix, by reverse over reverse mode of one flat vector."""
    shapes = {name: each.shape for name, each in module.named_parameters()}
    flat = torch.cat([each.detach().flatten() for each in module.parameters()])

    def mean(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        pairs = zip(shapes.items(), parts, strict=True)
        named = {name: part.reshape(shape) for (name, shape), part in pairs}
        outputs = torch.func.functional_call(module, named, (examples.inputs,))
        return loss(outputs, examples.targets).mean()

    return torch.func.jacrev(torch.func.jacrev(mean))(flat)


@pytest.fixture(scope="module")
def matrix(module: nn.Module, task: data.Task) -> torch.Tensor:
    return dense(module, task.train, task.loss)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("chunk", [1024, 32, 70])
def test_a_product_is_the_dense_hessians(
    module: nn.Module, task: data.Task, matrix: torch.Tensor, chunk: int
) -> None:
    """H v equals the dense product in float64, ragged last chunks (32, 32, 6) included."""
    hessian = curvature.Hessian(module, task.train, task.loss, chunk=chunk)
    vector = torch.randn(hessian.size, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(hessian(vector), matrix @ vector, rtol=1e-9, atol=1e-12)


# torch's own forward mode, and what curvlinops imports, still script.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_product_is_that_of_curvlinops(module: nn.Module, task: data.Task) -> None:
    """Another library's Hessian of the same mean loss, on its own ragged batches, agrees."""
    curvlinops = importlib.import_module("curvlinops")
    batches = list(zip(task.train.inputs.split(32), task.train.targets.split(32), strict=True))
    oracle = curvlinops.HessianLinearOperator(
        module, nn.CrossEntropyLoss(), list(module.parameters()), batches
    )
    hessian = curvature.Hessian(module, task.train, task.loss, chunk=48)
    vector = torch.randn(hessian.size, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(hessian(vector), oracle @ vector, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_top_eigenvalues_are_the_dense_hessians(task: data.Task, dtype: torch.dtype) -> None:
    """In either precision they are within their residuals' bound, and 1e-3, of the dense ones."""
    module = models.build("mlp", task, seed=2, width=8, depth=1)
    wanted = torch.linalg.eigvalsh(dense(module.double(), task.train, task.loss)).flip(0)[:3]
    hessian = curvature.Hessian(module.to(dtype), task.train.to("cpu", dtype), task.loss)
    found = curvature.top_eigenvalues(hessian, 3, generator=generator())
    errors = np.abs(found.values - wanted.numpy())
    assert (errors <= 1e-3 * wanted.numpy()).all()
    # A residual bounds an eigenvalue's error (Weyl), up to the rounding of a product.
    assert (errors <= found.residuals + 1e-6 * found.values[0]).all()
    assert (found.residuals <= 1e-3 * found.values[0]).all()
    assert found.products == hessian.products
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(3), atol=1e-5)


def test_top_eigenvalue_of_a_quadratic_is_its_curvature() -> None:
    """The noisy quadratic's Hessian is diagonal with h_1 = 1, h_2 = 1/2."""
    task = data.load("noisy-quadratic", examples=16, seed=0)
    hessian = curvature.Hessian(models.build("quadratic", task, seed=0), task.train, task.loss)
    found = curvature.top_eigenvalues(hessian, 2, generator=generator())
    assert found.values == pytest.approx([1, 0.5], rel=1e-4)


def test_eigenvalues_that_do_not_converge_are_refused(module: nn.Module, task: data.Task) -> None:
    """Running out of products is said, with the way out; so is asking for all eigenvalues."""
    hessian = curvature.Hessian(module, task.train, task.loss)
    with pytest.raises(Refusal, match=r"\d of 9 eigenvalues converged"):
        curvature.top_eigenvalues(hessian, 9, generator=generator(), most_products=1)
    with pytest.raises(Refusal, match="between 1 and 609"):
        curvature.top_eigenvalues(hessian, 610, generator=generator())


def test_what_has_no_hessian_is_refused(task: data.Task) -> None:
    """Dropout, batch statistics over several chunks, values that are not finite."""
    layers = [nn.Flatten(), nn.Linear(64, 10)]
    dropping = nn.Sequential(*layers, nn.Dropout(0.5)).double()
    with pytest.raises(Refusal, match="dropout"):
        curvature.Hessian(dropping, task.train, task.loss)
    curvature.Hessian(dropping.eval(), task.train, task.loss)
    normalising = nn.Sequential(*layers, nn.BatchNorm1d(10)).double()
    with pytest.raises(Refusal, match="batch normalisation"):
        curvature.Hessian(normalising, task.train, task.loss, chunk=32)
    curvature.Hessian(normalising.eval(), task.train, task.loss, chunk=32)
    diverged = nn.Sequential(*layers).double()
    hessian = curvature.Hessian(diverged, task.train, task.loss)
    with pytest.raises(Refusal, match="product with the Hessian is not finite"):
        hessian(torch.full((hessian.size,), torch.nan, dtype=torch.float64))
    with torch.no_grad():
        diverged[1].bias[0] = torch.nan
    with pytest.raises(Refusal, match=r"parameter '1.bias' is not finite"):
        curvature.Hessian(diverged, task.train, task.loss)


def test_frozen_parameters_have_no_part(module: nn.Module, task: data.Task) -> None:
    """Only trained parameters span the Hessian: a block of the whole one."""
    part = models.build("mlp", task, seed=1, width=8, depth=1).double()
    for parameter in part[1].parameters():
        parameter.requires_grad_(False)
    hessian = curvature.Hessian(part, task.train, task.loss)
    assert hessian.size == 90
    vector = torch.randn(90, generator=generator(), dtype=torch.float64)
    block = dense(module, task.train, task.loss)[-90:, -90:]
    torch.testing.assert_close(hessian(vector), block @ vector, rtol=1e-9, atol=1e-12)


def test_a_measured_module_is_as_it_was(task: data.Task) -> None:
    """Mode, buffers, parameters, gradients and the global generator stay, in training mode too."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10)).double()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    state = torch.get_rng_state()
    hessian = curvature.Hessian(module, task.train, task.loss)
    curvature.top_eigenvalues(hessian, generator=generator(), tolerance=0.1)
    curvature.hessian_trace(hessian, probes=2, generator=generator())
    curvature.batch_sharpness(
        module, task.train, task.loss, batch_size=8, batches=2, generator=generator()
    )
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
    assert module.training
    assert all(each.grad is None for each in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)
