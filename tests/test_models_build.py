"""Models by name: shapes, initial weights, seeds, and the tasks that they refuse."""

import importlib
import math

import pytest
import torch
from torch import nn

from bslib import data, models
from bslib.data import noisy_quadratic
from bslib.refusal import Refusal

FITS = [
    ("linear", "digits"),
    ("linear", "mnist1d"),
    ("linear", "linear-regression"),
    ("mlp", "digits"),
    ("mlp", "mnist1d"),
    ("mlp", "linear-regression"),
    ("cnn", "digits"),
    ("quadratic", "noisy-quadratic"),
    ("transformer", "python-source"),
]


def small(name: str) -> data.Task:
    return data.load(name, examples=20)


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


@pytest.mark.parametrize(("name", "task_name"), FITS)
def test_outputs_fit_the_loss(name: str, task_name: str) -> None:
    """A model's outputs give one finite loss an example, and every weight a gradient."""
    task = small(task_name)
    module = models.build(name, task, seed=0)
    losses = task.loss(module(task.train.inputs), task.train.targets)
    assert losses.shape == (20,)
    losses.mean().backward()
    for parameter in module.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(("name", "task_name"), FITS)
def test_a_seed_decides_the_weights(name: str, task_name: str) -> None:
    """One seed gives equal weights, two give others, and the global generator is left alone."""
    task = small(task_name)
    before = torch.get_rng_state()
    first, again, other = (weights(models.build(name, task, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", models.MODELS)
def test_every_entry_has_its_module(name: str) -> None:
    """A registered module builds."""
    assert callable(importlib.import_module(models.entry(name).module).build)


def test_mlp_is_a_plain_stack() -> None:
    """Width and depth give Flatten, depth times Linear and ReLU, then Linear, in that order."""
    module = models.build("mlp", small("digits"), seed=0, width=8, depth=3)
    assert isinstance(module, nn.Sequential)
    hidden = [nn.Linear, nn.ReLU]
    assert [type(layer) for layer in module] == [nn.Flatten, *hidden * 3, nn.Linear]
    sizes = [(each.in_features, each.out_features) for each in module if hasattr(each, "weight")]
    assert sizes == [(64, 8), (8, 8), (8, 8), (8, 10)]


def test_mlp_starts_as_he_has_it() -> None:
    """Weights have variance 2 / fan-in before a ReLU and 1 / fan-in at the output, biases 0."""
    module = models.build("mlp", small("mnist1d"), seed=0, width=200, depth=2)
    layers = [layer for layer in module if isinstance(layer, nn.Linear)]
    for layer, gain in zip(layers, (2, 2, 1), strict=True):
        expected = gain / layer.in_features
        error = expected * math.sqrt(2 / layer.weight.numel())
        assert abs(layer.weight.square().mean() - expected) < 5 * error
        assert not layer.bias.any()


def test_linear_has_no_intercept_in_regression_only() -> None:
    """Least squares has exactly d weights, as its closed forms assume; softmax has a bias."""
    assert len(weights(models.build("linear", small("linear-regression"), seed=0))) == 20
    assert len(weights(models.build("linear", small("mnist1d"), seed=0))) == 40 * 10 + 10


def test_simple_cnn_has_the_published_size() -> None:
    """With 32 channels and width 1,024 the parameters are those of two 5x5 layers and two dense."""
    images = data.Examples(torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))
    task = data.Task(
        name="images",
        train=images,
        validation=images,
        test=images,
        loss=data.CrossEntropy(),
        kind="classification",
        classes=10,
        model="cnn",
        checksum="",
    )
    module = models.build("cnn", task, seed=0, channels=32, width=1024)
    convolutions = (25 + 1) * 32 + (25 * 32 + 1) * 64
    assert len(weights(module)) == convolutions + (7 * 7 * 64 + 1) * 1024 + 1025 * 10
    assert module(images.inputs).shape == (2, 10)


def test_cnn_scale_survives_its_depth() -> None:
    """He's initial weights keep outputs of unit inputs near unit size: between 1/4 and 4."""
    outputs = models.build("cnn", data.load("digits"), seed=0)(data.load("digits").test.inputs)
    assert 0.25 < outputs.std() < 4


def test_quadratic_loss_gradient_is_the_formulas() -> None:
    """The mean gradient in theta is h (theta - mean x)."""
    task = data.load("noisy-quadratic", examples=50)
    module = models.build("quadratic", task, seed=0)
    task.loss(module(task.train.inputs), task.train.targets).mean().backward()
    (theta,) = module.parameters()
    expected = noisy_quadratic.curvature() * (theta.detach() - task.train.inputs.mean(0))
    torch.testing.assert_close(theta.grad, expected)


@pytest.mark.parametrize(
    ("name", "task_name", "reason"),
    [
        ("cnn", "mnist1d", "needs images"),
        ("cnn", "linear-regression", "needs images"),
        ("mlp", "noisy-quadratic", "use 'quadratic'"),
        ("linear", "noisy-quadratic", "use 'quadratic'"),
        ("quadratic", "digits", "use 'mlp'"),
        ("resnet", "digits", "the models are: linear, mlp"),
    ],
)
def test_misfits_are_refused(name: str, task_name: str, reason: str) -> None:
    """An unknown model, or one that does not fit the task, is refused with a way out."""
    with pytest.raises(Refusal, match=reason):
        models.build(name, small(task_name), seed=0)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("mlp", {"height": 3}, "does not take 'height'; its options are width, depth"),
        ("linear", {"width": 3}, "it has no options"),
        ("mlp", {"width": 0}, "width must be"),
        ("mlp", {"depth": 2.0}, "depth must be"),
        ("cnn", {"channels": True}, "channels must be"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, int], reason: str) -> None:
    """An option that the model lacks, or a size that is none, is refused by name."""
    with pytest.raises(Refusal, match=reason):
        models.build(name, small("digits"), seed=0, **options)
