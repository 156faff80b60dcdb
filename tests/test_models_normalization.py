"""Normalisation as a model option: torch's layers, and statistics from their definition."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bslib import data, models
from bslib.models import normalization
from bslib.models.normalization import GhostBatchNorm
from bslib.refusal import Refusal

TASK = data.load("mnist1d", examples=64)
IMAGES = data.load("digits", examples=64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 + 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def layer(norm: str, features: int, group: int | None, images: bool = False) -> nn.Module:
    """A layer whose scales and shifts are not those of the start."""
    made = normalization.layer(norm, features, group, images=images).double()
    with torch.no_grad():
        made.weight.copy_(normal(features, seed=1))
        made.bias.copy_(normal(features, seed=2))
    return made


@pytest.mark.parametrize("shape", [(12, 6), (12, 6, 3, 3)])
@pytest.mark.parametrize(("norm", "group"), [("batch", None), ("ghost", 12), ("ghost", 50)])
def test_one_group_is_torchs_batch_norm(
    norm: str, group: int | None, shape: tuple[int, ...]
) -> None:
    """Outputs, gradients, running statistics and evaluation are torch's where all are one group."""
    images = len(shape) == 4
    ours = layer(norm, 6, group, images)
    torchs = (nn.BatchNorm2d if images else nn.BatchNorm1d)(6).double()
    torchs.load_state_dict(ours.state_dict())
    inputs = normal(*shape).requires_grad_()
    slopes = normal(*shape, seed=3)
    for _ in range(2):
        (ours_back,) = torch.autograd.grad((ours(inputs) * slopes).sum(), inputs)
        (torchs_back,) = torch.autograd.grad((torchs(inputs) * slopes).sum(), inputs)
        torch.testing.assert_close(ours_back, torchs_back)
    for name, value in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    torch.testing.assert_close(ours.eval()(inputs), torchs.eval()(inputs))


@pytest.mark.parametrize("shape", [(12, 6), (12, 6, 3, 3)])
def test_ghost_groups_are_batches_of_their_own(shape: tuple[int, ...]) -> None:
    """Each group of consecutive examples is normalised as if it were the batch."""
    ghost = layer("ghost", 6, 4, len(shape) == 4)
    inputs = normal(*shape)
    alone = [
        functional.batch_norm(part, None, None, ghost.weight, ghost.bias, training=True)
        for part in inputs.split(4)
    ]
    torch.testing.assert_close(ghost(inputs), torch.cat(alone))


@pytest.mark.parametrize("shape", [(12, 6), (12, 6, 3, 3)])
def test_running_statistics_follow_the_groups_average(shape: tuple[int, ...]) -> None:
    """A tenth of the way, once a step, to the mean of groups' means and unbiased variances."""
    ghost, inputs = GhostBatchNorm(6, 4).double(), normal(*shape)
    ghost(inputs)
    axes = [axis for axis in range(inputs.dim()) if axis != 1]
    moments = [torch.var_mean(part, axes) for part in inputs.split(4)]
    variance, mean = (torch.stack(each).mean(0) for each in zip(*moments, strict=True))
    torch.testing.assert_close(ghost.running_mean, 0.1 * mean)
    torch.testing.assert_close(ghost.running_var, 0.9 + 0.1 * variance)
    assert ghost.num_batches_tracked == 1


def test_group_norm_is_torchs_by_the_groups_size() -> None:
    """Groups of three of six units are two groups, each over the units of one example."""
    group, inputs = layer("group", 6, 3), normal(5, 6)
    torch.testing.assert_close(
        group(inputs), functional.group_norm(inputs, 2, group.weight, group.bias)
    )
    torch.testing.assert_close(group(inputs)[:1], group(inputs[:1]))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_first_layers_are_normalised(count: int) -> None:
    """As many as asked, from the input on, before the ReLU; a seed's weights stay the same."""
    plain = models.build("mlp", TASK, seed=1, depth=3, width=8)
    made = models.build("mlp", TASK, seed=1, depth=3, width=8, norm="batch", normalized=count)
    kinds = [type(part) for part in made]
    normalised = [nn.Linear, nn.BatchNorm1d, nn.ReLU] * count
    assert kinds == [nn.Flatten, *normalised, *[nn.Linear, nn.ReLU] * (3 - count), nn.Linear]
    linear = [[part for part in net if isinstance(part, nn.Linear)] for net in (plain, made)]
    for number, (before, after) in enumerate(zip(*linear, strict=True)):
        assert torch.equal(before.weight, after.weight)
        assert (after.bias is None) == (number < count)


@pytest.mark.parametrize(("norm", "group"), [("batch", None), ("ghost", 4), ("group", 8)])
def test_a_cnn_is_normalised_by_channels(norm: str, group: int | None) -> None:
    """Two convolutions by channels, a hidden layer by units; outputs stay finite in both modes."""
    made = models.build("cnn", IMAGES, seed=0, norm=norm, group=group)
    counts = {"batch": 3, "ghost": 3, "group": 3}
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, GhostBatchNorm, nn.GroupNorm)
    assert sum(isinstance(part, kinds) for part in made) == counts[norm]
    assert made(IMAGES.train.inputs[:8]).isfinite().all()
    assert made.eval()(IMAGES.train.inputs[:3]).isfinite().all()
    few = models.build("cnn", IMAGES, seed=0, norm=norm, group=group, normalized=1)
    assert sum(isinstance(part, kinds) for part in few) == 1


