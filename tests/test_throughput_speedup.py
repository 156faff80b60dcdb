"""Ratios of throughputs within rounds, on times drawn from the law."""

import numpy as np
import pandas as pd
import pytest

from bslib import stats, throughput

FIXED, RATE = 1e-3, 1e5  # B_half = 100


def times(sizes: list[int], rounds: int = 20, drift: float = 0.0) -> pd.DataFrame:
    rows = [
        (size, each, (FIXED + size / RATE) * (1 + drift * each))
        for size in sizes
        for each in range(rounds)
    ]
    return pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s"])


def test_rates_are_medians_ready_to_draw() -> None:
    """A row a size, with its interval around it, of the law's rate."""
    found = throughput.rates(times([8, 1024]))
    expected = [size / (FIXED + size / RATE) for size in (8, 1024)]
    np.testing.assert_allclose(found["examples_per_s"], expected, rtol=1e-12)
    assert (found["low"] <= found["high"]).all()


def test_speedup_is_the_law_s() -> None:
    """r(1024) / r(8) = 128 (t0 + 8 / r) / (t0 + 1024 / r), though the machine slows down."""
    found = throughput.speedup(times([8, 64, 1024], drift=0.5), 8, 1024)
    expected = 128 * (FIXED + 8 / RATE) / (FIXED + 1024 / RATE)
    for value in (found.value, found.low, found.high):
        assert value == pytest.approx(expected, rel=1e-12)
    assert found.n == 20


def test_speedup_needs_both_sizes() -> None:
    """A size that was not timed is named."""
    found = throughput.speedup(times([8, 64]), 8, 1024)
    assert found.value is None
    assert "1,024" in found.reason


def test_gain_beyond_saturation_uses_large_sizes_only() -> None:
    """From 1,000 on, at B_half = 100: the gain a doubling between 1,024 and 4,096, per round."""
    half = stats.exact(100.0)
    sizes = [2**power for power in range(16)]
    found = throughput.gain_beyond_saturation(times(sizes, drift=0.2), half)
    rates = {size: size / (FIXED + size / RATE) for size in (1024, 4096)}
    assert found.value == pytest.approx(np.sqrt(rates[4096] / rates[1024]), rel=1e-12)
    assert 1 < found.value < 1 + 1 / (1 + 2 * 10)


@pytest.mark.parametrize("largest", [512, 1024])
def test_gain_without_a_doubling_there_is_refused(largest: int) -> None:
    """One size, or none, beyond ten times B_half gives no gain, and says so."""
    sizes = [2**power for power in range(11) if 2**power <= largest]
    found = throughput.gain_beyond_saturation(times(sizes), stats.exact(100.0))
    assert found.value is None
    assert "1,000" in found.reason


def test_gain_needs_to_know_where_saturation_is() -> None:
    """Where B_half was refused, so is the gain, with that reason."""
    found = throughput.gain_beyond_saturation(times([1, 2]), stats.refused("no bend"))
    assert found.value is None
    assert "no bend" in found.reason


def test_ratios_have_intervals_at_other_levels() -> None:
    """A wider interval at a higher level, from the same rounds."""
    noisy = times([8, 1024], rounds=30)
    noisy["step_time_s"] *= np.random.default_rng(0).lognormal(0, 0.05, len(noisy))
    found = throughput.speedup(noisy, 8, 1024)
    wide = found.at(0.998)
    assert wide.low < found.low < found.high < wide.high
