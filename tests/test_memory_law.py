"""The memory law: exact where it is arithmetic, close where an allocator is asked."""

import copy
from dataclasses import replace
from typing import Any

import memory_case
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bslib import memory
from bslib.memory.law import MemoryLaw
from bslib.memory.live_bytes import LiveBytes
from bslib.refusal import Refusal

NETWORKS = ("mlp", "cnn", "resnet", "transformer")


def random_law(random: np.random.Generator) -> MemoryLaw:
    count = int(random.integers(2, 12))
    names = tuple((f"operation {i}", "forward") for i in range(count))
    fixed = random.integers(0, 2_000, count).astype(float)
    each = random.integers(0, 40, count).astype(float)
    return MemoryLaw(names, fixed, each + (each.max() == 0))


def test_storages_count_once_and_until_they_are_gone() -> None:
    """A view adds nothing; a storage leaves with its last tensor, and is then not counted."""
    resident = torch.ones(50)
    with LiveBytes() as live:
        live.leave_out(resident)
        _ = resident[:10]
        assert live.live == 0
        first = torch.ones(100)
        part = first[10:]
        assert live.live == 400
        second = first + 1
        del first
        assert live.live == 800
        del part
        assert live.live == 400
        second.resize_(200)
        assert live.live == 800
        del second
        assert live.live == 0


def test_largest_batch_is_the_brute_force_one() -> None:
    """On 300 random laws the closed form gives the size that a search from 1 up gives."""
    random = np.random.default_rng(0)
    for _ in range(300):
        law = random_law(random)
        limit = int(random.integers(0, 4_000))
        size = 0
        while law.peak_bytes(size + 1) <= limit:
            size += 1
        assert law.largest_batch(limit) == size


def test_largest_batch_survives_rounding() -> None:
    """At a limit that is a size's own peak, that size fits, also where bytes are fractions."""
    names = (("operation", "forward"),)
    for slope in (0.1, 1 / 3, 0.7, 1.1, 12.3):
        law = MemoryLaw(names, np.array([0.3]), np.array([slope]))
        for size in range(1, 300):
            assert law.largest_batch(0.3 + slope * size) == size


def test_of_two_operations_the_growing_one_is_named() -> None:
    """Where two operations need the same, the one that needs more at the next size binds."""
    names = (("update", "optimizer"), ("product", "backward"))
    law = MemoryLaw(names, np.array([10.0, 6.0]), np.array([0.0, 4.0]))
    assert law.binding(1).operation == "product"


def test_pieces_are_the_maximum() -> None:
    """Each piece's line is the peak from where it begins to where the next one does."""
    random = np.random.default_rng(1)
    for _ in range(100):
        law = random_law(random)
        rows = law.pieces(most=300).to_dict("records")
        starts = [row["batch_size"] for row in rows] + [301]
        for row, end in zip(rows, starts[1:], strict=True):
            for size in range(row["batch_size"], min(end, 301)):
                line = row["fixed_bytes"] + row["bytes_per_example"] * size
                assert line == law.peak_bytes(size)
        slopes = [row["bytes_per_example"] for row in rows]
        assert slopes == sorted(set(slopes))


def test_the_update_binds_first_and_the_backward_pass_later() -> None:
    """A wide network under Adam peaks in the optimiser at small batches, in backward at large."""
    law = memory.memory_law(memory_case.of(memory_case.mlp(512), optimizer="adam"))
    assert law.binding(1).phase == "optimizer"
    assert law.binding(100_000).phase == "backward"
    assert len(law.pieces()) >= 2


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("network", NETWORKS)
def test_predicts_a_step_64_times_as_large(network: str, optimizer: str) -> None:
    """From steps of 2 and 4 examples, the peak of one of 256, to a thousandth."""
    step = memory_case.step(network, optimizer)
    law = memory.memory_law(step, batch_sizes=(2, 4), check=None, fake=True)
    assert law.peak_bytes(256) == pytest.approx(memory.timeline(step, 256).peak_bytes, rel=1e-3)


@pytest.mark.parametrize(
    ("network", "optimizer", "batch_size"),
    [
        ("mlp", "sgd", 256),
        ("mlp", "adam", 16),
        ("cnn", "momentum", 512),
        ("transformer", "adam", 64),
        ("resnet", "sgd", 64),
    ],
)
def test_agrees_with_the_allocator(network: str, optimizer: str, batch_size: int) -> None:
    """The profiler's log of a real second step peaks within 2 % of the law, 5 % under 10 MB."""
    step = memory_case.step(network, optimizer)
    measured = memory.peak_bytes(step, batch_size)
    predicted = memory.memory_law(step, check=None).peak_bytes(batch_size)
    assert predicted == pytest.approx(measured, rel=0.02 if measured >= 10_000_000 else 0.05)


@pytest.mark.parametrize("settings", [{"foreach": True}, {"fused": True}])
def test_implementations_of_adam_agree_with_the_allocator(settings: dict[str, Any]) -> None:
    """Both of CUDA's implementations are told apart as they are on a real step."""
    step = memory_case.of(memory_case.mlp(512), optimizer="adam")
    step = replace(step, optimizer=memory.Named("adam", settings))
    law = memory.memory_law(step, check=None)
    assert law.peak_bytes(8) == pytest.approx(memory.peak_bytes(step, 8), rel=0.01)


