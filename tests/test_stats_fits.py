"""Lines and power laws against scipy and exact laws, and what they refuse."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as oracle

from bslib import stats

X = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
NOISE = np.array([0.03, -0.05, 0.01, 0.04, -0.02])


def test_line_is_scipys_regression() -> None:
    """Slope, intercept and both standard errors equal those of an independent library."""
    y = 1 + 0.2 * X + NOISE
    found, want = stats.straight_line(X, y), oracle.linregress(X, y)
    t = oracle.t.ppf(0.975, 3)
    assert found.slope.value == pytest.approx(want.slope, rel=1e-12)
    assert found.intercept.value == pytest.approx(want.intercept, rel=1e-12)
    assert found.slope.high - want.slope == pytest.approx(t * want.stderr, rel=1e-9)
    assert found.intercept.high - want.intercept == pytest.approx(
        t * want.intercept_stderr, rel=1e-9
    )
    assert found.residuals == pytest.approx(y - want.intercept - want.slope * X, abs=1e-14)
    assert found.predict(X) == pytest.approx(y - found.residuals, rel=1e-12)


def test_weights_are_those_of_polyfit() -> None:
    """Weights stand for one over the variance: numpy's, squared; the errors too."""
    y, weights = 1 + 0.2 * X + NOISE, 1 / X
    (slope, intercept), covariance = np.polyfit(X, y, 1, w=np.sqrt(weights), cov=True)
    found = stats.straight_line(X, y, weights=weights)
    assert (found.slope.value, found.intercept.value) == pytest.approx(
        (slope, intercept), rel=1e-10
    )
    half = oracle.t.ppf(0.975, 3) * math.sqrt(covariance[0, 0])
    assert found.slope.high - slope == pytest.approx(half, rel=1e-8)


def test_only_ratios_of_weights_matter() -> None:
    """Weights in another unit change nothing beyond rounding."""
    one, other = (stats.slope(X, NOISE, weights=scale / X) for scale in (1.0, 1e6))
    assert (one.value, one.low, one.high) == pytest.approx(
        (other.value, other.low, other.high), rel=1e-12
    )


def test_power_law_finds_its_exponent() -> None:
    """An exact power law comes back exactly, with nothing left over."""
    fit = stats.power_law(X, 3 * X**-0.5)
    assert fit.slope.value == pytest.approx(-0.5, rel=1e-13)
    assert fit.intercept.value == pytest.approx(math.log(3), rel=1e-13)
    assert fit.residuals == pytest.approx(np.zeros(5), abs=1e-14)
    assert fit.predict([100.0]) == pytest.approx([0.3], rel=1e-12)


def test_two_points_have_a_slope_and_no_interval() -> None:
    """Two points leave no residuals: a value, unbounded, with the reason, at any level."""
    found = stats.slope([1, 3], [1, 2])
    assert found.value == pytest.approx(0.5)
    for each in (found, found.at(0.5)):
        assert (each.low, each.high) == (-math.inf, math.inf)
        assert "two points" in each.reason


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([2, 2, 2], [1, 2, 3], "two distinct x, and there are 1"),
        ([], [], "there are 0"),
        ([1, 2, math.nan], [1, 2, 3], "1 of 3 x not finite (at 2)"),
        ([1, 2, 3], [1, math.inf, 3], "1 of 3 y not finite (at 1)"),
    ],
)
def test_points_that_make_no_line_are_refused(x: list, y: list, reason: str) -> None:
    """Too few distinct x, or an entry that is not finite: refused with the reason."""
    fit = stats.straight_line(x, y)
    assert fit.slope.value is None
    assert reason in fit.slope.reason
    assert fit.intercept == fit.slope
    assert np.isnan(fit.predict([1.0])).all()


def test_power_law_refuses_what_has_no_logarithm() -> None:
    """A zero is refused without a warning, and not dropped."""
    found = stats.power_law([1, 2, 0], [1, 0, -1])
    assert found.slope.reason == (
        "1 of 3 x not positive: no logarithm; 2 of 3 y not positive: no logarithm"
    )


