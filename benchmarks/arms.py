"""What the arms of the training benchmark share: the work, and the spending of time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from bslib import models
from bslib.data import CrossEntropy, Examples, Task

RATE, MOMENTUM, CLASSES, SIDE = 0.01, 0.9, 10, 28


@dataclass(frozen=True)
class Spent:
    """What a run took, and how many examples were learnt from in it."""

    examples: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Examples a CPU second."""
        return self.examples / self.cpu_s


# An arm: it takes that many steps at a batch size, set-up and compilation left out.
Arm = Callable[[int, int], Spent]  # (batch_size, steps)


class Stopwatch:
    """A clock that notes CPU time beside the wall's whenever it is read."""

    def __init__(self) -> None:
        self.read: list[tuple[float, float]] = []

    def __call__(self) -> float:
        """Read the wall clock, in seconds."""
        self.read.append((time.perf_counter(), time.process_time()))
        return self.read[-1][0]

    def spent(self, examples: int) -> Spent:
        """Return the time between the first reading and the last."""
        (wall, cpu), (wall_end, cpu_end) = self.read[0], self.read[-1]
        return Spent(examples, wall_end - wall, cpu_end - cpu)


def task(examples: int = 60_000) -> Task:
    """As many random images as Fashion-MNIST has, 28x28, and their random classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(examples, 1, SIDE, SIDE, generator=generator)
    targets = torch.randint(CLASSES, (examples,), generator=generator)
    few = Examples(inputs[:16], targets[:16])
    everything = Examples(inputs, targets)
    return Task(
        "random", everything, few, few, CrossEntropy(), "classification", CLASSES, "mlp", ""
    )


# 784-128-10, and a convolutional net of 215,370 parameters; (how to build, members at once)
WORK = {
    "mlp": (partial(models.build, "mlp", width=128, depth=1), 16),
    "cnn": (partial(models.build, "cnn"), 2),
}
