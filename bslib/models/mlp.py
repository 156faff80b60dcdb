"""A multilayer perceptron: fully connected ReLU layers of one width."""

import itertools

import torch
from torch import nn

from bslib.data.task import Task
from bslib.models.layers import linear, outputs, positive


def build(task: Task, generator: torch.Generator, *, width: int = 64, depth: int = 2) -> nn.Module:
    """Return Flatten, then ``depth`` times Linear and ReLU, then Linear; images are flattened.

    He initialisation: weights N(0, 2 / fan-in) before a ReLU, N(0, 1 / fan-in) at the output,
    biases zero.
    """
    positive(width=width, depth=depth)
    sizes = [task.train.inputs[0].numel(), *[width] * depth]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [linear(fan_in, fan_out, generator, gain=2.0), nn.ReLU()]
    return nn.Sequential(*layers, linear(width, outputs(task, "mlp"), generator))
