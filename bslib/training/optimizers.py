"""Optimisers by name: their settings, and what of them changes from step to step.

The arithmetic is that of ``torch.optim`` (``SGD`` with dampening 0, ``Adam``, ``AdamW``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bslib.refusal import Refusal


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, plain or with heavy-ball or Nesterov momentum.

    Attributes:
        momentum: mu in v <- mu v + g, w <- w - rate v.
        nesterov: step along g + mu v instead.
        weight_decay: added to the gradient as weight_decay * w; one value, or one a member.
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float | Sequence[float] = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise Refusal(f"momentum must be at least 0 and less than 1, not {self.momentum!r}")
        if self.nesterov and not self.momentum:
            raise Refusal("Nesterov's variant needs a momentum above 0")

    def coefficients(self, step: int, factor: float) -> tuple[float, ...]:
        """Return (-factor,) for the schedule's factor at ``step``."""
        return (-factor,)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) with ``decoupled``.

    Attributes:
        betas: decay of the averages of the gradient and of its square.
        eps: added to the root of the corrected second moment.
        weight_decay: one value, or one a member.
        decoupled: shrink the weights by rate * weight_decay, instead of adding
            weight_decay * w to the gradient.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | Sequence[float] = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise Refusal(f"betas must be at least 0 and less than 1, not {self.betas!r}")

    def coefficients(self, step: int, factor: float) -> tuple[float, ...]:
        """Return -factor / (1 - beta1^t), sqrt(1 - beta2^t) and -factor, with t = step + 1."""
        first, second = (1 - beta ** (step + 1) for beta in self.betas)
        return (-factor / first, math.sqrt(second), -factor)


Optimizer = SGD | Adam

NAMES: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "adam": Adam(),
    "adamw": Adam(weight_decay=0.01, decoupled=True),
}


def resolve(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimiser of a name, with torch's defaults; one that is given, as it is.

    Raises:
        Refusal: no optimiser has that name.
    """
    if not isinstance(optimizer, str):
        return optimizer
    if optimizer not in NAMES:
        raise Refusal(f"optimizer {optimizer!r} is unknown; use one of {', '.join(NAMES)}")
    return NAMES[optimizer]


def decays(optimizer: Optimizer, members: int) -> list[float]:
    """Return the weight decay of each member."""
    decay = optimizer.weight_decay
    if isinstance(decay, int | float):
        return [float(decay)] * members
    if len(decay) != members:
        raise Refusal(f"weight_decay holds {len(decay)} values for {members} members")
    return [float(value) for value in decay]


def for_members(optimizer: Optimizer, decay: Sequence[float]) -> Optimizer:
    """Return the same optimiser with these members' weight decays."""
    return replace(optimizer, weight_decay=tuple(decay))
