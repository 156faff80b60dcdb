"""Layers whose initial weights come from a given generator, never from the global one."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn.utils import skip_init

from bslib.data.task import Task
from bslib.refusal import Refusal


def linear(
    inputs: int, outputs: int, generator: torch.Generator, *, gain: float = 1.0, bias: bool = True
) -> nn.Linear:
    """Return a linear layer, weights N(0, gain / inputs), biases zero.

    ``gain=2`` before a ReLU keeps the variance of what passes (He et al. 2015, eq. 10).
    """
    return initialize(skip_init(nn.Linear, inputs, outputs, bias=bias), inputs, generator, gain)


def convolution(
    inputs: int,
    outputs: int,
    size: int,
    generator: torch.Generator,
    *,
    gain: float,
    bias: bool = True,
) -> nn.Conv2d:
    """Return a convolution that keeps the image's size (``size`` odd), initialized likewise."""
    layer = skip_init(nn.Conv2d, inputs, outputs, size, padding=size // 2, bias=bias)
    return initialize(layer, inputs * size**2, generator, gain)


def initialize(layer: Any, fan_in: int, generator: torch.Generator, gain: float) -> Any:
    """Draw the layer's weights, set its biases to zero, and return it."""
    with torch.no_grad():
        layer.weight.normal_(0.0, math.sqrt(gain / fan_in), generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def outputs(task: Task, model: str) -> int:
    """Return how many outputs a task asks of a network: one a class, or a single value.

    Raises:
        Refusal: the task is a quadratic, whose model is its parameter vector, or has targets
            at every position of a sequence.
    """
    if task.kind == "quadratic" or task.train.targets.dim() > 1:
        raise Refusal(f"model {model!r} does not fit task {task.name!r}; use {task.model!r}")
    return task.classes or 1


def positive(**sizes: int) -> None:
    """Refuse sizes that are not whole numbers of at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise Refusal(f"{name} must be a whole number of at least 1, not {size!r}")
