"""A small convolutional network for images."""

import torch
from torch import nn

from bslib.data.task import Task
from bslib.models import normalization
from bslib.models.layers import convolution, linear, outputs, positive
from bslib.refusal import Refusal


def build(
    task: Task,
    generator: torch.Generator,
    *,
    channels: int = 16,
    width: int = 128,
    norm: str = "none",
    group: int | None = None,
    normalized: int | None = None,
) -> nn.Module:
    """Return two blocks of 5x5 convolution, ReLU and 2x2 max-pooling, then a hidden layer.

    The blocks have ``channels`` and twice that; the hidden layer has ``width`` units. With
    ``channels=32, width=1024`` it is the "Simple CNN" of Shallue et al. (2019, appendix B).
    Weights as in ``mlp``, and so are ``norm``, ``group`` and ``normalized``, which counts the
    two convolutions and then the hidden layer.

    Raises:
        Refusal: the task's inputs are not images (channels, height, width) of 4x4 or more.
    """
    positive(channels=channels, width=width)
    shape = tuple(task.train.inputs.shape[1:])
    if len(shape) != 3 or min(shape[1:]) < 4:
        wanted = "images (channels, height, width) of 4x4 or more"
        raise Refusal(f"model 'cnn' needs {wanted}; task {task.name!r} has inputs {shape}")
    count = normalization.checked(norm, group, normalized, 3)
    plain = [number >= count for number in range(3)]
    norms = [
        [] if plain[number] else [normalization.layer(norm, units, group, images=number < 2)]
        for number, units in enumerate((channels, 2 * channels, width))
    ]
    features = 2 * channels * (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        convolution(shape[0], channels, 5, generator, bias=plain[0], gain=2.0),
        *norms[0],
        nn.ReLU(),
        nn.MaxPool2d(2),
        convolution(channels, 2 * channels, 5, generator, bias=plain[1], gain=2.0),
        *norms[1],
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        linear(features, width, generator, bias=plain[2], gain=2.0),
        *norms[2],
        nn.ReLU(),
        linear(width, outputs(task, "cnn"), generator),
    )
