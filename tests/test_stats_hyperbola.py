"""The fit of y = A (1 + C / x), against itself, brute force and drawn data."""

import math

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as distributions

from bslib.stats import hyperbola
from bslib.stats.hyperbola import Floats

X = np.geomspace(1 / 8, 8, 7)


def drawn(generator: np.random.Generator, x: Floats = X, noise: float = 0.05) -> Floats:
    return 100 * (1 + 1 / x) * np.exp(noise * generator.standard_normal(len(x)))


def test_exact_data_give_the_parameters() -> None:
    """Without noise the fit returns A and C, and sets nothing aside."""
    law = hyperbola.fit(X, 100 * (1 + 1 / X))
    assert math.exp(law.a) == pytest.approx(100, rel=1e-6)
    assert math.exp(law.c) == pytest.approx(1, rel=1e-6)
    assert law.used.all()


def test_optimum_is_that_of_a_general_minimiser() -> None:
    """The zooming grid finds the same least squares as scipy from the truth."""
    y = drawn(np.random.default_rng(0), noise=0.2)
    law = hyperbola.fit(X, y)
    found = optimize.least_squares(
        lambda p: p[0] + np.log1p(np.exp(p[1]) / X) - np.log(y), [np.log(100), 0], xtol=1e-14
    )
    assert [law.a, law.c] == pytest.approx(list(found.x), abs=1e-5)
    # The best grid point is within 0.05 standard errors: 0.05^2 / 5 of the sum of squares.
    assert law.noise == pytest.approx(math.sqrt(2 * found.cost / 5), rel=5e-4)


def test_interval_ends_are_where_the_profile_f_test_says() -> None:
    """At an end of c's interval, refitting a alone raises the sum of squares by F s^2."""
    y = drawn(np.random.default_rng(1))
    law = hyperbola.fit(X, y)
    critical = distributions.f.ppf(0.95, 1, 5) * law.noise**2
    least = 5 * law.noise**2
    for end in law.interval_c(0.95):
        level = np.log(y) - np.log1p(math.exp(end) / X)
        raised = float(np.sum((level - level.mean()) ** 2)) - least
        assert raised == pytest.approx(critical, rel=0.01)


def test_interval_of_a_is_where_refitting_c_says() -> None:
    """At an end of a's interval, refitting c alone raises the sum of squares by F s^2."""
    y = drawn(np.random.default_rng(2))
    law = hyperbola.fit(X, y)
    critical = distributions.f.ppf(0.95, 1, 5) * law.noise**2
    for end in law.interval(0.95):
        best = optimize.minimize_scalar(
            lambda c, a=end: float(np.sum((np.log(y) - a - np.log1p(np.exp(c) / X)) ** 2)),
            bounds=(-3, 3),
            method="bounded",
        )
        assert best.fun - 5 * law.noise**2 == pytest.approx(critical, rel=0.02)


def test_censored_fit_is_the_maximum_of_the_likelihood() -> None:
    """With censored rows the fit maximises density times survival, as a general minimiser does."""
    generator = np.random.default_rng(0)
    x = X.repeat(3)
    y = drawn(generator, x, noise=0.1)
    censored = y > 500
    y = np.minimum(y, 500)
    law = hyperbola.fit(x, y, censored)

    def minus_log_likelihood(p: Floats) -> float:
        z = (np.log(y) - p[0] - np.log1p(np.exp(p[1]) / x)) / np.exp(p[2])
        density = distributions.norm.logpdf(z) - p[2]
        return -float(np.sum(np.where(censored, distributions.norm.logsf(z), density)))

    found = optimize.minimize(minus_log_likelihood, [4.6, 0, -2], method="BFGS")
    assert censored.any()
    assert law.used.all()
    assert [law.a, law.c] == pytest.approx(list(found.x[:2]), abs=2e-3)
    # The noise is scaled from the maximum's n to n - 2.
    rows = np.sum(~censored)
    assert law.noise == pytest.approx(math.exp(found.x[2]) * math.sqrt(rows / (rows - 2)), rel=0.01)


def test_censored_rows_are_not_dropped() -> None:
    """Dropping the censored rows of one size would move C by far more than keeping them."""
    generator = np.random.default_rng(4)
    x = X.repeat(3)
    moved = []
    for _ in range(40):
        y = drawn(generator, x, noise=0.2)
        censored = y > 850
        kept = hyperbola.fit(x, np.minimum(y, 850), censored)
        dropped = hyperbola.fit(x[~censored], y[~censored])
        moved.append((kept.c, dropped.c))
    bias = np.abs(np.mean(moved, axis=0))
    assert bias[0] < 0.05
    assert bias[1] > 2 * bias[0]


def test_misfit_between_sizes_widens_the_interval() -> None:
    """Where sizes scatter more than their seeds, more seeds do not narrow the interval."""
    generator = np.random.default_rng(5)
    off = np.exp(0.2 * generator.standard_normal(len(X)))
    widths = []
    for seeds in (1, 10):
        x = X.repeat(seeds)
        law = hyperbola.fit(x, drawn(generator, x, noise=0.01) * off.repeat(seeds))
        widths.append(np.diff(law.interval_c(0.95))[0])
        assert law.degrees == 5
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("factor", [3, 1 / 3])
def test_one_wrong_row_is_set_aside(at: int, factor: float) -> None:
    """A point wrong by a factor of 3, wherever it is, moves C by less than 25 %."""
    generator = np.random.default_rng(at)
    for _ in range(15):
        y = drawn(generator)
        wrong = y * np.where(np.arange(7) == at, factor, 1)
        law = hyperbola.fit(X, wrong)
        assert not law.used[at]
        assert law.used.sum() == 6
        assert math.exp(law.c - hyperbola.fit(X, y).c) == pytest.approx(1, abs=0.25)


def test_good_rows_are_seldom_set_aside() -> None:
    """Of 300 sweeps with 15 % noise, at most 4 % lose a row (1 % expected: Binomial's tail)."""
    generator = np.random.default_rng(6)
    lost = sum(not hyperbola.fit(X, drawn(generator, noise=0.15)).used.all() for _ in range(300))
    assert lost <= 12


def test_pure_powers_have_open_intervals() -> None:
    """y = 1 / x bears no upper end of C, and a constant no lower one; A C and A stay bounded."""
    noise = np.exp(0.05 * np.random.default_rng(7).standard_normal(7))
    steep = hyperbola.fit(X, noise / X)
    assert steep.interval_c(0.95)[1] == math.inf
    assert steep.interval(0.95)[0] == -math.inf
    assert np.isfinite(steep.interval(0.95, lambda c: c)).all()
    flat = hyperbola.fit(X, noise)
    assert flat.interval_c(0.95)[0] == -math.inf
    assert flat.interval(0.95, lambda c: c)[0] == -math.inf
    assert np.isfinite(flat.interval(0.95)).all()


def test_too_few_sizes_are_refused() -> None:
    """Two x cannot hold two parameters and the noise."""
    with pytest.raises(ValueError, match="three or more"):
        hyperbola.fit(X[:2], X[:2])
    with pytest.raises(ValueError, match="positive"):
        hyperbola.fit(X, -X)
