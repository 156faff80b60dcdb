"""Intervals hold the truth as often as their docstrings say, at the numbers of seeds in use."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from bslib import stats

SIZES = [3, 8, 16]
TRUTH = {"normal": 1.0, "exponential": 1.0, "lognormal": math.exp(0.5)}


def sample(kind: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    if kind == "normal":
        return generator.normal(1, 0.3, shape)
    return getattr(generator, kind)(size=shape)


def ratios(kind: str, count: int, repeats: int) -> np.ndarray:
    generator = np.random.default_rng(count)
    upper = sample(kind, (repeats, count), generator)
    return np.stack([upper, generator.normal(1, 0.1, upper.shape)], axis=-1)


def ratio_of_means(rows: np.ndarray) -> np.ndarray:
    return rows[..., 0].sum(axis=-1) / rows[..., 1].sum(axis=-1)


def held(estimates: list[stats.Estimate], truth: float) -> int:
    return sum(each.low <= truth <= each.high for each in estimates)


def documented(method: Callable, kind: str, count: int) -> float:
    """Read a figure out of the table in the method's docstring."""
    assert method.__doc__ is not None
    rows = [line.split("|")[1:-1] for line in method.__doc__.splitlines() if "|" in line]
    column = [cell.strip() for cell in rows[0]].index(f"n = {count}")
    (row,) = [row for row in rows if row[0].strip() == kind]
    return float(row[column]) / 100


def assert_agrees(hits: int, repeats: int, rate: float) -> None:
    low, high = binom.interval(0.99, repeats, rate)
    assert low <= hits <= high, f"{hits / repeats:.3f}, not {rate:.3f}"


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", TRUTH)
def test_mean_covers_as_documented(kind: str, count: int) -> None:
    """Student's t holds the mean in 95 % of normal samples, and as said of skewed ones."""
    values = sample(kind, (4_000, count), np.random.default_rng(count))
    hits = held([stats.mean(each) for each in values], TRUTH[kind])
    assert_agrees(hits, 4_000, documented(stats.mean, kind, count))
    if kind == "normal":
        assert_agrees(hits, 4_000, 0.95)


@pytest.mark.parametrize("count", SIZES)
def test_paired_difference_covers_where_pairs_share_a_skewed_part(count: int) -> None:
    """What a and b share cancels, however skewed; symmetric differences are covered at 95 %."""
    generator = np.random.default_rng(count)
    shared = 10 * generator.lognormal(size=(4_000, count))
    a, b = (
        shared + generator.normal(1, 1, shared.shape),
        shared + generator.normal(size=shared.shape),
    )
    pairs = [stats.paired_difference(*pair) for pair in zip(a, b, strict=True)]
    assert_agrees(held(pairs, 1.0), 4_000, 0.95)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", TRUTH)
def test_jackknife_covers_as_documented(kind: str, count: int) -> None:
    """The jackknife holds a ratio of means as often as its docstring says."""
    rows = ratios(kind, count, 1_500)
    hits = held([stats.jackknife(ratio_of_means, each) for each in rows], TRUTH[kind])
    assert_agrees(hits, 1_500, documented(stats.jackknife, kind, count))
    if kind == "normal":
        assert_agrees(hits, 1_500, 0.95)


@pytest.mark.parametrize("count", [8, 16])
@pytest.mark.parametrize("kind", TRUTH)
def test_bootstrap_t_covers_as_documented(kind: str, count: int) -> None:
    """The studentised bootstrap holds a ratio of means as often as its docstring says."""
    rows = ratios(kind, count, 600)
    found = [
        stats.bootstrap_t(ratio_of_means, each, seed=seed, draws=399)
        for seed, each in enumerate(rows)
    ]
    assert_agrees(held(found, TRUTH[kind]), 600, documented(stats.bootstrap_t, kind, count))


def test_bootstrap_t_has_no_interval_at_three_rows() -> None:
    """At n = 3 degenerate resamples outweigh the tails: unbounded, with a reason."""
    found = stats.bootstrap_t(ratio_of_means, ratios("normal", 3, 1)[0], seed=0)
    assert found.value is not None
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "degenerate" in found.reason


@pytest.mark.parametrize("count", SIZES)
def test_line_covers_its_slope_and_intercept(count: int) -> None:
    """With normal errors both of a line's intervals hold the truth in 95 % of samples."""
    x = np.log2(np.arange(1, count + 1))
    noise = np.random.default_rng(count).normal(size=(2_000, count))
    fits = [stats.straight_line(x, 3 - 0.5 * x + each) for each in noise]
    assert_agrees(held([fit.slope for fit in fits], -0.5), 2_000, 0.95)
    assert_agrees(held([fit.intercept for fit in fits], 3.0), 2_000, 0.95)


@pytest.mark.parametrize("level", [0.8, 1 - 0.05 / 24])
def test_another_level_covers_at_that_level(level: float) -> None:
    """Asking an estimate for another level gives an interval that holds there."""
    values = np.random.default_rng(5).normal(size=(4_000, 8))
    hits = held([stats.mean(each).at(level) for each in values], 0.0)
    assert_agrees(hits, 4_000, level)
