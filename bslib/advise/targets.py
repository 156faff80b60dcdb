"""What an advice's target names: a function of one's own, one of the book's tasks, torchvision's.

my_model:build      a function without arguments that returns a Problem
mnist1d             a task of the book, with its own model or another
resnet18            a classifier of torchvision, on a task's images or on none
"""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from bslib import data, models
from bslib.advise.problem import Optimizer, Problem, error_line
from bslib.data.vision import datasets
from bslib.memory import TaskLoss
from bslib.refusal import Refusal

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
# What classifiers of torchvision were made for: images a side and classes of ImageNet.
SIDE, CLASSES = 224, 1_000
# Models that would draw initial weights slowly, and warn of it.
QUICKLY = {name: {"init_weights": False} for name in ("googlenet", "inception_v3")}
MADE_UP = 2**20  # images that stand for a data set that was not given


@dataclass(frozen=True)
class Settings:
    """How a task or a torchvision model is trained; a function's problem says so itself.

    Attributes:
        model: one of the book's models, for a task; None for the task's own.
        optimizer: one of ``OPTIMIZERS``; None for none.
        learning_rate, batch_size: in use.
        seed: of weights, and of a synthetic task's data.
    """

    model: str | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    seed: int = 0

    def problem(self, model: nn.Module, loss: Any, dataset: Any) -> Problem:
        """Return the problem of training a model so."""
        return Problem(model, loss, dataset, self._of(model), self.learning_rate, self.batch_size)

    def _of(self, model: nn.Module) -> Optimizer | None:
        if self.optimizer is None:
            if self.learning_rate is not None:
                raise Refusal("a learning rate belongs to an optimiser: give --optimizer too")
            return None
        if self.optimizer not in OPTIMIZERS:
            known = ", ".join(OPTIMIZERS)
            raise Refusal(f"optimizer {self.optimizer!r} is unknown; use one of {known}")
        if self.learning_rate is None:
            raise Refusal(f"optimizer {self.optimizer!r} needs a learning rate: the one in use")
        return OPTIMIZERS[self.optimizer](model.parameters(), lr=self.learning_rate)


@dataclass(frozen=True)
class Target:
    """A problem, and what is to be said of it.

    Attributes:
        name: in words.
        problem: what was found.
        with_noise: False where its data are made up.
    """

    name: str
    problem: Problem
    with_noise: bool = True


def find(target: str, *, task: str | None = None, settings: Settings | None = None) -> Target:
    """Find what ``target`` names.

    Args:
        task: gives a torchvision model its images.
        settings: of a task or a torchvision model.

    Raises:
        Refusal: nothing has that name, or it does not give a problem.
    """
    settings = settings or Settings()
    if ":" in target:
        if task is not None or settings != Settings(seed=settings.seed):
            own = "--data, --model, --optimizer, --learning-rate and --batch-size"
            raise Refusal(
                f"{target} brings its own data, optimiser and batch size; leave out {own}"
            )
        return Target(target, of_function(target))
    if target in data.TASKS:
        if task not in (None, target):
            raise Refusal(f"{target} is a task with data of its own; leave out --data {task}")
        return Target(target, of_task(target, settings))
    if target in _torchvision_names():
        if settings.model is not None:
            raise Refusal(f"{target} is a model; leave out --model {settings.model}")
        found = of_torchvision(target, task, settings)
        return Target(f"{target} on {task}" if task else target, found, task is not None)
    close = difflib.get_close_matches(target, [*data.TASKS, *_torchvision_names()], n=3)
    hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    raise Refusal(
        f"{target!r} is not package.module:function, a task of the book "
        f"({', '.join(data.TASKS)}), or a classifier of torchvision{hint}"
    )


def of_function(target: str) -> Problem:
    """Import ``package.module:function``, also from the current folder, and call it."""
    module, _, name = target.partition(":")
    if not module or not name or module.endswith(".py") or "/" in module:
        written = Path(module).stem or "package.module"
        raise Refusal(f"write a function as package.module:function, such as "
                      f"{written}:{name or 'build'}, not {target!r}")  # fmt: skip
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise Refusal(f"{module} has no {name!r}: {error}") from error
    except Exception as error:
        raise Refusal(f"{module} cannot be imported: {error_line(error)}") from error
    if not callable(found) or _needs_arguments(found):
        raise Refusal(f"{target} must be a function without arguments that returns a Problem")
    try:
        problem = found()
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(f"{target} failed: {error_line(error)}") from error
    if not isinstance(problem, Problem):
        kind = type(problem).__name__
        raise Refusal(f"{target} must return a bslib.advise.Problem, not a {kind}")
    return problem


def of_task(task: str, settings: Settings) -> Problem:
    """Return the problem of training one of the book's models on a task."""
    loaded = data.load(task, seed=settings.seed)
    model = models.build(settings.model or loaded.model, loaded, seed=settings.seed)
    train = TensorDataset(loaded.train.inputs, loaded.train.targets)
    return settings.problem(model, MeanLoss(loaded), train)


def of_torchvision(name: str, task: str | None, settings: Settings) -> Problem:
    """Return the problem of training a classifier of torchvision, from random weights.

    On a task's images at their own size, grey ones as three equal channels; or, without a task,
    on images of noise at the size that the model was made for.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if task is None:
            module = _model(name, CLASSES)
            return settings.problem(module, _images_loss, MadeUpImages(_side(name)))
        loaded = data.load(task, seed=settings.seed)
        inputs = loaded.train.inputs
        if inputs.ndim != 4 or inputs.shape[1] not in (1, 3) or loaded.classes is None:
            raise Refusal(f"{name} takes images, and task {task!r} has none")
        module = _model(name, loaded.classes)
    pictures = TensorDataset(inputs.expand(-1, 3, -1, -1), loaded.train.targets)
    return settings.problem(module, _images_loss, pictures)


class MeanLoss(TaskLoss):
    """A task's loss, averaged over the batch."""

    def __init__(self, task: data.Task) -> None:
        super().__init__(task.loss)

    def __call__(self, module: nn.Module, batch: Any) -> Tensor:
        """Return the mean loss."""
        return super().__call__(module, batch).mean()


class MadeUpImages(Dataset[tuple[Tensor, int]]):
    """Images of noise, for what does not depend on what is in them."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __len__(self) -> int:
        return MADE_UP

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.randn(3, self.side, self.side), row % CLASSES


def _images_loss(model: nn.Module, batch: Any) -> Tensor:
    images, labels = batch
    outputs = model(images)
    scores = getattr(outputs, "logits", outputs)  # some give their helpers' scores besides
    return nn.functional.cross_entropy(scores, labels)


def _torchvision() -> Any:
    datasets()  # imports torchvision beside any torch
    return importlib.import_module("torchvision.models")


def _model(name: str, classes: int) -> nn.Module:
    settings = {"num_classes": classes, **QUICKLY.get(name, {})}
    module: nn.Module = _torchvision().get_model(name, weights=None, **settings)
    return module


def _torchvision_names() -> list[str]:
    library = _torchvision()
    return list(library.list_models(module=library))


def _side(name: str) -> int:
    """Return how large, in pixels, the images are that a model was made for."""
    weights = list(_torchvision().get_model_weights(name))
    transforms = weights[0].transforms if weights else None
    side = getattr(transforms, "keywords", {}).get("crop_size", SIDE)
    return int(side)


def _needs_arguments(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(each.default is each.empty and each.kind not in kinds for each in parameters)
