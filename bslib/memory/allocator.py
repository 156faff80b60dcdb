"""What the allocator hands out at most during training steps: the law's yardstick.

On the CPU torch's profiler logs every allocation and release of torch's allocator; their running
sum is exact. A library's scratch memory outside that allocator (oneDNN's convolutions) is not
in it. On CUDA the caching allocator keeps its own maximum.
"""

import copy
import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.autograd import profiler

from bslib import device as devices
from bslib.memory.step import TrainingStep
from bslib.memory.timelines import kept_generators

_MARK = "bslib: from the second step on"


@dataclass(frozen=True)
class AllocatorPeak:
    """Peak memory from the second step on, over what was there before.

    Attributes:
        peak_bytes: of tensors: what the law predicts.
        reserved_bytes: what CUDA's caching allocator held to serve them; 0 on the CPU.
        device_bytes: what the driver says is in use on the device, by everybody; 0 on the CPU.
        retries: how often the caching allocator had to give its cache back and try again,
            since the second step began: the sign of a size that fits only by thrashing.
    """

    peak_bytes: int
    reserved_bytes: int = 0
    device_bytes: int = 0
    retries: int = 0


def allocator_peak(step: TrainingStep, batch_sizes: Sequence[int]) -> AllocatorPeak:
    """Take steps of these sizes on a copy of the module, and return the peak after the first.

    A step's first time is shorter of memory: there are neither gradients nor optimiser state.
    So one size is measured as ``[size, size]``. Module and global generators are left as they
    were. Costs the steps, and on the CPU about 1.3 times that for logging.

    Raises:
        ValueError: fewer than two steps.
    """
    if len(batch_sizes) < 2:
        raise ValueError("the first step does not count: give two batch sizes or more")
    measure = _cuda if step.device.type == "cuda" else _cpu
    with kept_generators(step.device):
        return measure(step, batch_sizes)


def peak_bytes(step: TrainingStep, batch_size: int) -> int:
    """Return the peak of the second step of ``batch_size``."""
    return allocator_peak(step, [batch_size, batch_size]).peak_bytes


def _cpu(step: TrainingStep, batch_sizes: Sequence[int]) -> AllocatorPeak:
    # Else the profiler writes when it starts and stops to standard error.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profiler.profile(profile_memory=True) as profile:
        taking = _steps(step, batch_sizes)
        next(taking)
        with profiler.record_function(_MARK):
            for _ in taking:
                pass
    events = profile.kineto_results.events()
    begin = next(each.start_ns() for each in events if each.name() == _MARK)
    sizes = [(each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]"]
    live, peak = 0, 0
    for moment, size in sorted(sizes, key=lambda each: each[0]):
        live += size
        peak = max(peak, live if moment >= begin else 0)
    return AllocatorPeak(peak)


def _cuda(step: TrainingStep, batch_sizes: Sequence[int]) -> AllocatorPeak:
    device = step.device
    warm_up(step, batch_sizes)
    before = torch.cuda.memory_allocated(device)
    taking = _steps(step, batch_sizes)
    next(taking)
    devices.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    retries = _retries(device)
    for _ in taking:
        pass
    devices.synchronize(device)
    free, total = torch.cuda.mem_get_info(device)
    return AllocatorPeak(
        torch.cuda.max_memory_allocated(device) - before,
        torch.cuda.max_memory_reserved(device),
        total - free,
        _retries(device) - retries,
    )


def warm_up(step: TrainingStep, batch_sizes: Sequence[int]) -> None:
    """Bring what a GPU's libraries hold for good, their workspaces, which is no step's.

    Nothing else of it stays. On a CPU there is nothing to bring.
    """
    if step.device.type == "cuda":
        for _ in _steps(step, [min(batch_sizes)]):
            pass
        gc.collect()
        torch.cuda.empty_cache()


def _retries(device: torch.device) -> int:
    return int(torch.cuda.memory_stats(device).get("num_alloc_retries", 0))


def _steps(step: TrainingStep, batch_sizes: Sequence[int]) -> Iterator[None]:
    module = copy.deepcopy(step.module).train()
    optimizer = step.optimizer([each for each in module.parameters() if each.requires_grad])
    for size in batch_sizes:
        step.take(module, optimizer, step.examples, size, lambda phase: None)
        yield
