"""The best learning rate of a grid and its exponent, on drawn grids with known answers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions

from bslib.scaling import optimum
from bslib.scaling.optimum import Optimum
from bslib.stats.estimate import Estimate

RATES = 0.1 * 2.0 ** np.arange(-3, 4)


def grid(
    generator: np.random.Generator, best: float = 0.12, *, seeds: int = 3, noise: float = 0.05
) -> pd.DataFrame:
    """Draw a parabola in ln(rate) with its vertex at ``best``, plus noise, for each seed."""
    rate, seed = np.repeat(RATES, seeds), np.tile(np.arange(seeds), len(RATES))
    loss = 1 + np.log(rate / best) ** 2 + noise * generator.standard_normal(len(rate))
    return pd.DataFrame({"learning_rate": rate, "seed": seed, "loss": loss})


def test_exact_parabola_gives_its_vertex() -> None:
    """Without noise the vertex is exact, between grid points, and the interval has no width."""
    found = optimum.best_learning_rate(grid(np.random.default_rng(0), noise=0), "loss")
    assert found.learning_rate.value == pytest.approx(0.12, rel=1e-9)
    assert found.learning_rate.low == pytest.approx(0.12, rel=1e-6)
    assert found.learning_rate.high == pytest.approx(0.12, rel=1e-6)
    assert found.variance == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seeds", [3, 8])
def test_interval_covers_the_vertex(seeds: int) -> None:
    """Fieller's interval covers in 95 % of 300 drawn grids, by a binomial test at 1 %."""
    generator = np.random.default_rng(seeds)
    covered, draws = 0, 300
    for _ in range(draws):
        estimate = optimum.best_learning_rate(grid(generator, seeds=seeds), "loss").learning_rate
        covered += estimate.low <= 0.12 <= estimate.high
    assert distributions.binomtest(covered, draws, 0.95).pvalue > 0.01


def test_flat_optimum_has_a_wide_interval() -> None:
    """Where the noise drowns the parabola, the interval is mostly unbounded, never narrow."""
    generator = np.random.default_rng(1)
    widths = []
    for _ in range(40):
        estimate = optimum.best_learning_rate(grid(generator, noise=3.0), "loss").learning_rate
        if estimate.value is not None:
            widths.append(math.log(estimate.high / max(estimate.low, 1e-12)))
    assert np.mean(np.isinf(widths)) > 0.5


def test_winner_at_an_end_is_refused_as_edge() -> None:
    """The reason says "edge" and the interval says "at least" or "at most"."""
    for best, end in ((5.0, RATES[-1]), (1e-3, RATES[0])):
        runs = grid(np.random.default_rng(0), best)
        found = optimum.best_learning_rate(runs, "loss").learning_rate
        assert found.value is None
        assert found.reason.startswith("edge")
        assert end in (found.low, found.high)
        assert found.at(0.99).reason == found.reason


def test_a_failing_neighbour_leaves_the_grid_as_bracket() -> None:
    """Beside a rate that fails, the winner is the value and its neighbours the interval."""
    runs = grid(np.random.default_rng(0))
    runs.loc[(runs["learning_rate"] > 0.15) & (runs["seed"] == 1), "loss"] = np.nan
    found = optimum.best_learning_rate(runs, "loss")
    assert found.bracketed
    assert found.learning_rate.value == pytest.approx(0.1)
    assert (found.learning_rate.low, found.learning_rate.high) == pytest.approx((0.05, 0.2))


def test_failures_rank_before_scores() -> None:
    """A rate that fails on one seed loses to one that never fails, however good the others."""
    runs = pd.DataFrame(
        {
            "learning_rate": [1.0, 1.0, 2.0, 2.0, 4.0, 4.0],
            "seed": [0, 1] * 3,
            "steps_to_target": [100.0, 100, 80, 90, 10, np.nan],
        }
    )
    assert optimum.winner(runs, "steps_to_target") == (2.0, 0)
    assert optimum.winner(runs, "steps_to_target", maximise=False)[0] == 2.0
    accuracy = runs.assign(accuracy=[0.5, 0.5, 0.6, 0.6, 0.7, 0.7])
    assert optimum.winner(accuracy, "accuracy", maximise=True) == (4.0, 1)


