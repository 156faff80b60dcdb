"""Taking steps on a GPU without the host in between: one step recorded, then replayed."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bslib.training.stepping import Stepper

Step = Callable[[], None]
RUN = 64  # steps laid down at a time


class ReplayStepper(Stepper):
    """Runs of up to ``RUN`` steps from one recording of a step.

    What differs from step to step, the batches' indices and the optimiser's coefficients, is
    laid down for a whole run in buffers that the recorded step reads at a counter of its own
    on the device; it writes the losses likewise. So the host launches one thing a step and
    waits for none. The ragged last batch of an epoch has another shape, and is launched
    operation by operation.

    Args:
        parts: as for :class:`bslib.training.stepping.Stepper`.
        recorder: turns a step into one that replays it, given the tensors that the step
            changes: :func:`cuda_graph`, or a stand-in on a device without graphs.
    """

    pulse = RUN

    def __init__(self, *parts: Any, recorder: Callable[[Step, Sequence[Tensor]], Step]) -> None:
        super().__init__(*parts)
        stack, update = parts[:2]
        weights, members = stack.weights, len(stack.weights)
        self._recorder = recorder
        self._replay: Step | None = None
        self._counter = torch.zeros(1, dtype=torch.int64, device=weights.device)
        self._coefficients = weights.new_zeros(RUN, len(self.optimizer.coefficients(0, 1.0)))
        self._losses = weights.new_zeros(RUN, members)
        self._index = self._counter.new_zeros(RUN, members, self.shuffle.batch_size)
        self._changed = [self._counter, *update.state, *stack.state]

    def advance(self, most: int) -> Tensor | None:
        """Replay as many steps as the epoch and the run have room for."""
        first = self.pace.step
        if self.shuffle.size(first) < self.shuffle.batch_size:
            return super().advance(1)
        count = self._lay_down(first, min(most, RUN))
        if self._replay is None:
            self._replay = self._recorder(self._step, self._changed)
        for _ in range(count):
            self._replay()
        self.pace.step += count
        return self._losses[:count].T.clone() if self.record else None

    def _lay_down(self, first: int, most: int) -> int:
        batches = self.shuffle.next(most)
        given = [batch for batch in batches if batch is not None]
        if given:
            torch.stack(given, out=self._index[: len(given)])
        rows = [self.coefficients(first + number) for number in range(len(batches))]
        table = torch.tensor(rows, dtype=self._coefficients.dtype)
        if self._coefficients.is_cuda:
            table = table.pin_memory()  # else the copy waits for the device
        self._coefficients[: len(rows)].copy_(table, non_blocking=True)
        self._counter.zero_()
        return len(batches)

    def _step(self) -> None:
        coefficients = self._coefficients.index_select(0, self._counter)[0].unbind()
        index = None if self.shuffle.whole else self._index.index_select(0, self._counter)[0]
        for lane in self.lanes:
            part = None if index is None else index[lane.rows]
            values = lane.take(part, coefficients, self.record)
            if values is not None:
                self._losses[:, lane.rows].index_copy_(0, self._counter, values.unsqueeze(0))
        self._counter.add_(1)


@functools.cache
def _aside(device: int) -> torch.cuda.Stream:
    """Return one stream a device: each stream keeps library workspaces of its own for good."""
    return torch.cuda.Stream(device)


def cuda_graph(step: Step, changed: Sequence[Tensor]) -> Step:
    """Record ``step`` as a CUDA graph; return its replay.

    A recording needs the libraries warm, so the step is run a few times first on a stream of
    its own, and what it changed is put back.
    """
    before = [tensor.clone() for tensor in changed]
    current, aside = torch.cuda.current_stream(), _aside(torch.cuda.current_device())
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    for tensor, value in zip(changed, before, strict=True):
        tensor.copy_(value)
    return graph.replay
