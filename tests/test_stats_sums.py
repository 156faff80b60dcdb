"""Sums of independent estimates."""

import numpy as np
import pytest

from bslib import stats


def test_sides_are_added_apart() -> None:
    """Squares of distances add on each side; at another level both parts are taken there."""
    skewed = stats.Estimate(2.0, 1.0, 6.0, recompute=lambda level: stats.Estimate(2, 0, 9, level))
    other = stats.Estimate(10.0, 8.0, 13.0, recompute=lambda level: stats.exact(10.0, level))
    found = stats.independent_sum(skewed, other)
    expected = (12.0, 12 - np.hypot(1, 2), 12 + np.hypot(4, 3))
    assert (found.value, found.low, found.high) == pytest.approx(expected)
    again = found.at(0.99)
    assert (again.value, again.low, again.high) == pytest.approx((12, 10, 19))


def test_a_refused_part_refuses_the_sum() -> None:
    """Its reason is kept."""
    found = stats.independent_sum(stats.refused("edge"), stats.exact(1.0))
    assert found.value is None
    assert found.reason == "edge"


def test_sum_of_means_covers() -> None:
    """Of 2,000 sums of two t means, 95 % hold the truth: within 4 binomial deviations."""
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(2_000):
        parts = (stats.mean(generator.normal(size=8)), stats.mean(generator.normal(0, 2, size=12)))
        found = stats.independent_sum(*parts)
        hits += found.low <= 0 <= found.high
    assert abs(hits / 2_000 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 2_000)
