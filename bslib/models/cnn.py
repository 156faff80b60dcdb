"""A small convolutional network for images."""

import torch
from torch import nn

from bslib.data.task import Task
from bslib.models.layers import convolution, linear, outputs, positive
from bslib.refusal import Refusal


def build(
    task: Task, generator: torch.Generator, *, channels: int = 16, width: int = 128
) -> nn.Module:
    """Return two blocks of 5x5 convolution, ReLU and 2x2 max-pooling, then a hidden layer.

    The blocks have ``channels`` and twice that; the hidden layer has ``width`` units. With
    ``channels=32, width=1024`` it is the "Simple CNN" of Shallue et al. (2019, appendix B).
    Weights as in ``mlp``.

    Raises:
        Refusal: the task's inputs are not images (channels, height, width) of 4x4 or more.
    """
    positive(channels=channels, width=width)
    shape = tuple(task.train.inputs.shape[1:])
    if len(shape) != 3 or min(shape[1:]) < 4:
        wanted = "images (channels, height, width) of 4x4 or more"
        raise Refusal(f"model 'cnn' needs {wanted}; task {task.name!r} has inputs {shape}")
    features = 2 * channels * (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        convolution(shape[0], channels, 5, generator, gain=2.0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        convolution(channels, 2 * channels, 5, generator, gain=2.0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        linear(features, width, generator, gain=2.0),
        nn.ReLU(),
        linear(width, outputs(task, "cnn"), generator),
    )