def test_mistakes_of_the_caller_are_errors() -> None:
    """Unequal lengths and weights that are not positive raise."""
    with pytest.raises(ValueError, match="differ in length: 2, 3, 2"):
        stats.straight_line([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="positive and finite"):
        stats.slope([1, 2, 3], [1, 2, 3], weights=[1, 0, 1])


def frame(slopes: dict[int, float]) -> pd.DataFrame:
    rows = [{"seed": s, "batch_size": b, "sd": b**p} for s, p in slopes.items() for b in X]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


SLOPES = {3: -0.52, 1: -0.47, 2: -0.55}


def test_slope_by_seed_is_students_t_of_the_seeds_slopes() -> None:
    """Each seed gives one exponent; the interval is that of their mean."""
    found = stats.exponent(frame(SLOPES), x="batch_size", y="sd")
    want = stats.mean(list(SLOPES.values()))
    assert (found.value, found.low, found.high) == pytest.approx(
        (want.value, want.low, want.high), rel=1e-9
    )
    assert found.n == 3


def test_slopes_are_listed_by_seed() -> None:
    """The table has a row a seed with its slope and how many points are behind it."""
    found = stats.slopes_by_seed(frame(SLOPES), x="batch_size", y="sd", law="power")
    assert found["seed"].tolist() == [1, 2, 3]
    assert found["slope"].tolist() == pytest.approx([-0.47, -0.55, -0.52], rel=1e-10)
    assert found["points"].tolist() == [5, 5, 5]


def test_slope_per_doubling() -> None:
    """A value that grows by 2 with each doubling of x has slope 2."""
    data = pd.DataFrame({"seed": np.repeat([0, 1], 5), "batch_size": np.tile(X, 2)})
    data["accuracy"] = 70 + 2 * np.log2(data["batch_size"])
    found = stats.slope_by_seed(data, x="batch_size", y="accuracy", law="doubling")
    assert found.value == pytest.approx(2.0, rel=1e-12)
    data["batch_size"] = 0
    refused = stats.slope_by_seed(data, x="batch_size", y="accuracy", law="doubling")
    assert "not positive" in refused.reason


def test_a_seed_without_a_slope_refuses_all_and_is_named() -> None:
    """One diverged seed is not left out silently."""
    data = frame(SLOPES)
    data.loc[data["seed"] == 2, "sd"] = math.nan
    found = stats.exponent(data, x="batch_size", y="sd")
    assert found.value is None
    assert found.reason.startswith("1 of 3 seeds have no slope; seed 2: 5 of 5 y not finite")


def test_exponents_by_group_keep_their_order() -> None:
    """One exponent a group, named by the group, in order of appearance."""
    data = pd.concat([frame(SLOPES).assign(rule=rule) for rule in ("late", "early")])
    found = stats.exponents(data, x="batch_size", y="sd", by="rule")
    assert list(found) == ["late", "early"]
    assert found["late"] == stats.exponent(data[data.rule == "late"], x="batch_size", y="sd")


def test_summaries_are_means_by_group() -> None:
    """Each group's row is the mean over its rows, geometric on request."""
    data = pd.DataFrame({"size": [8, 8, 4, 4], "loss": [1.0, 4.0, 2.0, 2.0]})
    plain = stats.summarize(data, y="loss", by=["size"])
    assert plain["size"].tolist() == [8, 4]
    assert plain["loss"].tolist() == [2.5, 2.0]
    assert plain["n"].tolist() == [2, 2]
    logs = stats.summarize(data, y="loss", by=["size"], log=True)
    assert logs["loss"].tolist() == pytest.approx([2.0, 2.0], rel=1e-14)
    want = stats.mean(np.log([1.0, 4.0]))
    assert math.log(logs["high"][0]) == pytest.approx(want.high, rel=1e-12)


def test_a_group_that_cannot_be_averaged_stays_in_the_summary() -> None:
    """A zero under logarithms keeps its row, without a value and with the reason."""
    data = pd.DataFrame({"size": [8, 8, 4, 4], "loss": [0.0, 4.0, 2.0, 3.0]})
    found = stats.summarize(data, y="loss", by=["size"], log=True)
    assert math.isnan(found["loss"][0])
    assert found["reason"].tolist() == ["1 of 2 values not positive: no logarithm", ""]


def test_table_shows_reasons_only_where_there_are_any() -> None:
    """Estimates by name, one row each; a refused one is shown, not left out."""
    good = stats.table({"a": stats.mean([1, 2, 3])})
    assert list(good.columns) == ["estimate", "low", "high", "level", "n"]
    mixed = stats.table({"a": stats.mean([1, 2, 3]), "b": stats.refused("edge of the grid")})
    assert mixed.loc["b", "reason"] == "edge of the grid"
    assert math.isnan(mixed.loc["b", "estimate"])