@pytest.mark.parametrize(
    "settings",
    [{"micro_batch_size": 64}, {"autocast": torch.bfloat16}, {"evaluate": True}],
)
def test_variants_agree_with_the_allocator(settings: dict[str, Any]) -> None:
    """Accumulation, mixed precision and an evaluation are in the law as in the allocator's log."""
    step = memory_case.step("mlp", "adam", **settings)
    law = memory.memory_law(step)
    batch_size = 192 if "micro_batch_size" in settings else 64
    assert law.peak_bytes(64) == pytest.approx(memory.peak_bytes(step, batch_size), rel=0.05)


def test_an_evaluation_can_bind() -> None:
    """Without gradients to hold, a wide layer before a narrow one peaks where it is evaluated."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, inputs: Tensor) -> Tensor:
            if not self.training:
                inputs = inputs.repeat(1, 100)[:, :64]
            outputs: Tensor = self.layer(inputs)
            return outputs

    law = memory.memory_law(memory_case.of(Wide(), evaluate=True))
    assert law.binding(1_000).phase == "evaluation"


def test_recomputation_needs_less_for_an_example() -> None:
    """A chain of 16 layers in 4 stretches holds under 0.6 of the memory an example, as measured."""
    plain = memory_case.of(memory_case.chain())
    less = memory_case.of(memory.Recomputed(memory_case.chain(), 4))
    costs = [memory.memory_law(step).binding(10_000).bytes_per_example for step in (plain, less)]
    assert costs[1] < 0.6 * costs[0]
    assert memory.memory_law(less).peak_bytes(256) == pytest.approx(
        memory.peak_bytes(less, 256), rel=0.05
    )


def test_a_module_is_left_untouched() -> None:
    """Weights, buffers, gradients, mode and generators stand as they stood, fake or real."""
    step = memory_case.step("mlp", "adam")
    step.module.eval()
    before = copy.deepcopy(step.module.state_dict())
    generator = torch.get_rng_state()
    memory.memory_law(step, fake=True)
    memory.memory_law(step, fake=False)
    memory.peak_bytes(step, 16)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not step.module.training
    assert all(parameter.grad is None for parameter in step.module.parameters())
    after = step.module.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_second_step_is_what_counts() -> None:
    """Adam's peak at a small batch holds weights, gradients and two moments: 16 bytes a weight."""
    step = memory_case.of(memory_case.mlp(512), optimizer="adam")
    weights = sum(each.numel() for each in step.module.parameters())
    line = memory.timeline(step, 2)
    assert line.peak_bytes > 16 * weights
    phases = [phase for _, phase in line.operations]
    # the forward pass begins without gradients, and beside both moments
    assert line.live_bytes[phases.index("forward")] > 12 * weights
    assert memory.peak_bytes(step, 2) > 16 * weights
    # a first step of 512 is not in the peak of those after it
    after_a_large_one = memory.allocator_peak(step, [512, 4]).peak_bytes
    assert after_a_large_one == memory.peak_bytes(step, 4)
    with pytest.raises(ValueError, match="the first step does not count"):
        memory.allocator_peak(step, [2])


class Branching(nn.Module):
    """Looks at a value, which a fake tensor does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs)
        return outputs if outputs[0, 0].item() > -1e9 else -outputs


def test_real_steps_serve_where_fake_ones_cannot() -> None:
    """A module that branches on a value is measured on two small real steps, and it is said."""
    law = memory.memory_law(memory_case.of(Branching()))
    assert law.source == "real"
    plain = memory.memory_law(memory_case.of(nn.Sequential(nn.Linear(64, 10))))
    assert plain.source == "fake"
    # the value read is a copy of 4 bytes at most
    assert law.peak_bytes(500) == pytest.approx(plain.peak_bytes(500), abs=64)


def pairs(module: nn.Module, batch: Any) -> Tensor:
    outputs = module(batch[0])
    return (outputs @ outputs.T).square()


def test_a_loss_over_pairs_is_refused() -> None:
    """Memory that grows with the square of the batch is found out at the third size."""
    with pytest.raises(Refusal, match="not affine in the batch size"):
        memory.memory_law(memory_case.of(memory_case.mlp(), loss=pairs))


class Looping(nn.Module):
    """Runs an operation an example."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([self.layer(each) for each in inputs])


def test_steps_of_different_operations_are_refused() -> None:
    """A loop over examples has another timeline at each size."""
    with pytest.raises(Refusal, match="does not run the same operations"):
        memory.memory_law(memory_case.of(Looping()))


def test_one_step_is_reproducible() -> None:
    """Two laws of one step are the same, number for number."""
    step = memory_case.step("cnn", "adam")
    one, other = memory.memory_law(step), memory.memory_law(step)
    assert np.array_equal(one.fixed_bytes, other.fixed_bytes)
    assert np.array_equal(one.bytes_per_example, other.bytes_per_example)
