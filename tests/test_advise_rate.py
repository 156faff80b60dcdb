"""How a learning rate is carried to the advised batch size."""

import math
from collections.abc import Callable
from typing import Any

import problem_case
import pytest
import torch

from bslib.advise import rate
from bslib.scaling import rules

CRITICAL = 400.0


class MyAdamW(torch.optim.AdamW):
    """One of the user's own, derived from torch's."""


class Sign(torch.optim.Optimizer):
    """A sign descent, whose betas are no second moment's."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "betas": (0.9, 0.99)})


def carried(
    optimizer: Callable[..., torch.optim.Optimizer] | None,
    batch_size: int = 256,
    own: int | None = 16,
    critical: float | tuple[float, float] = CRITICAL,
    **given: Any,
) -> rate.Rate | None:
    model = problem_case.mlp()
    made = optimizer(model.parameters(), lr=0.01) if optimizer is not None else None
    asked = problem_case.problem(
        model, optimizer=made, batch_size=own, dataset=problem_case.data(1_000), **given
    )
    ends = critical if isinstance(critical, tuple) else (critical, critical)
    return rate.carry(asked, batch_size, ends)


def known(found: rate.Rate | None) -> rate.Rate:
    assert found is not None
    return found


@pytest.mark.parametrize("batch_size", [1, 8, 16, 256, 1_000])
def test_sgd_levels_off_at_the_critical_batch_size(batch_size: int) -> None:
    """Its rate is the saturating rule's, for momentum too, and its beta2 is not spoken of."""
    found = known(carried(torch.optim.SGD, batch_size))
    wanted = rules.saturating_from(0.01, 16, batch_size, CRITICAL)
    assert found.value == pytest.approx(wanted, rel=1e-12)
    assert found.factor == pytest.approx(wanted / 0.01, rel=1e-12)
    assert found.bracket == pytest.approx((wanted / 2, wanted, 2 * wanted), rel=1e-12)
    assert found.beta2 is None
    assert "linear rule" in found.rule


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, MyAdamW])
@pytest.mark.parametrize("batch_size", [4, 256])
def test_adam_goes_with_the_root(optimizer: Any, batch_size: int) -> None:
    """Below the critical batch size, with beta2 at the same half-life in examples."""
    found = known(carried(optimizer, batch_size))
    assert found.value == pytest.approx(rules.square_root(0.01, 16, batch_size), rel=1e-12)
    assert found.beta2 is not None
    before = rules.half_life_examples(0.999, 16)
    assert rules.half_life_examples(found.beta2, batch_size) == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize(("own", "batch_size"), [(16, 900), (450, 900), (450, 16)])
def test_no_adaptive_rate_rises_beyond_the_critical_batch_size(own: int, batch_size: int) -> None:
    """What lies beyond it counts as the critical batch size itself, on both ends."""
    found = known(carried(torch.optim.AdamW, batch_size, own))
    assert found.factor == pytest.approx(
        math.sqrt(min(batch_size, CRITICAL) / min(own, CRITICAL)), rel=1e-12
    )


@pytest.mark.parametrize("optimizer", [torch.optim.RMSprop, torch.optim.Adagrad, Sign])
def test_other_optimizers_take_the_root_and_no_beta2(optimizer: Any) -> None:
    """The cautious rule for what is not SGD; betas of other kinds are left alone."""
    found = known(carried(optimizer))
    assert found.factor == pytest.approx(4.0, rel=1e-12)
    assert found.beta2 is None


def test_at_the_size_in_use_nothing_changes() -> None:
    """Neither rate nor beta2, and no warm-up is asked for."""
    for optimizer in (torch.optim.SGD, torch.optim.Adam):
        found = known(carried(optimizer, 16))
        assert (found.factor, found.beta2, found.warm_up) == (1.0, None, 0.0)
        assert (found.from_rate, found.from_batch_size) == (0.01, 16)


def test_a_rate_far_above_the_old_one_is_reached_in_steps() -> None:
    """Warm-up belongs to factors above two."""
    assert known(carried(torch.optim.Adam, 64)).warm_up == 0.0
    assert known(carried(torch.optim.Adam, 65)).warm_up > 0.0
    assert known(carried(torch.optim.Adam, 2)).warm_up == 0.0


def test_the_rate_given_goes_before_the_optimizers() -> None:
    """A learning rate in use by name is the one that is carried."""
    found = known(carried(torch.optim.SGD, 256, learning_rate=0.5))
    assert found.from_rate == 0.5
    assert found.value == pytest.approx(rules.saturating_from(0.5, 16, 256, CRITICAL), rel=1e-12)


def test_without_optimizer_or_batch_size_there_is_no_rate() -> None:
    """Nothing is known to carry, or from where."""
    assert carried(None) is None
    assert carried(None, learning_rate=0.1) is None
    assert carried(torch.optim.SGD, own=None) is None


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("batch_size", [1, 4, 64, 1_000])
def test_of_what_the_critical_size_may_be_the_lower_rate_is_taken(
    optimizer: Any, batch_size: int
) -> None:
    """Up or down, no critical size within the ends gives a lower one; they may be infinite."""
    ends = (50.0, 2_000.0)
    found = known(carried(optimizer, batch_size, 16, ends)).value
    inside = [known(carried(optimizer, batch_size, 16, each)).value for each in (50.0, 300.0, 2e3)]
    assert found == pytest.approx(min(inside), rel=1e-9)
    unbounded = known(carried(optimizer, batch_size, 16, (50.0, math.inf))).value
    assert 0 < unbounded <= found * (1 + 1e-9)
