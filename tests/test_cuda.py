"""What a GPU must do as a CPU does: learn the same, replay its steps, keep to memory's law.

Where the same can be asked of a CPU, it is, so that what is asked is itself tested everywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import problem_case
import pytest
import torch
from torch import Tensor, nn
from training_case import CLASSES, convolutional, flat, mlp, small_task, three_trainings

from bslib import memory
from bslib.advise import advise
from bslib.data import CrossEntropy, Examples, Task
from bslib.training import Budget, engine, replay, shuffling, stepping, train

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
CUDA = pytest.param("cuda", marks=needs_cuda)
RATES = [0.005, 0.01, 0.005, 0.01]


def plain_convolutional(seed: int) -> nn.Module:
    """A convolution without buffers, so that members can be stacked through ``vmap``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES)]
        return nn.Sequential(*layers).double()


BUILD = {"mlp": mlp, "convolution": plain_convolutional, "norm": convolutional}


@pytest.fixture
def one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the examples' order on the CPU: a generator's stream is that of its kind of device."""

    def order(shuffle: shuffling.Shuffle, generator: torch.Generator) -> Tensor:
        return torch.randperm(shuffle.examples, generator=generator).to(shuffle.device)

    def generator(seed: int, device: torch.device) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    monkeypatch.setattr(shuffling, "_generator", generator)
    monkeypatch.setattr(shuffling.Shuffle, "_order", order)


def curves(network: str, device: str, dtype: torch.dtype, strategy: str) -> Tensor:
    """The mini-batch losses of four trainings, (members, steps), of float32 weights and data."""
    build = BUILD[network]
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        training = train(
            small_task(image=network != "mlp").to(device, torch.float32).to(device, dtype),
            initial=[build(seed).float().to(dtype) for seed in range(4)],
            batch_size=8,
            learning_rates=RATES,
            seeds=range(4),
            optimizer="momentum",
            budget=Budget(steps=140),
            record_batch_loss=True,
            strategy=strategy,
        )
    assert training.batch_losses is not None
    return training.batch_losses.double()


@pytest.mark.parametrize(
    ("network", "device", "strategy"),
    [
        ("mlp", "cpu", "vmap"),
        ("mlp", "cpu", "loop"),
        ("convolution", "cpu", "vmap"),
        pytest.param("mlp", "cuda", "stacked", marks=needs_cuda),
        pytest.param("mlp", "cuda", "vmap", marks=needs_cuda),
        pytest.param("convolution", "cuda", "vmap", marks=needs_cuda),
        pytest.param("convolution", "cuda", "loop", marks=needs_cuda),
        pytest.param("norm", "cuda", "loop", marks=needs_cuda),
    ],
)
@pytest.mark.usefixtures("one_order")
def test_another_device_or_way_learns_the_same(network: str, device: str, strategy: str) -> None:
    """Same weights, order and float32: loss curves are the exact ones, to the CPU's own rounding.

    Exact is the same training in float64. How far float32 on a CPU strays from it shows what
    rounding, carried through all the steps, comes to; sums in another order stray as far, and
    functions that are good to two units in the last place twice as far. Four members of 140
    steps leave a factor of four between one maximum and another.
    """
    own = "stacked" if network == "mlp" else "loop"
    exact = curves(network, "cpu", torch.float64, own)
    rounding = (curves(network, "cpu", torch.float32, own) - exact).abs().max()
    strays = (curves(network, device, torch.float32, strategy) - exact).abs().max()
    assert 0 < rounding < 1e-4
    assert strays <= 8 * rounding


def on_a_gpu(strategy: str, network: str, optimizer: str, batch_size: int) -> Any:
    task = small_task(image=network != "mlp").to("cuda")
    settings = {"strategy": strategy, "optimizer": optimizer, "batch_size": batch_size}
    return three_trainings(task, BUILD[network], **settings)


@needs_cuda
@pytest.mark.parametrize(
    ("strategy", "network", "optimizer", "batch_size"),
    [
        ("stacked", "mlp", "sgd", 8),
        ("stacked", "mlp", "momentum", 50),
        ("stacked", "mlp", "adamw", 4),
        ("vmap", "convolution", "momentum", 8),
        ("loop", "norm", "momentum", 8),
    ],
)
def test_a_graph_replays_what_the_host_would_launch(
    strategy: str, network: str, optimizer: str, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ragged, whole and full batches, a schedule, a member's end on the way: equal to rounding."""
    graphed = on_a_gpu(strategy, network, optimizer, batch_size)
    monkeypatch.setattr(engine, "ReplayStepper", lambda *parts, recorder: stepping.Stepper(*parts))
    hosts = on_a_gpu(strategy, network, optimizer, batch_size)
    assert list(graphed.members["status"]) == list(hosts.members["status"])
    for member in (0, 2):
        torch.testing.assert_close(
            flat(graphed.module(member)), flat(hosts.module(member)), rtol=1e-10, atol=1e-10
        )
        torch.testing.assert_close(graphed.batch_losses[member], hosts.batch_losses[member])


