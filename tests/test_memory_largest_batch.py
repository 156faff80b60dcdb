"""The largest batch that fits: predicted, run in a child process, and nothing left behind."""

import copy
import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

import memory_case
import pytest
import torch
from torch import Tensor, nn

from bslib import memory
from bslib.memory import allocator, probing
from bslib.refusal import Refusal

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and limits of data")
MIB = 2**20


class PlainLaw:
    """A law of a MiB an example."""

    def largest_batch(self, limit_bytes: float) -> int:
        return int(limit_bytes // MIB)

    def peak_bytes(self, batch_size: int) -> int:
        return batch_size * MIB


def always(limit: int, **settings: bool) -> Any:
    """Return a trial that fits up to ``limit``."""
    return lambda size: memory.Probe(size, size <= limit, **settings)


def search(limit: int = 100, **settings: Any) -> memory.LargestBatch:
    """Search with a trial instead of processes, and a law that says 100 for 100 MiB."""
    chosen = {"examples": 5_000, "limit_bytes": 100 * MIB, "trial": always(limit)} | settings
    step = memory_case.of(nn.Linear(64, 10))
    return memory.largest_batch(step, law=PlainLaw(), **chosen)  # type: ignore[arg-type]


@linux
def test_found_is_what_the_allocator_gives() -> None:
    """The size found was run, its successor does not fit, and the law was right but for one."""
    step = memory_case.step("mlp", "adam")
    found = memory.largest_batch(step, examples=5_000, limit_bytes=3 * MIB)
    assert found.batch_size == pytest.approx(found.predicted, abs=1)
    assert sorted(found.probes["batch_size"]) == [found.batch_size, found.batch_size + 1]
    assert memory.peak_bytes(step, found.batch_size) <= 3 * MIB
    assert memory.peak_bytes(step, found.batch_size + 1) > 3 * MIB
    assert found.stopped_by == "memory"
    assert "a larger one does not fit in 3.0 MiB" in str(found)


@linux
def test_a_search_leaves_nothing_behind() -> None:
    """Weights, buffers, an optimiser's state, mode and generators are bit-identical after it."""
    step = memory_case.step("mlp", "adam")
    module = step.module
    optimizer = torch.optim.Adam(module.parameters())
    step.loss(module, step.examples).mean().backward()
    optimizer.step()
    module.eval()
    kept = [copy.deepcopy(each.state_dict()) for each in (module, optimizer)]
    gradients = [each.grad.clone() for each in module.parameters() if each.grad is not None]
    generator = torch.get_rng_state()
    memory.largest_batch(step, examples=500, limit_bytes=3 * MIB)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not module.training
    torch.testing.assert_close(module.state_dict(), kept[0], rtol=0, atol=0)
    torch.testing.assert_close(optimizer.state_dict(), kept[1], rtol=0, atol=0)
    after = [each.grad for each in module.parameters()]
    torch.testing.assert_close(after, gradients, rtol=0, atol=0)


def test_a_wrong_law_is_found_out() -> None:
    """Where the law says 100 and 37 or 900 fit, that is what is returned, and was tried."""
    for truth in (37, 900):
        found = search(truth)
        assert found.batch_size == truth
        assert found.predicted == 100
        assert truth in set(found.probes["batch_size"])


def test_what_the_law_missed_is_read_from_the_first_probe() -> None:
    """With three MiB that the law does not know, the search goes where the probe's peak points."""

    def trial(size: int) -> memory.Probe:
        peak = (size + 3) * MIB
        return memory.Probe(size, peak <= 100 * MIB, peak)

    found = search(trial=trial)
    assert found.batch_size == 97
    assert len(found.probes) <= 4


def test_a_tolerance_saves_probes() -> None:
    """With 5 % allowed and a law right to 3 %, two probes do."""
    found = search(97, tolerance=0.05)
    assert len(found.probes) == 2
    assert 0.95 * 97 <= found.batch_size <= 97


def test_it_says_what_stopped_it() -> None:
    """Memory, the data, a cap, or nothing that fits."""
    assert search().stopped_by == "memory"
    data = search(examples=60)
    assert (data.batch_size, data.stopped_by) == (60, "data")
    assert "that is all the data" in str(data)
    cap = search(cap=50)
    assert (cap.batch_size, cap.stopped_by) == (50, "cap")
    nothing = search(0)
    assert (nothing.batch_size, nothing.stopped_by) == (0, "nothing fits")
    assert "not even a batch of 1" in str(nothing)


def test_a_margin_is_taken_off() -> None:
    """With a margin of 30 of 100 MiB, law and probes see 70."""
    found = search(margin_bytes=30 * MIB)
    assert found.predicted == 70
    assert found.limit_bytes == 70 * MIB


def test_thrashing_is_said() -> None:
    """A size that ran only by giving the cache back is returned with a warning."""
    found = search(trial=always(100, thrashes=True))
    assert found.thrashes
    assert "thrashing" in str(found)


def test_progress_ends_at_its_total() -> None:
    """The callback counts probes, and ends full."""
    told: list[tuple[int, int]] = []
    search(progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told[:-1]] == [1, 2]
    assert told[-1][0] == told[-1][1]


class Failing(nn.Module):
    """Does something else than a forward pass at eight examples or more."""

    def __init__(self, deed: str) -> None:
        super().__init__()
        self.layer, self.deed = nn.Linear(64, 10), deed

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) >= 8:
            getattr(self, self.deed)()
        outputs: Tensor = self.layer(inputs)
        return outputs

    def cuda_error(self) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def a_lot(self) -> None:
        torch.empty(2**40, dtype=torch.uint8)

    def over_the_guard(self) -> None:
        torch.empty(512 * MIB, dtype=torch.uint8)

    def a_bug(self) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    def leave(self) -> None:
        os._exit(3)

    def hang(self) -> None:
        signal.pause()


