"""Learning-rate rules against their limits, their invariants and simulation."""

import math

import pytest

from bslib.refusal import Refusal
from bslib.scaling import rules
from bslib.scaling.rules import AdamSettings


def test_saturating_rule_is_linear_then_constant() -> None:
    """Far below the noise scale it is the linear rule, far above it the highest rate."""
    small = rules.saturating_from(0.1, 1, 4, noise_scale=1e6)
    assert small == pytest.approx(rules.linear(0.1, 1, 4), rel=1e-5)
    assert rules.saturating(2.0, 1e-3, 1e3) == pytest.approx(2, rel=1e-5)
    assert rules.saturating(2.0, 100, 100) == 1


def test_saturating_exponent_is_its_slope() -> None:
    """The stated exponent is the finite difference of ln eta on ln B."""
    for size in (3.0, 50.0, 900.0):
        up, down = (rules.saturating(1, 50, size * math.exp(sign * 1e-5)) for sign in (1, -1))
        slope = (math.log(up) - math.log(down)) / 2e-5
        assert rules.saturating_exponent(50, size) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("rule", [rules.linear, rules.square_root])
def test_power_rules_compose_and_invert(rule) -> None:  # type: ignore[no-untyped-def]
    """Going by way of a third size changes nothing, and coming back gives the start."""
    assert rule(rule(0.3, 8, 100), 100, 40) == pytest.approx(rule(0.3, 8, 40))
    assert rule(rule(0.3, 8, 100), 100, 8) == pytest.approx(0.3)


def test_adam_square_root_rule_scales_all_four() -> None:
    """k = 4 doubles the rate, quarters the averages' length and halves epsilon."""
    scaled = rules.adam_square_root(AdamSettings(1e-3, 0.9, 0.999, 1e-8), 32, 128)
    assert scaled.learning_rate == pytest.approx(2e-3)
    assert (1 - scaled.beta1, 1 - scaled.beta2) == pytest.approx((0.4, 0.004))
    assert scaled.epsilon == pytest.approx(5e-9)
    back = rules.adam_square_root(scaled, 128, 32)
    assert back.beta1 == pytest.approx(0.9)


def test_adam_square_root_rule_ends_where_a_beta_does() -> None:
    """Beyond 1 / (1 - beta1)-fold there is no such Adam."""
    settings = AdamSettings(1e-3)
    assert rules.adam_square_root(settings, 1, 10).beta1 == pytest.approx(0, abs=1e-12)
    with pytest.raises(Refusal, match="at most 10-fold"):
        rules.adam_square_root(settings, 1, 11)


def test_half_life_in_examples_is_kept() -> None:
    """beta2^k forgets half after as many examples at any batch size."""
    settings = AdamSettings(1e-3)
    for size in (1, 512, 65_536):
        scaled = rules.adam_half_life(settings, 512, size)
        kept = rules.half_life_examples(scaled.beta2, size)
        assert kept == pytest.approx(rules.half_life_examples(0.999, 512))
        assert scaled.learning_rate == settings.learning_rate
    near = rules.adam_half_life(settings, 100, 110).beta2
    assert near == pytest.approx(rules.adam_square_root(settings, 100, 110).beta2, abs=1e-6)


def test_sizes_that_are_none_are_refused() -> None:
    """A batch size of zero, or a negative noise scale, is the caller's mistake."""
    with pytest.raises(Refusal, match="above 0"):
        rules.linear(0.1, 0, 8)
    with pytest.raises(Refusal, match="noise scale"):
        rules.saturating(0.1, -1, 8)
