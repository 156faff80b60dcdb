"""Losses of single examples, before any mean is taken.

Each is called with outputs (..., B, C) and targets that broadcast to (..., B), and returns
losses (..., B): leading dimensions are members of an ensemble trained side by side. Where an
example has a target at every position of a sequence, outputs and targets have one dimension more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from bslib.data.task import move

if TYPE_CHECKING:
    import torch


class Loss(Protocol):
    """A per-example loss that knows where its constants live."""

    @property
    def name(self) -> str:
        """What the loss is called in a table."""

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the losses (..., B) of outputs (..., B, C) for targets (..., B)."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Loss:
        """Return the loss with its constants on ``device``."""


@dataclass(frozen=True)
class CrossEntropy:
    """Negative log-likelihood of the target class under softmax(outputs), in nats."""

    name: str = "cross-entropy"

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return -log softmax(outputs)[target]."""
        wanted = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
        return -outputs.log_softmax(-1).gather(-1, wanted).squeeze(-1)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> CrossEntropy:
        """Return itself: it holds no tensor."""
        return self


@dataclass(frozen=True)
class NextTokenCrossEntropy:
    """Cross-entropy of a sequence's targets, its mean over positions, in nats.

    Called with outputs (..., B, L, C) and targets (..., B, L): an example is a sequence, and
    its loss one number, like any other's.
    """

    name: str = "cross-entropy a token"

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean over the L positions of -log softmax(outputs)[target]."""
        return CrossEntropy()(outputs, targets).mean(-1)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Return itself: it holds no tensor."""
        return self


@dataclass(frozen=True)
class HalfSquaredError:
    """(output - target)^2 / 2 for a single output, so that the gradient is the residual."""

    name: str = "half squared error"

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return (outputs[..., 0] - target)^2 / 2; outputs are (..., B, 1)."""
        if outputs.shape[-1] != 1:
            shape = tuple(outputs.shape)
            raise ValueError(f"half squared error takes one output an example, not {shape}")
        return 0.5 * (outputs.squeeze(-1) - targets) ** 2

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HalfSquaredError:
        """Return itself: it holds no tensor."""
        return self


@dataclass(frozen=True, eq=False)
class Quadratic:
    """sum_j h_j z_j^2 / 2 of the outputs z = theta - x; the targets are not looked at.

    Attributes:
        curvature: h, of shape (d,), the Hessian's diagonal.
    """

    curvature: torch.Tensor
    name: str = "quadratic"

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the losses (..., B) of outputs (..., B, d)."""
        return 0.5 * (self.curvature * outputs**2).sum(-1)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Quadratic:
        """Return the loss with its curvature on ``device``."""
        return Quadratic(move(self.curvature, device, dtype))


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return 1 where the largest output (..., C) is the target's (...), else 0, as floats."""
    return (outputs.argmax(-1) == targets).to(outputs.dtype)
