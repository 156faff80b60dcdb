"""A multilayer perceptron: fully connected ReLU layers of one width."""

import itertools

import torch
from torch import nn

from bslib.data.task import Task
from bslib.models import normalization
from bslib.models.layers import linear, outputs, positive


def build(
    task: Task,
    generator: torch.Generator,
    *,
    width: int = 64,
    depth: int = 2,
    norm: str = "none",
    group: int | None = None,
    normalized: int | None = None,
) -> nn.Module:
    """Return Flatten, then ``depth`` times Linear and ReLU, then Linear; images are flattened.

    He initialisation: weights N(0, 2 / fan-in) before a ReLU, N(0, 1 / fan-in) at the output,
    biases zero. The first ``normalized`` hidden layers, by default all, have a normalisation
    layer before their ReLU, and no bias of their own; see :mod:`bslib.models.normalization`
    for ``norm`` and ``group``. The weights of a seed are the same under any norm.
    """
    positive(width=width, depth=depth)
    count = normalization.checked(norm, group, normalized, depth)
    sizes = [task.train.inputs[0].numel(), *[width] * depth]
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        plain = number >= count
        layers.append(linear(fan_in, fan_out, generator, gain=2.0, bias=plain))
        layers += [] if plain else [normalization.layer(norm, fan_out, group)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, linear(width, outputs(task, "mlp"), generator))