@linux
@pytest.mark.parametrize("deed", ["cuda_error", "killed", "a_lot", "over_the_guard"])
def test_a_child_without_memory_does_not_fit(deed: str) -> None:
    """An error of any form, a kill from outside, and the guard above the limit."""
    step = memory_case.of(Failing(deed))
    assert memory.probe(step, 7, limit_bytes=16 * MIB).fits
    failed = memory.probe(step, 8, limit_bytes=16 * MIB)
    assert not failed.fits
    assert failed.reason == "killed by SIGKILL" if deed == "killed" else "memory" in failed.reason


@linux
@pytest.mark.parametrize(
    ("deed", "message"),
    [("a_bug", "shapes cannot be multiplied"), ("leave", "left with 3"), ("hang", "longer than")],
)
def test_other_failures_are_raised(deed: str, message: str) -> None:
    """A bug, a child that leaves by itself and one that hangs are errors, not sizes too large."""
    step = memory_case.of(Failing(deed))
    with pytest.raises(RuntimeError, match=message):
        memory.probe(step, 8, limit_bytes=16 * MIB, patience_s=0.5 if deed == "hang" else 60)


@linux
def test_the_ragged_batch_is_run_too() -> None:
    """A step that fails on the data set's last, smaller batch is found out by the probe."""
    step = memory_case.of(nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10)))
    with pytest.raises(RuntimeError, match="Expected more than 1 value per channel"):
        memory.largest_batch(step, examples=101, cap=100)
    assert memory.largest_batch(step, examples=102, cap=100).batch_size == 100


def test_a_spawned_child_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CUDA children are spawned and the step is pickled; the peak is the forked child's."""
    monkeypatch.setattr(probing, "start_method", lambda: "spawn")
    step = memory_case.step("cnn")
    assert memory.probe(step, 16, limit_bytes=64 * MIB).peak_bytes == memory.peak_bytes(step, 16)
    unnamed = memory_case.of(nn.Linear(64, 10), loss=lambda module, batch: module(batch[0]))
    with pytest.raises(Refusal, match="define its model and loss in a module"):
        memory.probe(unnamed, 16, limit_bytes=64 * MIB)


def test_children_are_spawned_beside_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork cannot use a device that its parent may have used."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert probing.start_method() == "spawn"


def test_cuda_is_held_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's allocator gets the limit's share of the device; all that is free by default."""
    shares: list[float] = []
    whole = SimpleNamespace(total_memory=1_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: whole)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (700, 1_000))
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: shares.append(share)
    )
    device = torch.device("cuda")
    probing._hold_to(device, 250)
    probing._hold_to(device, 5_000)
    assert shares == [0.25, 1.0]
    assert memory.default_limit(device) == 700


def test_cuda_reads_the_allocator_from_the_second_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maximum is reset after the first step, and what was there before is taken off."""
    calls: list[str] = []
    stats = iter([{"num_alloc_retries": 2}, {"num_alloc_retries": 5}])
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 900)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 2_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4_000, 10_000))
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: next(stats))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append("reset"))
    step = memory_case.of(nn.Linear(64, 10))
    monkeypatch.setattr(memory.TrainingStep, "take", lambda self, *arguments: calls.append("step"))
    peak = allocator._cuda(step, [4, 4, 2])
    assert calls == ["step", "reset", "step", "step"]
    assert peak == memory.AllocatorPeak(800, 2_000, 6_000, 3)
    assert probing.outcome(4, ("ran", peak, 0), 0, limit_bytes=1_000).thrashes


def test_a_default_limit_is_half_of_what_is_available() -> None:
    """On the CPU a search leaves the other half to the machine."""
    limit = memory.default_limit(torch.device("cpu"))
    assert 0 < limit < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
