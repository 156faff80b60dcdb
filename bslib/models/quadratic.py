"""The noisy quadratic's model: its parameter vector, seen from each example."""

import torch
from torch import nn

from bslib.data.task import Task
from bslib.refusal import Refusal


class Quadratic(nn.Module):
    """theta, whose output for an example x is the displacement theta - x."""

    def __init__(self, theta: torch.Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return theta - inputs, (..., B, d)."""
        return self.theta - inputs


def build(task: Task, generator: torch.Generator) -> nn.Module:
    """Return the model with theta drawn from N(0, I), as in Zhang et al. (2019, section 3).

    Raises:
        Refusal: the task is not a quadratic.
    """
    if task.kind != "quadratic":
        raise Refusal(f"model 'quadratic' does not fit task {task.name!r}; use {task.model!r}")
    return Quadratic(torch.randn(task.train.inputs.shape[1], generator=generator))
