"""The problems that bench_advice.py asks for advice on, and sweeps in full.

Targets and the grids' centers were set from pilots, before any advice was asked. A target is
neither reached at once nor at the end of what can be learnt.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn
from torch.utils.data import TensorDataset

from bslib import data, models
from bslib.advise import Problem
from bslib.advise.targets import OPTIMIZERS, MeanLoss
from bslib.data import Task


@dataclass(frozen=True)
class Workload:
    """What is trained, until when.

    Attributes:
        name: of the results' files.
        task, examples, model, options, optimizer: by name.
        metric, value: the target.
        most_examples: a training's budget.
        batch_sizes: of the sweep; the fastest is not at an end.
        learning_rate, noise_scale: the grids' centers are learning_rate / (1 + noise_scale / B).
        resolution: evaluations are this far apart, as a fraction of the steps.
    """

    name: str
    task: str
    model: str
    optimizer: str
    metric: str
    value: float
    most_examples: int
    batch_sizes: tuple[int, ...]
    learning_rate: float
    noise_scale: float
    examples: int | None = None
    options: Mapping[str, int] = field(default_factory=dict)
    resolution: float = 0.1

    def load(self) -> Task:
        """Return the task."""
        return data.load(self.task, examples=self.examples)

    def module(self, task: Task, seed: int) -> nn.Module:
        """Return the network of a seed."""
        return models.build(self.model, task, seed=seed, **self.options)

    def problem(self, task: Task, *, learning_rate: float, batch_size: int, seed: int) -> Problem:
        """Return what its owner would ask advice on, who trains at this size and rate."""
        module = self.module(task, seed)
        optimizer = OPTIMIZERS[self.optimizer](module.parameters(), lr=learning_rate)
        dataset = TensorDataset(task.train.inputs, task.train.targets)
        return Problem(module, MeanLoss(task), dataset, optimizer, batch_size=batch_size)

    def key(self, *more: Any) -> str:
        """Return a hash of the definition and of what else a result depends on."""
        told = json.dumps([asdict(self), *more], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def powers(smallest: int, largest: int) -> tuple[int, ...]:
    """Return the powers of two from one to another."""
    return tuple(2**power for power in range(smallest.bit_length() - 1, largest.bit_length()))


_MNIST1D = {"task": "mnist1d", "examples": 4_000, "batch_sizes": (*powers(8, 2048), 4_000)}
_TEACHER = _MNIST1D | {"task": "teacher-student"}
_DIGITS = {"task": "digits", "batch_sizes": (*powers(4, 512), 1_200)}
_SMALL_CNN = {"model": "cnn", "options": {"channels": 8, "width": 32}}

WORKLOADS = [
    Workload(
        name="mnist1d-mlp-sgd", **_MNIST1D, model="mlp", optimizer="sgd",
        metric="train_loss", value=0.7, most_examples=1_200_000,
        learning_rate=1.0, noise_scale=80,
    ),
    Workload(
        name="mnist1d-mlp-adam", **_MNIST1D, model="mlp", optimizer="adam",
        metric="train_loss", value=0.8, most_examples=800_000,
        learning_rate=0.016, noise_scale=32,
    ),
    Workload(
        name="mnist1d-wide-mlp-momentum", **_MNIST1D, model="mlp", options={"width": 256},
        optimizer="momentum", metric="train_loss", value=0.7, most_examples=600_000,
        learning_rate=0.08, noise_scale=80,
    ),
    Workload(
        name="teacher-mlp-sgd", **_TEACHER, model="mlp", optimizer="sgd",
        metric="validation_loss", value=1.2, most_examples=600_000,
        learning_rate=0.9, noise_scale=64,
    ),
    Workload(
        name="teacher-mlp-adam", **_TEACHER, model="mlp", optimizer="adam",
        metric="validation_loss", value=1.2, most_examples=200_000,
        learning_rate=0.024, noise_scale=64,
    ),
    Workload(
        name="digits-mlp-sgd", **_DIGITS, model="mlp", optimizer="sgd",
        metric="train_loss", value=0.05, most_examples=200_000,
        learning_rate=0.8, noise_scale=48,
    ),
    Workload(
        name="digits-linear-sgd", **_DIGITS, model="linear", optimizer="sgd",
        metric="train_loss", value=0.1, most_examples=400_000,
        learning_rate=2.0, noise_scale=64,
    ),
    Workload(
        name="digits-cnn-adam", **_DIGITS, **_SMALL_CNN, optimizer="adam",
        metric="train_loss", value=0.05, most_examples=120_000,
        learning_rate=0.016, noise_scale=32,
    ),
    Workload(
        name="digits-cnn-momentum", **_DIGITS, **_SMALL_CNN, optimizer="momentum",
        metric="train_loss", value=0.05, most_examples=120_000,
        learning_rate=0.06, noise_scale=48,
    ),
    Workload(
        name="python-transformer-adam", task="python-source", examples=4_000, model="transformer",
        options={"width": 16, "depth": 1, "heads": 2}, optimizer="adam",
        metric="validation_loss", value=2.5, most_examples=40_000,
        batch_sizes=powers(8, 256), learning_rate=0.04, noise_scale=32, resolution=0.25,
    ),
    # Added when the rule that carries the learning rate stood: nothing was chosen on these two.
    Workload(
        name="digits-mlp-adam", **_DIGITS, model="mlp", optimizer="adam",
        metric="train_loss", value=0.05, most_examples=200_000,
        learning_rate=0.016, noise_scale=32,
    ),
    Workload(
        name="mnist1d-deep-mlp-momentum", **_MNIST1D, model="mlp", options={"depth": 4},
        optimizer="momentum", metric="train_loss", value=0.7, most_examples=600_000,
        learning_rate=0.08, noise_scale=80,
    ),
]  # fmt: skip
