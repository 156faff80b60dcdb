"""Means and differences over seeds, against scipy, and what they refuse."""

import math
import pickle

import numpy as np
import pytest
from scipy import stats as oracle

from bslib import stats

VALUES = [0.31, 0.28, 0.35, 0.30, 0.27]
SIMULTANEOUS = 1 - 0.05 / 24


@pytest.mark.parametrize("level", [0.5, 0.95, SIMULTANEOUS])
def test_mean_is_scipys_t_interval(level: float) -> None:
    """Value and ends equal those of an independent library."""
    found = stats.mean(VALUES, level)
    want = oracle.ttest_1samp(VALUES, 0).confidence_interval(level)
    assert found.value == pytest.approx(np.mean(VALUES), rel=1e-14)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), rel=1e-12)
    assert (found.level, found.n) == (level, 5)


def test_paired_difference_is_scipys_paired_t() -> None:
    """The interval of the difference equals that of a paired t test."""
    other = [0.11, 0.33, 0.20, 0.25, 0.30]
    found = stats.paired_difference(VALUES, other)
    want = oracle.ttest_rel(VALUES, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), rel=1e-12)


def test_geometric_mean_is_the_t_interval_of_logarithms() -> None:
    """e to scipy's interval of the logs, at any level; nothing below zero has a logarithm."""
    found = stats.geometric_mean(VALUES).at(0.9)
    want = oracle.ttest_1samp(np.log(VALUES), 0).confidence_interval(0.9)
    assert found.value == pytest.approx(oracle.gmean(VALUES), rel=1e-14)
    assert (found.low, found.high) == pytest.approx((np.exp(want.low), np.exp(want.high)))
    assert "not positive" in stats.geometric_mean([1.0, 0.0]).reason
    assert stats.geometric_mean([1.0, math.inf]).value is None


@pytest.mark.parametrize(
    "estimate",
    [
        stats.mean(VALUES),
        stats.geometric_mean(VALUES),
        stats.paired_difference(VALUES, VALUES[::-1]),
        stats.slope([1, 2, 3, 4, 5], VALUES),
        stats.jackknife(np.mean, VALUES),
        stats.bootstrap_t(lambda stack: stack.mean(axis=1), VALUES, seed=0),
        stats.exact(2.0),
    ],
    ids=["geometric mean", "mean", "difference", "slope", "jackknife", "bootstrap", "exact"],
)
def test_another_level_nests_and_comes_back(estimate: stats.Estimate) -> None:
    """A higher level contains the lower, the value stays, and the way back is exact."""
    wide = estimate.at(SIMULTANEOUS)
    assert wide.level == SIMULTANEOUS
    assert wide.value == estimate.value
    assert wide.low <= estimate.low <= estimate.high <= wide.high
    assert wide.at(0.95) == estimate


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_refuses_the_mean(bad: float) -> None:
    """A diverged run is never dropped: no value, and the reason says where it is."""
    found = stats.mean([1.0, bad, 2.0])
    assert found.value is None
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "1 of 3 values not finite (at 1)" in found.reason
    assert found.n == 3


def test_difference_names_the_side_that_is_not_finite() -> None:
    """Two infinities do not cancel: the pair is refused on both sides."""
    found = stats.paired_difference([1, math.inf], [1, math.inf])
    assert found.value is None
    assert "a not finite" in found.reason
    assert "b not finite" in found.reason


def test_one_value_has_no_interval() -> None:
    """A single seed gives a value, and says that it gives nothing else."""
    found = stats.mean([4.0])
    assert (found.value, found.low, found.high, found.n) == (4.0, -math.inf, math.inf, 1)
    assert "no interval" in found.reason


def test_no_values_are_refused() -> None:
    """The mean of nothing is refused, not NaN."""
    assert stats.mean([]).reason == "there are no values"


def test_shapes_that_are_no_sample_are_errors() -> None:
    """A matrix, and pairs of unequal length, are mistakes of the caller."""
    with pytest.raises(ValueError, match="one-dimensional"):
        stats.mean([[1.0, 2.0]])
    with pytest.raises(ValueError, match="equal lengths"):
        stats.paired_difference([1, 2], [1])


def test_the_sample_is_copied() -> None:
    """Changing the array afterwards does not change a later level."""
    values = np.array(VALUES)
    found = stats.mean(values)
    values[:] = 0
    assert found.at(0.9).value == found.value


def test_means_travel_between_processes() -> None:
    """A pickled estimate still gives other levels."""
    found = stats.mean(VALUES)
    assert pickle.loads(pickle.dumps(found)).at(0.9) == found.at(0.9)


def test_estimate_without_another_level_says_so() -> None:
    """A producer that set no way to recompute yields a refusal, not a guess."""
    found = stats.Estimate(1.0, 0.0, 2.0).at(0.9)
    assert found.value is None
    assert "no interval at level 0.9" in found.reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 2.0, 0.0), "out of order"),
        ((1.0, math.nan, 2.0), "out of order"),
        ((None, 0.0, 1.0), "needs a reason"),
        ((1.0, 0.0, 2.0, 95), "between 0 and 1"),
    ],
)
def test_impossible_estimates_are_errors(arguments: tuple, message: str) -> None:
    """Ends out of order, a missing reason and a level in percent cannot be built."""
    with pytest.raises(ValueError, match=message):
        stats.Estimate(*arguments)
