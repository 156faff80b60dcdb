"""One step's live bytes after every operation, under fake tensors or real ones.

Under fake tensors nothing is computed and nothing allocated: they carry shapes, types and a
device, and operations say what they would return. What depends on values (``.item()``, a
boolean mask, a branch on data) cannot be run so.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bslib.memory.live_bytes import LiveBytes
from bslib.memory.step import TrainingStep, apply, tensors

STEPS = 2  # the second is recorded: the first begins without gradients and optimiser state


@dataclass(frozen=True, eq=False)
class Timeline:
    """What is alive during the second step.

    Attributes:
        batch_size: examples of the step.
        operations: (name, phase) of each operation in turn.
        live_bytes: after each of them: weights, gradients, optimiser state, batch and all
            else that the step made; not the examples that batches are gathered from.
    """

    batch_size: int
    operations: tuple[tuple[str, str], ...]
    live_bytes: NDArray[np.float64]

    @property
    def peak_bytes(self) -> int:
        """The most that is alive at once."""
        return int(self.live_bytes.max())


def timeline(step: TrainingStep, batch_size: int, *, fake: bool = True) -> Timeline:
    """Record a step of ``batch_size`` examples; the module itself is left untouched.

    Costs two steps: of arithmetic on shapes if ``fake``, about 0.1 ms an operation, else of
    real computation on a copy of the module.
    """
    if not fake:
        return _recorded(step, copy.deepcopy(step.module), step.examples, batch_size)
    with fake_tensors(step) as (module, examples):
        return _recorded(step, module, examples, batch_size)


def accumulating(step: TrainingStep, micro_batch_size: int) -> tuple[TrainingStep, int]:
    """Return the step whose gradient is that of two such micro-batches, and its batch size.

    A third finds what the second found.
    """
    return replace(step, micro_batch_size=micro_batch_size), 2 * micro_batch_size


@contextmanager
def fake_tensors(step: TrainingStep) -> Iterator[tuple[nn.Module, Any]]:
    """Inside, all tensors are fake; gives a fake copy of the module, and fake examples."""
    # Constants that a module or a loss keeps outside its parameters and buffers are converted
    # where they are met.
    _count_devices()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    state = [*step.module.parameters(), *step.module.buffers()]
    module = copy.deepcopy(step.module, {id(each): mode.from_tensor(each) for each in state})
    examples = apply(mode.from_tensor, step.examples)
    with mode:
        yield module, examples


def _count_devices() -> None:
    """Let autograd count the devices that there are, which it does in its first backward pass.

    In a build for CUDA, on a machine without it, fake tensors make it look as if there were one;
    autograd then starts a thread for it, and no child that is forked can train any more.
    """
    with torch.enable_grad():
        torch.ones((), requires_grad=True).backward()


@contextmanager
def kept_generators(device: torch.device) -> Iterator[None]:
    """Leave torch's global generators as they were, whatever dropout draws inside."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def _recorded(step: TrainingStep, module: nn.Module, examples: Any, batch_size: int) -> Timeline:
    module.train()
    live = LiveBytes()
    for each in tensors(examples):
        live.leave_out(each)
    for state in (*module.parameters(), *module.buffers()):
        live.count(state)
    with kept_generators(step.device), live:
        optimizer = step.optimizer([p for p in module.parameters() if p.requires_grad])
        for _ in range(STEPS):
            live.restart()
            step.take(module, optimizer, examples, batch_size, live.file_under)
    return Timeline(batch_size, tuple(live.operations), np.array(live.after, dtype=np.float64))
