"""The transformer: causal, seeded, and a fair beginner at a language."""

import math

import pytest
import torch

from bslib import data, models
from bslib.refusal import Refusal
from bslib.training import Budget, train


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("python-source", examples=256)


def build(task: data.Task, seed: int = 0, **options: int) -> torch.nn.Module:
    sizes = {"width": 16, "depth": 2, "heads": 2} | options
    return models.build("transformer", task, seed=seed, **sizes)


def test_a_later_byte_changes_no_earlier_output(task: data.Task) -> None:
    """Changing position 40 leaves the outputs before it bit for bit, and changes those from it."""
    module = build(task).double()
    inputs = task.train.inputs[:4].double()
    changed = inputs.clone()
    changed[:, 40] = (changed[:, 40] + 1) % 128
    before, after = module(inputs), module(changed)
    assert torch.equal(before[:, :40], after[:, :40])
    assert (before[:, 40:] != after[:, 40:]).any(-1).all()


def test_attention_is_torchs(task: data.Task) -> None:
    """Against torch's own scaled dot-product attention with a causal mask, in float64."""
    attention = build(task).double().blocks[0].attention  # type: ignore[union-attr, index]
    hidden = torch.randn(3, 9, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mixed = attention.mixed(hidden).reshape(3, 9, 3, 2, 8).permute(2, 0, 3, 1, 4)
    seen = torch.nn.functional.scaled_dot_product_attention(*mixed, is_causal=True)
    expected = attention.out(seen.transpose(1, 2).reshape(3, 9, 16))
    torch.testing.assert_close(attention(hidden), expected)


def test_order_matters_and_examples_do_not_meet(task: data.Task) -> None:
    """Two equal tokens at two places differ in output; an example's outputs are its own."""
    module = build(task).double()
    inputs = task.train.inputs[:3].double()
    torch.testing.assert_close(module(inputs)[1], module(inputs[1:2])[0])
    torch.testing.assert_close(module(inputs.flip(0)), module(inputs).flip(0))
    same = module(torch.full((1, 64), 65.0, dtype=torch.float64))[0]
    assert not torch.allclose(same[5], same[20])


def test_a_seed_decides_the_weights(task: data.Task) -> None:
    """Equal from one seed, every matrix other from two; the global generator is left alone."""
    before = torch.get_rng_state()
    first, again, other = (build(task, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    same = {name for name in first if torch.equal(first[name], other[name])}
    assert same == {name for name in first if name.endswith("bias") or "norm" in name}


@pytest.mark.parametrize("width", [16, 64])
def test_it_starts_knowing_nothing(task: data.Task, width: int) -> None:
    """The first loss is ln 128 to within a logit's deviation; gradients reach every weight."""
    module = build(task, width=width)
    loss = task.loss(module(task.train.inputs), task.train.targets).mean()
    assert abs(loss - math.log(128)) < width**-0.5
    loss.backward()
    assert all(each.grad is not None and each.grad.any() for each in module.parameters())


def test_it_learns_more_than_how_often_bytes_occur(task: data.Task) -> None:
    """After 150 steps its loss on other files is below the entropy of single bytes there."""
    shares = task.validation.targets.flatten().bincount(minlength=128) / 64_000
    entropy = -torch.special.xlogy(shares, shares).sum().item()
    trained = train(
        task, batch_size=16, learning_rates=[0.01], seeds=[0], budget=Budget(steps=150),
        initial=[build(task)], optimizer="adamw", evaluate_on=["validation"], strategy="loop",
    )  # fmt: skip
    assert trained.members["validation_loss"].item() < entropy - 0.1
    assert trained.members["validation_accuracy"].item() > shares.max().item()


def test_misfits_are_refused(task: data.Task) -> None:
    """Other tasks, other models for this task, and heads that do not divide the width."""
    with pytest.raises(Refusal, match="needs a target at every position"):
        models.build("transformer", data.load("mnist1d", examples=20), seed=0)
    with pytest.raises(Refusal, match="use 'transformer'"):
        models.build("mlp", task, seed=0)
    with pytest.raises(Refusal, match="3 does not divide 16"):
        build(task, heads=3)
