"""A step's gradient is the same however it is cut into pieces, and whatever is recomputed."""

import copy
from typing import Any

import memory_case
import pytest
import torch
from torch import Tensor, nn

from bslib import data, memory, models
from bslib.memory import step as steps
from bslib.refusal import Refusal


def after_a_step(module: nn.Module, micro_batch_size: int | None, batch_size: int) -> list[Tensor]:
    """Return the gradients that a step of plain SGD leaves."""
    taken = memory_case.of(module, micro_batch_size=micro_batch_size)
    examples = steps.apply(lambda each: each.double() if each.is_floating_point() else each,
                           taken.examples)  # fmt: skip
    double = copy.deepcopy(module).double()
    optimizer = taken.optimizer(list(double.parameters()))
    taken.take(double, optimizer, examples, batch_size, lambda phase: None)
    return [each.grad for each in double.parameters() if each.grad is not None]


@pytest.mark.parametrize("micro_batch_size", [1, 3, 7, 8])
def test_accumulated_gradients_are_the_whole_batchs(micro_batch_size: int) -> None:
    """Micro-batches of 1, 3 (with a ragged last one of 2) or 7 give the gradient, to 1e-12."""
    module = memory_case.chain(4)
    whole = after_a_step(module, None, 8)
    parts = after_a_step(module, micro_batch_size, 8)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-15)


def test_recomputed_gradients_are_bitwise_the_plain_ones() -> None:
    """The same operations in the same order give the same bits."""
    chain = memory_case.chain(8)
    plain = after_a_step(chain, None, 8)
    again = after_a_step(memory.Recomputed(chain, 3), None, 8)
    torch.testing.assert_close(again, plain, rtol=0, atol=0)


def test_recomputation_needs_a_chain() -> None:
    """A module that is no sequence of layers, and segments that it does not have, are refused."""
    with pytest.raises(Refusal, match=r"needs an nn\.Sequential"):
        memory.Recomputed(nn.Linear(2, 2), 1)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="segments must lie between 1 and 8"):
        memory.Recomputed(memory_case.chain(4), 9)


def test_pieces_add_up() -> None:
    """Micro-batches are of one size, the last holds the rest, and none is empty."""
    assert steps.pieces(10, 4) == [4, 4, 2]
    assert steps.pieces(8, 4) == [4, 4]
    assert steps.pieces(3, 4) == [3]
    assert steps.pieces(5, None) == [5]
    with pytest.raises(Refusal, match="hold at least 1 example"):
        steps.pieces(5, 0)


def test_batches_are_gathered_round_and_round() -> None:
    """A batch larger than the examples begins again at the first; any nesting is kept."""
    batch: Any = steps.gather({"x": torch.arange(3), "y": [torch.arange(3) * 10]}, 2, 5)
    assert batch["x"].tolist() == [2, 0, 1, 2, 0]
    assert batch["y"][0].tolist() == [20, 0, 10, 20, 0]


def test_phases_are_told_in_order() -> None:
    """Each micro-batch goes forward and backward; one update, then one evaluation."""
    told: list[str] = []
    step = memory_case.of(nn.Linear(64, 10), micro_batch_size=4, evaluate=True)
    optimizer = step.optimizer(list(step.module.parameters()))
    step.take(step.module, optimizer, step.examples, 8, told.append)
    assert told == [*["batch", "forward", "backward"] * 2, "optimizer", "evaluation"]


def test_a_tasks_step_works_on_a_copy() -> None:
    """The step of a task and one of its networks has that network's numbers, not its tensors."""
    task = data.load("digits", examples=32)
    module = models.build("mlp", task, seed=0)
    step = memory.training_step(task, module, optimizer="momentum", evaluate=True)
    assert step.module is not module
    assert step.evaluate
    torch.testing.assert_close(step.module.state_dict(), module.state_dict())
    loss = step.loss(step.module, step.examples)
    assert loss.shape == (32,)


def test_unknown_optimizers_are_refused() -> None:
    """The names that are known are told."""
    with pytest.raises(Refusal, match="use one of sgd, momentum, adam, adamw"):
        memory.Named("lion")


def test_optimizers_take_the_devices_own_implementation() -> None:
    """foreach on CUDA, a loop elsewhere, unless one is asked for."""
    weights = [nn.Parameter(torch.zeros(2))]
    assert memory.Named("adam")(weights).defaults["foreach"] is False
    assert memory.Named("adam", {"foreach": True})(weights).defaults["foreach"] is True
    assert memory.Named("adam", {"fused": True})(weights).defaults["fused"] is True
    assert memory.Named("momentum")(weights).defaults["momentum"] == 0.9
