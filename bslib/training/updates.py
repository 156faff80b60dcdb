"""The optimisers' updates over a stack: one flat row of weights a member, all rows at once.

A gradient is not handed over but accumulated where it is needed, as ``carry`` times what stands
there plus ``scale`` times the gradient: into the velocity with momentum, straight into the
weights without, which spares a pass over memory each step.
"""

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from bslib.training.optimizers import SGD, Adam, Optimizer, decays

Coefficients = Sequence[float] | Sequence[Tensor]  # Optimizer.coefficients; from the host or not


def update_of(optimizer: Optimizer, weights: Tensor, rates: Sequence[float]) -> "Update":
    """Return the update of ``weights`` (K, P) in place, a learning rate a row."""
    return _kind(optimizer)(optimizer, weights, rates)


def slots(optimizer: Optimizer) -> int:
    """Return how many buffers as large as the weights the optimiser needs beside them."""
    return _kind(optimizer).slots


def _kind(optimizer: Optimizer) -> "type[Update]":
    if isinstance(optimizer, Adam):
        return Moments
    if optimizer.nesterov:
        return Nesterov
    decay = optimizer.weight_decay
    decayed = bool(decay) if isinstance(decay, int | float) else any(decay)
    return HeavyBall if optimizer.momentum or decayed else Descent


class Update:
    """State and arithmetic of one optimiser; each tensor has a row a member.

    Attributes:
        slots: how many buffers as large as the weights it needs beside them.
    """

    slots = 0
    carry: float = 0.0

    def __init__(self, optimizer: Any, weights: Tensor, rates: Sequence[float]) -> None:
        column = weights.new_tensor([[rate] for rate in rates])
        decay = weights.new_tensor([[value] for value in decays(optimizer, len(rates))])
        self.weights, self.rates = weights, column
        self.decay = decay if decay.any() else None
        self.state = [torch.zeros_like(weights) for _ in range(self.slots)]

    @property
    def into(self) -> Tensor:
        """Where the gradient is accumulated, after that was multiplied by ``carry``."""
        return self.state[0]

    def scale(self, coefficients: Coefficients) -> Tensor | None:
        """Return what the gradient is multiplied by, (K, 1); None stands for 1."""
        return None

    def apply(self, coefficients: Coefficients) -> None:
        """Update the weights, the gradient having been accumulated."""
        raise NotImplementedError

    def part(self, rows: slice) -> Self:
        """Return the update of some rows, sharing their memory."""
        part = copy.copy(self)
        part._take(rows, self.weights[rows])
        return part

    def keep(self, rows: Tensor, weights: Tensor) -> None:
        """Go on with these rows, whose weights are given."""
        self._take(rows, weights)

    def _take(self, rows: Tensor | slice, weights: Tensor) -> None:
        self.weights, self.rates = weights, self.rates[rows]
        self.decay = None if self.decay is None else self.decay[rows]
        self.state = [each[rows] for each in self.state]


class Descent(Update):
    """w <- w - rate g."""

    carry = 1.0

    @property
    def into(self) -> Tensor:
        """The weights themselves."""
        return self.weights

    def scale(self, coefficients: Coefficients) -> Tensor | None:
        """Return minus the learning rates."""
        return self.rates * coefficients[0]

    def apply(self, coefficients: Coefficients) -> None:
        """Nothing is left to do."""


class HeavyBall(Update):
    """v <- mu v + g + decay w; w <- w - rate v."""

    slots = 1

    def __init__(self, optimizer: SGD, weights: Tensor, rates: Sequence[float]) -> None:
        super().__init__(optimizer, weights, rates)
        self.carry = optimizer.momentum

    def apply(self, coefficients: Coefficients) -> None:
        """Step along the velocity."""
        velocity = self.into
        if self.decay is not None:
            velocity.addcmul_(self.weights, self.decay)
        self.weights.addcmul_(velocity, self.rates * coefficients[0])


class Nesterov(Update):
    """g <- g + decay w; v <- mu v + g; w <- w - rate (g + mu v)."""

    slots = 2

    def __init__(self, optimizer: SGD, weights: Tensor, rates: Sequence[float]) -> None:
        super().__init__(optimizer, weights, rates)
        self.momentum = optimizer.momentum

    def apply(self, coefficients: Coefficients) -> None:
        """Step along the gradient and the velocity."""
        gradient, velocity = self.state
        if self.decay is not None:
            gradient.addcmul_(self.weights, self.decay)
        velocity.mul_(self.momentum).add_(gradient)
        gradient.add_(velocity, alpha=self.momentum)
        self.weights.addcmul_(gradient, self.rates * coefficients[0])


class Moments(Update):
    """Adam's: averages of the gradient and of its square, corrected for their start at 0."""

    slots = 3

    def __init__(self, optimizer: Adam, weights: Tensor, rates: Sequence[float]) -> None:
        super().__init__(optimizer, weights, rates)
        self.optimizer = optimizer

    def apply(self, coefficients: Coefficients) -> None:
        """Step along the corrected first moment over the root of the second."""
        gradient, first, second = self.state
        (beta1, beta2), (step, root, factor) = self.optimizer.betas, coefficients
        if self.decay is not None and self.optimizer.decoupled:
            self.weights.addcmul_(self.weights, self.rates * self.decay * factor)
        elif self.decay is not None:
            gradient.addcmul_(self.weights, self.decay)
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.sqrt(second, out=gradient).div_(root).add_(self.optimizer.eps)
        torch.div(first, gradient, out=gradient)
        self.weights.addcmul_(gradient, self.rates * step)
