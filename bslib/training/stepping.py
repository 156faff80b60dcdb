"""Taking steps, launched operation by operation from the host.

Members are independent, so they need not be in step between evaluations: a few of them, a
lane, take many steps in a row while their weights stay in a core's own cache, then the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bslib.training.optimizers import Optimizer
from bslib.training.pace import Pace
from bslib.training.shuffling import Shuffle
from bslib.training.stacking import Stack
from bslib.training.updates import Coefficients, Update

# A lane's turn: many steps, but few enough for progress to be seen.
TURN_STEPS, TURN_EXAMPLES = 64, 2**13

# What a lane's weights, optimiser state and batch may take on a CPU: a few times the cache of
# one core. Measured on one core of an EPYC (Zen 4, 1 MiB): an MLP 784-128-10 steps 1.15 (batch
# size 16) to 1.3 times (128) as fast as with sixteen members in one lane.
LANE_BYTES = 7 * 2**19


@dataclass(frozen=True)
class Lane:
    """Some members, as views of all."""

    rows: slice
    stack: Stack
    update: Update

    def take(self, index: Tensor | None, coefficients: Coefficients, record: bool) -> Tensor | None:
        """Take a step on the batches at ``index``; return the mean losses, if recorded."""
        values = self.stack.accumulate(index, self.update.scale(coefficients), record)
        self.update.apply(coefficients)
        return values


def lane_size(members: int, member_bytes: int, strategy: str, device: str) -> int:
    """Return how many members take their turn together: all, but on a CPU."""
    if device != "cpu":
        return members
    most = 1 if strategy == "loop" else max(1, LANE_BYTES // member_bytes)
    lanes = -(-members // most)
    return -(-members // lanes)  # of nearly equal size


class Stepper:
    """What moves a stack of members on.

    Attributes:
        pulse: steps between two readings of the clock, where it decides.
    """

    pulse = 1

    def __init__(
        self,
        stack: Stack,
        update: Update,
        optimizer: Optimizer,
        shuffle: Shuffle,
        pace: Pace,
        record: bool,
    ) -> None:
        self.optimizer, self.shuffle, self.pace, self.record = optimizer, shuffle, pace, record
        self.turn = max(1, min(TURN_STEPS, TURN_EXAMPLES // shuffle.batch_size))
        self.lanes = []
        members, state = len(stack.weights), (1 + update.slots) * stack.weights[0].nbytes
        member_bytes = state + shuffle.batch_size * stack.example_bytes
        size = lane_size(members, member_bytes, stack.strategy, stack.weights.device.type)
        for first in range(0, members, size):
            rows = slice(first, first + size)
            lane = Lane(rows, stack.part(rows), update.part(rows))
            lane.stack.bind(lane.update.into, lane.update.carry)
            self.lanes.append(lane)

    def advance(self, most: int) -> Tensor | None:
        """Take 1 to ``most`` steps; return their losses (K, steps) if they are recorded."""
        batches = self.shuffle.next(min(most, self.turn))
        first = self.pace.step
        table = [self.coefficients(first + number) for number in range(len(batches))]
        values = [self._turn(lane, batches, table) for lane in self.lanes]
        self.pace.step += len(batches)
        return torch.cat([each for each in values if each is not None]) if self.record else None

    def coefficients(self, step: int) -> tuple[float, ...]:
        """Return what the optimiser needs to know about a step."""
        return self.optimizer.coefficients(step, self.pace.factor(step))

    def _turn(
        self, lane: Lane, batches: Sequence[Tensor | None], table: Sequence[Coefficients]
    ) -> Tensor | None:
        values = []
        for batch, coefficients in zip(batches, table, strict=True):
            index = None if batch is None else batch[lane.rows]
            values.append(lane.take(index, coefficients, self.record))
        recorded = [each for each in values if each is not None]
        return torch.stack(recorded, dim=1) if recorded else None
