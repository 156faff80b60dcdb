"""The arms on torch: the engine, a DataLoader loop, Lightning, and the floor."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator

import lightning
import torch
from arms import CLASSES, MOMENTUM, RATE, WORK, Arm, Spent, Stopwatch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from bslib import training
from bslib.data import Task
from bslib.training import stepping


def engine(task: Task, model: str) -> Arm:
    """All members through ``bslib.training.train``, the order of the examples included."""
    build, members = WORK[model]
    modules = [build(task, seed=seed) for seed in range(members)]

    def run(batch_size: int, steps: int) -> Spent:
        watch = Stopwatch()
        training.train(
            task,
            initial=modules,
            batch_size=batch_size,
            learning_rates=[RATE] * members,
            seeds=range(members),
            optimizer=training.SGD(momentum=MOMENTUM),
            budget=training.Budget(steps=steps),
            evaluate_on=["test"],
            clock=watch,
        )
        return watch.spent(members * batch_size * steps)

    return run


def dataloader(task: Task, model: str) -> Arm:
    """One network, as a tutorial has it: a shuffling DataLoader, autograd, torch's SGD."""

    def run(batch_size: int, steps: int) -> Spent:
        module = WORK[model][0](task, seed=0)
        optimizer = torch.optim.SGD(module.parameters(), RATE, momentum=MOMENTUM)
        batches = _batches(task, batch_size)
        watch = Stopwatch()
        watch()
        for _ in range(steps):
            inputs, targets = next(batches)
            optimizer.zero_grad()
            cross_entropy(module(inputs), targets).backward()
            optimizer.step()
        watch()
        return watch.spent(batch_size * steps)

    return run


def lightning_trainer(task: Task, model: str) -> Arm:
    """One network through Lightning's Trainer with its defaults, from its first step on."""

    def run(batch_size: int, steps: int) -> Spent:
        watch = _Watching()
        loader = _loader(task, batch_size)
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            trainer = lightning.Trainer(
                accelerator="cpu",
                devices=1,
                max_steps=steps,
                default_root_dir=folder,
                callbacks=[watch],
            )
            trainer.fit(_Lit(WORK[model][0](task, seed=0)), loader)
        return watch.watch.spent(batch_size * steps)

    return run


def floor(task: Task, model: str) -> Arm:
    """The matrix products (or convolutions) of the engine's step alone, in the same shapes."""
    return _mlp_floor if model == "mlp" else _cnn_floor


def _mlp_floor(batch_size: int, steps: int) -> Spent:
    """Forward 2, backward 3: into preallocated outputs, in the engine's own lanes."""
    members, inputs, hidden = WORK["mlp"][1], 784, 128
    parameters = (inputs + 1) * hidden + (hidden + 1) * CLASSES
    member_bytes = 4 * (2 * parameters + batch_size * inputs)
    lane = stepping.lane_size(members, member_bytes, "stacked", "cpu")
    x, h = torch.randn(lane, batch_size, inputs), torch.randn(lane, batch_size, hidden)
    out, slope = torch.randn(lane, CLASSES, batch_size), torch.empty_like(h)
    lanes = [(torch.randn(lane, hidden, inputs), torch.randn(lane, CLASSES, hidden))]
    lanes += [(lanes[0][0].clone(), lanes[0][1].clone()) for _ in range(members // lane - 1)]
    gradients = [(torch.empty_like(first), torch.empty_like(last)) for first, last in lanes]
    watch = Stopwatch()
    watch()
    for (first, last), (d_first, d_last) in zip(lanes, gradients, strict=True):
        for _ in range(steps):
            torch.bmm(x, first.mT, out=h)
            torch.bmm(last, h.mT, out=out)
            torch.bmm(out.mT, last, out=slope)
            torch.bmm(out, h, out=d_last)
            torch.bmm(slope.mT, x, out=d_first)
    watch()
    return watch.spent(len(lanes) * lane * batch_size * steps)


def _cnn_floor(batch_size: int, steps: int) -> Spent:
    """Both convolutions and both linear layers, forward and backward; no data is moved."""
    last = torch.channels_last
    images = torch.randn(batch_size, 1, 28, 28).to(memory_format=last)
    middle = torch.randn(batch_size, 16, 14, 14).to(memory_format=last)
    slopes = [torch.randn(batch_size, 16, 28, 28), torch.randn(batch_size, 32, 14, 14)]
    slopes = [each.to(memory_format=last) for each in slopes]
    first = torch.randn(16, 1, 5, 5).to(memory_format=last)
    second = torch.randn(32, 16, 5, 5).to(memory_format=last)
    flat, wide, hidden = torch.randn(batch_size, 1568), torch.randn(128, 1568), torch.randn(128, 10)
    h, out = torch.randn(batch_size, 128), torch.randn(batch_size, 10)

    def backward(slope: Tensor, below: Tensor, weight: Tensor, needs_below: bool) -> None:
        mask = [needs_below, True, False]
        shape = [1, 1], [2, 2], [1, 1], False, [0, 0], 1
        torch.ops.aten.convolution_backward(slope, below, weight, None, *shape, mask)

    watch = Stopwatch()
    watch()
    for _ in range(steps):
        torch.conv2d(images, first, padding=2)
        torch.conv2d(middle, second, padding=2)
        torch.mm(flat, wide.T)
        torch.mm(h, hidden)
        torch.mm(h.T, out)
        torch.mm(out, hidden.T)
        torch.mm(h.T, flat)
        torch.mm(h, wide)
        backward(slopes[1], middle, second, True)
        backward(slopes[0], images, first, False)
    watch()
    return watch.spent(batch_size * steps)


def _loader(task: Task, batch_size: int) -> DataLoader[tuple[Tensor, ...]]:
    examples = TensorDataset(task.train.inputs, task.train.targets)
    return DataLoader(examples, batch_size=batch_size, shuffle=True)


def _batches(task: Task, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
    while True:
        yield from _loader(task, batch_size)


class _Lit(lightning.LightningModule):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        inputs, targets = batch
        return cross_entropy(self.module(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), RATE, momentum=MOMENTUM)


class _Watching(lightning.Callback):
    def __init__(self) -> None:
        self.watch = Stopwatch()

    def on_train_epoch_start(self, *_: object) -> None:
        self.watch()

    def on_train_end(self, *_: object) -> None:
        self.watch()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