def known(value: float, variance: float, degrees: float = 2) -> Optimum:
    half = 2 * math.sqrt(variance)
    estimate = Estimate(value, value * math.exp(-half), value * math.exp(half), n=3)
    return Optimum(estimate, variance, degrees)


def test_exponent_covers_the_truth() -> None:
    """With optima as noisy as they say, the exponent's interval covers at least 93 %."""
    generator = np.random.default_rng(2)
    sizes = [4, 16, 64, 256]
    covered, draws, sd = 0, 600, 0.1
    for _ in range(draws):
        optima = []
        for size in sizes:
            error = sd * generator.standard_normal()
            variance = sd**2 * generator.chisquare(2) / 2  # as three seeds estimate it
            optima.append(known(0.01 * size**0.7 * math.exp(error), variance))
        estimate = optimum.exponent(sizes, optima)
        covered += estimate.low <= 0.7 <= estimate.high
    assert distributions.binom.cdf(covered, draws, 0.93) > 0.01


def test_scatter_beyond_the_seeds_widens_the_exponent() -> None:
    """Optima that miss any line by more than their seeds say are judged by how they miss it."""
    misses = np.exp([0.3, -0.3, -0.3, 0.3])
    optima = [known(0.01 * miss, 1e-6) for miss in misses]
    estimate = optimum.exponent([4, 16, 64, 256], optima)
    assert estimate.value == pytest.approx(0, abs=1e-9)
    # Residual variance 0.36 / 2 over the sum of squares of ln B, 5 (ln 4)^2; t with 2 degrees.
    expected = distributions.t.isf(0.025, 2) * math.sqrt(0.18 / 5) / math.log(4)
    assert estimate.high == pytest.approx(expected, rel=1e-9)


def test_exponent_is_the_line_through_all_seeds() -> None:
    """Where sizes fit a line as well as their seeds do, it is a regression on all of them."""
    x, n = np.log([4, 16, 64, 256, 1024]), 4
    cells = 0.5 * x + 0.1 * np.random.default_rng(5).standard_normal((n, len(x)))
    optima = [known(math.exp(cell.mean()), cell.var(ddof=1) / n, degrees=n - 1) for cell in cells.T]
    found = optimum.exponent(np.exp(x), optima)
    line = distributions.linregress(np.tile(x, n), cells.ravel())
    half_width = distributions.t.isf(0.025, n * len(x) - 2) * line.stderr
    assert found.value == pytest.approx(line.slope)
    assert found.high - found.value == pytest.approx(half_width)


def test_a_bracketed_optimum_widens_the_exponent() -> None:
    """An optimum known only to lie in a gap has no seeds to pool, and its gap counts."""
    optima = [known(0.01 * size, 1e-6) for size in (4, 16, 64)]
    gap = Optimum(optima[0].learning_rate, 0.04, math.inf, bracketed=True)
    estimate = optimum.exponent([4, 16, 64], [gap, *optima[1:]])
    # Its share of the slope's variance: (ln 4 / 2 ln(4)^2)^2 times its own.
    expected = distributions.norm.isf(0.025) * 0.2 / (2 * math.log(4))
    assert estimate.high - 1 == pytest.approx(expected, rel=1e-3)


def test_exponents_split_at_the_critical_batch_size() -> None:
    """Linear below and flat above give 1 and 0, each from its own side, the bend left out."""
    sizes = [2, 8, 32, 128, 512, 2048, 8192]
    optima = [known(min(size, 128) / 1000, 1e-6) for size in sizes]
    found = optimum.exponents(sizes, optima, 128)
    assert found.below.value == pytest.approx(1)
    assert found.above.value == pytest.approx(0, abs=1e-12)
    assert found.below.n == 3
    assert found.above.n == 3
    assert found.below.at(0.5).high < found.below.high


def test_exponent_needs_three_tuned_sizes() -> None:
    """Two sizes, or a size without an optimum, refuse it and say why."""
    edge = Optimum(Estimate(None, 0, 1, reason="edge: lowest"), math.inf, 0)
    assert "three" in optimum.exponent([1, 2], [known(1, 0.1)] * 2).reason
    refused = optimum.exponent([1, 2, 4], [known(1, 0.1), edge, known(1, 0.1)])
    assert refused.value is None
    assert "batch size 2: edge" in refused.reason
