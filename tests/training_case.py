"""A small task for the tests of training, and the plain loop that they compare with."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bslib.data import CrossEntropy, Examples, HalfSquaredError, Task
from bslib.training import Budget, Target, Training, train
from bslib.training.shuffling import Shuffle

FEATURES, CLASSES = 6, 3


def small_task(examples: int = 50, *, regression: bool = False, image: bool = False) -> Task:
    """Noisy teacher's labels in float64; 50 examples leave 2 over at a batch size of 8."""
    generator = torch.Generator().manual_seed(7)
    shape = (1, 6, 6) if image else (FEATURES,)

    def part(count: int) -> Examples:
        inputs = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
        scores = inputs.flatten(1)[:, :CLASSES] + 0.3 * torch.randn(
            count, CLASSES, generator=generator, dtype=torch.float64
        )
        return Examples(inputs, scores[:, 0] if regression else scores.argmax(1))

    parts = part(examples), part(20), part(20)
    loss = HalfSquaredError() if regression else CrossEntropy()
    kind, classes = ("regression", None) if regression else ("classification", CLASSES)
    return Task("small", *parts, loss, kind, classes, "mlp", "")


def mlp(seed: int, outputs: int = CLASSES) -> nn.Module:
    """Two hidden layers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(FEATURES, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, outputs)
        ).double()


def convolutional(seed: int) -> nn.Module:
    """A convolution with batch normalisation, whose statistics are buffers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, CLASSES)
        ).double()


def plain_loop(
    task: Task,
    module: nn.Module,
    make_optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
    *,
    batch_size: int,
    seed: int,
    steps: int,
    factor: Callable[[int], float] = lambda step: 1.0,
    replacement: bool = False,
) -> list[float]:
    """Train ``module`` with torch's own autograd and optimiser; return the batch losses."""
    cpu = torch.device("cpu")
    shuffle = Shuffle(len(task.train), batch_size, [seed], cpu, replacement=replacement)
    optimizer = make_optimizer(list(module.parameters()))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses = []
    for _ in range(steps):
        batch = task.train.subset(next_batch(shuffle))
        optimizer.zero_grad()
        loss = task.loss(module(batch.inputs), batch.targets).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def next_batch(shuffle: Shuffle) -> Tensor:
    """Return a single member's next batch."""
    (index,) = shuffle.next(1)
    return torch.arange(shuffle.examples) if index is None else index[0]


def warm_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    """The schedule from its definition, at the middle of each step."""

    def factor(step: int) -> float:
        progress = (step + 0.5) / steps
        if progress < warmup:
            return progress / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (progress - warmup) / (1 - warmup))

    return factor


def flat(module: nn.Module) -> Tensor:
    """All parameters and buffers in a row."""
    state = module.state_dict().values()
    return torch.cat([each.detach().double().flatten() for each in state])


def three_trainings(task: Task, build: Callable[[int], nn.Module], **settings: Any) -> Training:
    """Train three members on a schedule; the second diverges on the way."""
    return train(
        task,
        initial=[build(seed) for seed in (1, 2, 3)],
        learning_rates=[0.02, 1e9, 0.01],
        seeds=[1, 2, 3],
        schedule="cosine",
        warmup=0.1,
        budget=Budget(steps=150),
        target=Target("train_loss", 0.0),
        evaluate_every=33,
        record_batch_loss=True,
        **settings,
    )
