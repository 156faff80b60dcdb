"""Small problems to advise on, and everything of them that advising must leave as it was."""

import gc
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from bslib.advise import Problem
from bslib.advise.subject import Subject, prepare

FEATURES, CLASSES = 6, 3


class Clock:
    """Seconds that pass only when it is read (``tick``), or when somebody adds to ``now``."""

    def __init__(self, tick: float = 0.05) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class Items(Dataset[Any]):
    """A data set of ``size`` items, each made by a function of its row."""

    def __init__(self, size: int, item: Callable[[int], Any]) -> None:
        self.size, self.item = size, item
        self.read = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, row: int) -> Any:
        self.read += 1
        return self.item(row)


class Counted:
    """A loss that counts its calls and the examples it sees."""

    def __init__(self, loss: Callable[[nn.Module, Any], Any]) -> None:
        self.loss = loss
        self.calls, self.examples = 0, 0

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        self.calls += 1
        self.examples += len(batch[0])
        return self.loss(model, batch)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(size: int = 96, seed: int = 0) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(size, FEATURES, generator=generator(seed))
    return inputs, torch.arange(size) % CLASSES


def data(size: int = 96) -> TensorDataset:
    return TensorDataset(*pairs(size))


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def seeded(build: Callable[[], Any]) -> Any:
    """Return what ``build`` makes from the same initial weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def mlp(*middle: nn.Module) -> nn.Sequential:
    first, last = seeded(lambda: (nn.Linear(FEATURES, 8), nn.Linear(8, CLASSES)))
    return nn.Sequential(first, *middle, nn.ReLU(), last)


def problem(model: nn.Module | None = None, **given: Any) -> Problem:
    """Return a problem that is well, but for what is given."""
    model = mlp() if model is None else model
    optimizer = given.pop("optimizer", None)
    if isinstance(optimizer, type) or (callable(optimizer) and not hasattr(optimizer, "step")):
        optimizer = optimizer(model.parameters())
    fields = {"loss": cross_entropy, "dataset": data(), "batch_size": 8} | given
    return Problem(model, optimizer=optimizer, **fields)


def subject(asked: Problem, *, seed: int = 0, **given: Any) -> Subject:
    options = {"generator": generator(seed), "patience_s": 10.0, "clock": Clock(1e-3)} | given
    return prepare(asked, torch.device("cpu"), **options)


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


def everything(asked: Problem) -> dict[str, Any]:
    """Return copies of all that advising might touch, by name."""
    model, optimizer = asked.model, asked.optimizer
    found: dict[str, Any] = {f"buffer {name}": each.clone() for name, each in model.named_buffers()}
    for name, each in model.named_parameters():
        found[f"parameter {name}"] = each.detach().clone()
        found[f"gradient {name}"] = None if each.grad is None else each.grad.clone()
        found[f"which gradient {name}"] = id(each.grad)
        found[f"trained {name}"] = each.requires_grad
    for name, module in model.named_modules():
        found[f"mode {name}"] = module.training
    if optimizer is not None:
        found |= _flat("optimizer", optimizer.state_dict())
        found["held"] = [id(each) for group in optimizer.param_groups for each in group["params"]]
    found |= _flat("numpy", np.random.get_state())  # noqa: NPY002 - the global generator is meant
    return found | {
        "torch generator": torch.get_rng_state(),
        "python generator": random.getstate(),
        "gradients on": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "type": torch.get_default_dtype(),
        "collector": gc.isenabled(),
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names under which the two differ in a single bit."""
    names = [*before, *(name for name in after if name not in before)]
    return [name for name in names if not _same(before.get(name), after.get(name))]


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        parts = [_flat(f"{name}.{key}", each) for key, each in value.items()]
        return {key: each for part in parts for key, each in part.items()}
    if isinstance(value, list | tuple):
        return _flat(name, dict(enumerate(value)))
    return {name: value.clone() if isinstance(value, Tensor) else value}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)