@contextmanager
def no_waiting() -> Iterator[None]:
    """Make whatever would have the host wait for the device an error."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class Unwaiting(replay.ReplayStepper):
    """Replays, and may not wait for the device once a step is recorded."""

    replayed = 0

    def advance(self, most: int) -> Tensor | None:
        if self._replay is None:
            return super().advance(most)
        before = self.pace.step
        with no_waiting():
            values = super().advance(most)
        Unwaiting.replayed += self.pace.step - before
        return values


@needs_cuda
@pytest.mark.parametrize(("strategy", "network"), [("stacked", "mlp"), ("vmap", "convolution")])
def test_between_evaluations_the_host_never_waits(
    strategy: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders, tables, replays, ragged steps and recorded losses: nothing is read back."""
    monkeypatch.setattr(engine, "ReplayStepper", Unwaiting)
    monkeypatch.setattr(Unwaiting, "replayed", 0)
    on_a_gpu(strategy, network, "adamw", 8)
    assert Unwaiting.replayed > 100


def wide_step(device: str, optimizer: str) -> memory.TrainingStep:
    """A step whose activations outgrow its weights from some hundreds of examples on."""
    generator = torch.Generator().manual_seed(0)
    few = Examples(torch.randn(16, 256, generator=generator), torch.arange(16) % 10)
    task = Task("random", few, few, few, CrossEntropy(), "classification", 10, "mlp", "")
    layers = [part for _ in range(3) for part in (nn.Linear(256, 256), nn.ReLU())]
    module = nn.Sequential(*layers, nn.Linear(256, 10))
    return memory.training_step(task.to(device), module, optimizer=optimizer)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_the_law_is_the_allocators_peak(device: str, optimizer: str) -> None:
    """From two small steps, at thousands of examples: exact on a CPU, within the rounding on a GPU.

    CUDA's allocator rounds each tensor up to 512 bytes, and there are fewer tensors than
    operations. A kernel's own scratch memory is no tensor of the step: a tenth is left to it. The
    first measurement brings the libraries' workspaces, which stay.
    """
    step = wide_step(device, optimizer)
    law = memory.memory_law(step)
    for size in (64, 4096, 16384):
        memory.peak_bytes(step, size)
        peak, predicted = memory.peak_bytes(step, size), law.peak_bytes(size)
        if device == "cpu":
            assert predicted == pytest.approx(peak, rel=1e-3, abs=1024)
        else:
            rounded = predicted + 512 * len(law.operations)
            assert predicted <= peak <= rounded + 0.1 * predicted


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_the_largest_batch_runs_and_the_next_does_not(device: str) -> None:
    """The search ends at memory's boundary, to its tolerance, seen from both sides."""
    limit, tolerance = {"cpu": (2**25, 0.0), "cuda": (2**29, 0.02)}[device]
    step = wide_step(device, "adam")
    found = memory.largest_batch(step, examples=10**8, limit_bytes=limit, tolerance=tolerance)
    beyond = int(found.batch_size / (1 - tolerance)) + 1
    assert found.stopped_by == "memory"
    assert memory.probe(step, found.batch_size, limit_bytes=limit).fits
    assert not memory.probe(step, beyond, limit_bytes=limit).fits
    assert found.predicted == pytest.approx(found.batch_size, rel=0.2)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_advice_leaves_the_problem_on_its_own_device(device: str) -> None:
    """What is measured on a device is a copy: the problem stays on the CPU, bit by bit."""
    asked = problem_case.problem(optimizer=problem_case.sgd)
    before = problem_case.everything(asked)
    found = advise(asked, device=device, budget_s=6.0)
    assert problem_case.differences(before, problem_case.everything(asked)) == []
    assert {each.device.type for each in asked.model.parameters()} == {"cpu"}
    assert found.batch_size is not None
    assert found.memory.largest is not None
    assert not found.throughput.times.empty
