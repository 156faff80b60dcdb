"""One linear layer: softmax regression, or least squares without an intercept."""

import torch
from torch import nn

from bslib.data.task import Task
from bslib.models.layers import linear, outputs


def build(task: Task, generator: torch.Generator) -> nn.Module:
    """Return Flatten, Linear; for regression without a bias, as its closed forms have none."""
    features = task.train.inputs[0].numel()
    bias = task.kind == "classification"
    layer = linear(features, outputs(task, "linear"), generator, bias=bias)
    return nn.Sequential(nn.Flatten(), layer)
