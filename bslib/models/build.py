"""Building a model by name for a task."""

import importlib
import inspect

import torch

from bslib.data.task import Task
from bslib.models.registry import MODELS, ModelEntry
from bslib.refusal import Refusal


def entry(name: str) -> ModelEntry:
    """Return the registry's entry for a model.

    Raises:
        Refusal: no model has that name.
    """
    if name not in MODELS:
        raise Refusal(f"model {name!r} is unknown; the models are: {', '.join(MODELS)}")
    return MODELS[name]


def build(name: str, task: Task, *, seed: int, **options: int | str) -> torch.nn.Module:
    """Build a model for a task's inputs and targets, on the CPU, in float32.

    Args:
        name: a key of ``MODELS``.
        task: gives the shape of the inputs and the number of outputs.
        seed: draws the initial weights, from a generator of their own.
        options: what the model's module takes, such as ``width=64, norm="batch"`` for ``mlp``.

    Raises:
        Refusal: an unknown name or option, or a task that the model does not fit.
    """
    constructor = importlib.import_module(entry(name).module).build
    known = [p.name for p in inspect.signature(constructor).parameters.values()][2:]
    for option in options:
        if option not in known:
            offered = f"its options are {', '.join(known)}" if known else "it has no options"
            raise Refusal(f"model {name!r} does not take {option!r}; {offered}")
    module: torch.nn.Module = constructor(task, torch.Generator().manual_seed(seed), **options)
    return module
