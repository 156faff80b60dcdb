"""Losses against torch's own, and what examples and tasks keep when they are moved."""

import pytest
import torch
from torch.nn import functional

from bslib import data


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def classification(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = torch.randn(*shape, 5, generator=generator(), dtype=torch.float64)
    return outputs, torch.randint(5, shape, generator=generator())


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
def test_cross_entropy_is_torchs(shape: tuple[int, ...]) -> None:
    """Cross-entropy equals torch's, example by example, whatever dimensions lead."""
    outputs, targets = classification(*shape)
    expected = functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
    torch.testing.assert_close(data.CrossEntropy()(outputs, targets), expected.reshape(shape))


def test_cross_entropy_stays_finite() -> None:
    """Logits of a thousand give the loss itself, not infinity or nan."""
    losses = data.CrossEntropy()(torch.tensor([[1000.0, 0.0]]), torch.tensor([1]))
    assert losses.tolist() == [1000.0]


def test_targets_are_shared_by_an_ensemble() -> None:
    """Targets (B,) serve every member of outputs (K, B, C)."""
    outputs, _ = classification(3, 7)
    targets = torch.arange(7) % 5
    loss = data.CrossEntropy()
    torch.testing.assert_close(loss(outputs, targets)[1], loss(outputs[1], targets))


def test_cross_entropy_gradient_is_softmax_less_target() -> None:
    """The gradient in the outputs is softmax(outputs) minus the indicator of the target."""
    outputs, targets = classification(7)
    outputs.requires_grad_()
    data.CrossEntropy()(outputs, targets).sum().backward()
    expected = outputs.softmax(-1) - functional.one_hot(targets, 5)
    torch.testing.assert_close(outputs.grad, expected)


def test_losses_pass_through_vmap() -> None:
    """A loss mapped over members equals the loss of all members at once."""
    outputs, targets = classification(3, 7)
    loss = data.CrossEntropy()
    torch.testing.assert_close(torch.func.vmap(loss)(outputs, targets), loss(outputs, targets))


def test_half_squared_error_is_half_of_torchs() -> None:
    """Half squared error of outputs (K, B, 1) is half of torch's squared error."""
    outputs, targets = torch.randn(2, 3, 7, generator=generator())
    outputs = outputs.unsqueeze(-1)
    expected = functional.mse_loss(outputs[..., 0], targets, reduction="none") / 2
    torch.testing.assert_close(data.HalfSquaredError()(outputs, targets), expected)


def test_half_squared_error_refuses_outputs_that_would_broadcast() -> None:
    """Outputs (B,) against targets (B,) raise: they do not become a (B, B) table."""
    with pytest.raises(ValueError, match="one output an example"):
        data.HalfSquaredError()(torch.zeros(7), torch.zeros(7))


def test_quadratic_by_hand() -> None:
    """The quadratic is half the curvature-weighted sum of squares: (2*9 + 4*1) / 2."""
    loss = data.Quadratic(torch.tensor([2.0, 4.0]))
    assert loss(torch.tensor([[3.0, -1.0]]), torch.zeros(1)).tolist() == [11.0]


def test_accuracy_counts_the_largest_output() -> None:
    """Accuracy is 1 where the largest output is the target's, in the outputs' own type."""
    outputs = torch.tensor([[[1.0, 2.0], [5.0, 2.0]], [[0.0, 9.0], [0.0, 1.0]]])
    correct = data.accuracy(outputs, torch.tensor([1, 1]))
    assert correct.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert correct.dtype == outputs.dtype


def test_examples_need_a_target_each() -> None:
    """Inputs and targets of different lengths are no examples."""
    with pytest.raises(ValueError, match="3 inputs, 2 targets"):
        data.Examples(torch.zeros(3, 1), torch.zeros(2))


def test_subset_keeps_pairs_and_order() -> None:
    """A subset keeps each input with its target, in the order of the indices."""
    examples = data.Examples(torch.arange(5.0).unsqueeze(1), torch.arange(5))
    chosen = examples.subset([4, 0])
    assert len(chosen) == 2
    assert chosen.inputs.flatten().tolist() == [4.0, 0.0]
    assert chosen.targets.tolist() == [4, 0]


def test_moving_casts_floats_only() -> None:
    """A dtype applies to inputs, float targets and the loss's constants, never to class numbers."""
    digits = data.load("digits", examples=10).to("cpu", torch.float64)
    assert digits.train.inputs.dtype == torch.float64
    assert digits.train.targets.dtype == torch.int64
    quadratic = data.load("noisy-quadratic", examples=10).to("cpu", torch.float64)
    loss = quadratic.loss(quadratic.train.inputs, quadratic.train.targets)
    assert loss.dtype == torch.float64
