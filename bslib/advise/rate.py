"""How the learning rate goes along with the batch size, by optimiser."""

from dataclasses import dataclass

import torch

from bslib.advise.problem import Problem
from bslib.scaling import rules

ADAM, SGD = "Adam", "SGD"
_ADAPTIVE = (
    "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "RMSprop", "Adadelta", "SparseAdam",
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


def carry(problem: Problem, batch_size: int, critical_batch_size: float) -> Rate | None:
    """Return the rate at ``batch_size``; None where optimiser, rate or batch size is not given.

    SGD, with or without momentum: the saturating rule (McCandlish et al. 2018, equation 2.6), which
    is the linear rule far below the critical batch size. Adaptive optimisers: the
    square-root rule (Malladi et al. 2022), up to the critical batch size and no further, and
    beta2 at the same half-life in examples (Marek et al. 2025). Warm-up: Goyal et al. (2017).
    """
    optimizer, own_rate, own_size = problem.optimizer, problem.rate, problem.batch_size
    if optimizer is None or own_rate is None or own_size is None:
        return None
    beta2 = None
    if type(optimizer).__name__ in _ADAPTIVE:
        ends = (min(each, critical_batch_size) for each in (own_size, batch_size))
        factor = rules.square_root(1.0, *ends)
        rule = "square-root rule, up to the critical batch size"
        beta2 = _beta2(optimizer, own_size, batch_size)
    else:
        factor = rules.saturating_from(1.0, own_size, batch_size, critical_batch_size)
        rule = "linear rule, levelling off at the critical batch size"
    value = own_rate * factor
    warm_up = WARM_UP_SHARE if factor > WARM_UP_ABOVE else 0.0
    bracket = (value / 2, value, 2 * value)
    return Rate(value, bracket, factor, own_rate, own_size, rule, beta2, warm_up)


def _beta2(optimizer: torch.optim.Optimizer, own_size: int, batch_size: int) -> float | None:
    betas = optimizer.param_groups[0].get("betas")
    if not betas or own_size == batch_size:
        return None
    settings = rules.AdamSettings(1.0, float(betas[0]), float(betas[1]))
    return rules.adam_half_life(settings, own_size, batch_size).beta2