def norms_of(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | GhostBatchNorm)]


@pytest.mark.parametrize(("norm", "group"), [("batch", None), ("ghost", 8)])
def test_recalibrated_statistics_are_the_populations(norm: str, group: int | None) -> None:
    """Layer by layer they are what enters it over all inputs, under the statistics below."""
    module = models.build("mlp", TASK, seed=0, width=8, depth=3, norm=norm, group=group).double()
    inputs = TASK.train.inputs.double()
    for _ in range(3):
        module(inputs)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    mended = normalization.recalibrated(module, inputs)
    values = inputs
    for part in mended.eval():
        if part in norms_of(mended):
            variance, mean = torch.var_mean(values, 0, correction=0)
            torch.testing.assert_close(part.running_mean, mean)
            torch.testing.assert_close(part.running_var, variance)
            values = (values - mean) / (variance + part.eps).sqrt() * part.weight + part.bias
        else:
            values = part(values)
    torch.testing.assert_close(mended(inputs), values)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_recalibrated_batch_norm_equals_training_on_the_whole() -> None:
    """Evaluated on the same inputs it gives what one batch of them all gives in training."""
    module = models.build("cnn", IMAGES, seed=0, norm="batch").double()
    inputs = IMAGES.train.inputs.double()
    mended = normalization.recalibrated(module, inputs)
    torch.testing.assert_close(mended.eval()(inputs), module.train()(inputs))


def test_as_in_training_is_training_batch_by_batch() -> None:
    """A pass over all inputs equals training's passes over its batches, one after another."""
    module = models.build("mlp", TASK, seed=0, norm="batch")
    inputs = TASK.train.inputs
    parts = [module.train()(part) for part in inputs.split(8)]
    frozen = models.build("mlp", TASK, seed=0, norm="batch")
    whole = normalization.as_in_training(frozen, 8)(inputs)
    torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-4, atol=1e-5)  # float32
    assert not any(part.num_batches_tracked for part in norms_of(frozen))


WRONG: list[tuple[str, dict[str, int | str | None], str]] = [
    ("mlp", {"norm": "layer"}, "norm 'layer' is unknown; use one of none, batch"),
    ("mlp", {"norm": "ghost"}, "needs group, a whole number from 2"),
    ("mlp", {"norm": "ghost", "group": 1}, "needs group, a whole number from 2"),
    ("mlp", {"norm": "group", "group": 5}, "does not divide 64"),
    ("mlp", {"norm": "batch", "group": 8}, "group is for norm 'ghost' or 'group'"),
    ("mlp", {"normalized": 1}, "0 with norm 'none'"),
    ("mlp", {"norm": "batch", "normalized": 3}, "0 to 2 layers"),
    ("cnn", {"norm": "batch", "normalized": -1}, "0 to 3 layers"),
    ("cnn", {"norm": "group", "group": True}, "not True"),
]


@pytest.mark.parametrize(("name", "options", "reason"), WRONG)
def test_wrong_options_are_refused(name: str, options: dict[str, int | str], reason: str) -> None:
    """A setting that is wrong, missing or would be ignored is refused by name."""
    with pytest.raises(Refusal, match=reason):
        models.build(name, IMAGES, seed=0, **options)


def test_a_batch_that_no_group_divides_is_refused() -> None:
    """In training; an evaluation takes any."""
    ghost = GhostBatchNorm(6, 4)
    with pytest.raises(Refusal, match="multiple of it, not 6"):
        ghost(torch.zeros(6, 6))
    assert ghost.eval()(torch.zeros(6, 6)).shape == (6, 6)


CHECKS: list[tuple[str, Callable[[], nn.Module], int, str | None]] = [
    (
        "batch norm",
        lambda: models.build("mlp", IMAGES, seed=0, norm="batch"),
        1,
        "over one example",
    ),
    ("batch norm", lambda: models.build("mlp", IMAGES, seed=0, norm="batch"), 2, None),
    ("group norm", lambda: models.build("mlp", IMAGES, seed=0, norm="group", group=8), 1, None),
    ("no norm", lambda: models.build("mlp", IMAGES, seed=0), 1, None),
    ("ghosts", lambda: models.build("mlp", IMAGES, seed=0, norm="ghost", group=4), 6, "multiple"),
    ("pixels", lambda: models.build("cnn", IMAGES, seed=0, norm="batch", normalized=2), 1, None),
]


@pytest.mark.parametrize(("name", "make", "size", "reason"), CHECKS)
def test_batches_without_statistics_are_refused(
    name: str, make: Callable[[], nn.Module], size: int, reason: str | None
) -> None:
    """One example has a variance over pixels, or over units, and none alone."""
    module = make()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    if reason is None:
        normalization.check_batch(module, IMAGES.train.inputs, size)
    else:
        with pytest.raises(Refusal, match=reason):
            normalization.check_batch(module, IMAGES.train.inputs, size)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
