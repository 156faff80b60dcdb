"""Trying a batch size out in a child process, which leaves nothing behind.

After a real out-of-memory error a process is not what it was: fragments and references remain,
and later sizes fail that a fresh process fits. So each size gets a child of its own.

On a machine without CUDA the child is a fork, which costs milliseconds and needs nothing
pickled. **The limit counts bytes handed out by torch's allocator, and the child adds them up**:
that is the same number in every process, where limits on address space depend on what the
parent's heap happened to hold. ``RLIMIT_DATA`` stands behind it, at twice the limit and a
little for the interpreter, so that a far too large size ends in an error and not in swap.

With CUDA a forked child cannot use the device: the child is spawned, the step is pickled, and
the allocator itself is held to the limit (``set_per_process_memory_fraction``).
"""

import multiprocessing
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch

from bslib.memory.allocator import AllocatorPeak, allocator_peak, warm_up
from bslib.memory.out_of_memory import is_out_of_memory
from bslib.memory.step import TrainingStep
from bslib.refusal import Refusal

# A child that has not answered after so long is ended, and that is an error.
PATIENCE_S = 600.0
# Left above the guard for what is no tensor: the profiler's log and thread, the heap's fragments.
_GUARD_BYTES = 2**28


@dataclass(frozen=True)
class Probe:
    """What came of trying a batch size.

    Attributes:
        batch_size: the size.
        fits: whether all steps ran, within the limit.
        peak_bytes: of tensors, from the second step on; 0 where they did not run.
        thrashes: whether it ran only by swapping, or by giving back the allocator's cache.
        reason: why it does not fit; else empty.
    """

    batch_size: int
    fits: bool
    peak_bytes: int = 0
    thrashes: bool = False
    reason: str = ""


def default_limit(device: torch.device) -> int:
    """Return the bytes that a search may use: half of what is available on the CPU, else all."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) // 2


def probe(
    step: TrainingStep,
    batch_size: int,
    *,
    limit_bytes: int,
    also: Sequence[int] = (),
    patience_s: float = PATIENCE_S,
) -> Probe:
    """Take two steps of ``batch_size``, then one of each size in ``also``, in a child process.

    Whatever ends the child from outside, such as the kernel's out-of-memory killer, means that
    the size does not fit.

    Raises:
        RuntimeError: the step failed for another reason than memory, or it hung.
        Refusal: the child has to be spawned, and the step cannot be pickled.
    """
    context: Any = multiprocessing.get_context(start_method())
    ours, theirs = context.Pipe(duplex=False)
    sizes = (batch_size, batch_size, *also)
    child = context.Process(target=_child, args=(theirs, step, sizes, limit_bytes))
    if step.device.type == "cuda":
        torch.cuda.empty_cache()  # what this process keeps for later, the child may use
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads; the child runs one thread and no other's.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child.start()
        except (AttributeError, TypeError, ValueError, pickle.PicklingError) as error:
            raise Refusal(
                f"the step cannot be handed to another process ({error}); define its model and "
                "loss in a module that can be imported, not in a notebook or as a lambda"
            ) from error
    theirs.close()
    try:
        answered = ours.poll(patience_s)
        answer = ours.recv() if answered else None
    except EOFError:
        answer = None
    if not answered:
        child.kill()
    child.join()
    ours.close()
    if not answered:
        raise RuntimeError(f"steps of {batch_size} examples took longer than {patience_s:g} s")
    return outcome(batch_size, answer, child.exitcode, limit_bytes)


def start_method() -> str:
    """Return how children are started: forked where there is neither CUDA nor another system."""
    forks = sys.platform.startswith("linux") and not torch.cuda.is_available()
    return "fork" if forks else "spawn"


def outcome(batch_size: int, answer: Any, exit_code: int, limit_bytes: int) -> Probe:
    """Read a child's answer; without one, how the child ended.

    Args:
        answer: ("ran", :class:`AllocatorPeak`, bytes swapped), ("memory", message),
            ("error", traceback) or None.

    Raises:
        RuntimeError: the step failed, for another reason than memory.
    """
    if answer is None:
        if exit_code >= 0:
            raise RuntimeError(f"a child that tried {batch_size} examples left with {exit_code}")
        return Probe(batch_size, False, reason=f"killed by {signal.Signals(-exit_code).name}")
    if answer[0] == "error":
        raise RuntimeError(f"a step of {batch_size} examples failed:\n{answer[1]}")
    if answer[0] == "memory":
        return Probe(batch_size, False, reason=answer[1])
    _, peak, swapped = answer
    thrashes = swapped > 0 or peak.retries > 0
    if peak.peak_bytes > limit_bytes:
        reason = f"{peak.peak_bytes:,} bytes, over the limit of {limit_bytes:,}"
        return Probe(batch_size, False, peak.peak_bytes, thrashes, reason)
    return Probe(batch_size, True, peak.peak_bytes, thrashes)


def _child(answers: Connection, step: TrainingStep, sizes: Sequence[int], limit: int) -> None:
    try:
        answers.send(_attempt(step, sizes, limit))
    finally:
        answers.close()


def _attempt(step: TrainingStep, sizes: Sequence[int], limit: int) -> tuple[Any, ...]:
    try:
        warm_up(step, sizes)
        _hold_to(step.device, limit)
        swapped = _status_bytes("VmSwap")
        peak: AllocatorPeak = allocator_peak(step, sizes)
        return ("ran", peak, _status_bytes("VmSwap") - swapped)
    except BaseException as error:  # told apart here, and raised in the parent
        if is_out_of_memory(error):
            return ("memory", f"out of memory: {str(error).strip().splitlines()[0]}")
        return ("error", traceback.format_exc())


def _hold_to(device: torch.device, limit: int) -> None:
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        most = limit + torch.cuda.memory_reserved(device)  # the libraries' workspaces
        torch.cuda.set_per_process_memory_fraction(min(1.0, most / total), device)
        return
    torch.set_num_threads(1)  # a fork has none of its parent's worker threads
    if sys.platform.startswith("linux"):
        import resource  # there is none on Windows

        most = _status_bytes("VmData") + 2 * limit + _GUARD_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _status_bytes(name: str) -> int:
    """Return a size that the kernel tells of this process; 0 where it tells none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)
