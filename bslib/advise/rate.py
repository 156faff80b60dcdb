"""How the learning rate goes along with the batch size, by optimiser."""

from dataclasses import dataclass

import torch

from bslib.advise.combine import UNBOUNDED
from bslib.advise.problem import Problem
from bslib.scaling import rules

# Adam and its kin, whose beta2 is the second moment's; others have other things under that name.
_ADAM = (
    torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam,
    torch.optim.Adamax, torch.optim.SparseAdam,
)  # fmt: skip
# Above this factor a rate is reached in steps.
WARM_UP_ABOVE = 2.0
WARM_UP_SHARE = 0.05


@dataclass(frozen=True)
class Rate:
    """The learning rate at the advised batch size, carried over from the one in use.

    Attributes:
        value: to start from.
        bracket: rates to try, should it be tuned: half of it, itself, twice.
        factor: over the one in use; for every group of parameters alike.
        from_rate, from_batch_size: in use.
        rule: in words.
        beta2: Adam's, at the same half-life in examples; None for others, or where it stays.
        warm_up: share of the training over which the rate should rise from 0; 0 for none.
    """

    value: float
    bracket: tuple[float, float, float]
    factor: float
    from_rate: float
    from_batch_size: int
    rule: str
    beta2: float | None = None
    warm_up: float = 0.0


def carry(
    problem: Problem, batch_size: int, critical_batch_size: tuple[float, float]
) -> Rate | None:
    """Return the rate at ``batch_size``; None where optimiser, rate or batch size is not given.

    Too high a rate fails where too low a one only takes longer. So of where the critical batch
    size may lie, the end is taken that gives the lower rate: the low one for a larger batch.

    SGD, with or without momentum: the saturating rule (McCandlish et al. 2018, equation 2.6), which
    is the linear rule far below the critical batch size. Adaptive optimisers, and whatever else
    is not SGD: the square-root rule (Malladi et al. 2022), up to the critical batch size and no
    further, and Adam's beta2 at the same half-life in examples (Marek et al. 2025). Warm-up:
    Goyal et al. (2017).

    Args:
        critical_batch_size: between which it lies; the second may be infinite.
    """
    optimizer, own_rate, own_size = problem.optimizer, problem.rate, problem.batch_size
    if optimizer is None or own_rate is None or own_size is None:
        return None
    low, high = critical_batch_size
    critical = low if batch_size > own_size else min(high, UNBOUNDED)
    if isinstance(optimizer, torch.optim.SGD | torch.optim.ASGD):
        factor = rules.saturating_from(1.0, own_size, batch_size, critical)
        rule = "linear rule, levelling off at the critical batch size, taken cautiously"
    else:
        factor = rules.square_root(1.0, min(own_size, critical), min(batch_size, critical))
        rule = "square-root rule, up to the critical batch size, taken cautiously"
    beta2 = _beta2(optimizer, own_size, batch_size)
    value = own_rate * factor
    warm_up = WARM_UP_SHARE if factor > WARM_UP_ABOVE else 0.0
    bracket = (value / 2, value, 2 * value)
    return Rate(value, bracket, factor, own_rate, own_size, rule, beta2, warm_up)


def _beta2(optimizer: torch.optim.Optimizer, own_size: int, batch_size: int) -> float | None:
    if not isinstance(optimizer, _ADAM) or own_size == batch_size:
        return None
    betas = optimizer.param_groups[0]["betas"]
    settings = rules.AdamSettings(1.0, float(betas[0]), float(betas[1]))
    return rules.adam_half_life(settings, own_size, batch_size).beta2
