"""Jackknife and studentised bootstrap against closed forms, and what they refuse."""

import math

import numpy as np
import pytest

from bslib import stats

ROWS = np.random.default_rng(3).lognormal(size=12)


def stacked_mean(stack: np.ndarray) -> np.ndarray:
    return stack.mean(axis=1)


def test_jackknife_of_the_mean_is_students_t() -> None:
    """For the mean the jackknife has a closed form: Student's interval."""
    found, want = stats.jackknife(np.mean, ROWS), stats.mean(ROWS)
    assert found.value == pytest.approx(want.value, rel=1e-14)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), rel=1e-10)


def test_jackknife_error_of_a_square() -> None:
    """For s = mean^2 the leave-one-out values are known, and so is their spread."""
    count, middle = len(ROWS), ROWS.mean()
    left_out = ((count * middle - ROWS) / (count - 1)) ** 2
    error = math.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum())
    found = stats.jackknife(lambda rows: rows.mean() ** 2, ROWS)
    # 2.2010 is Student's 97.5 % quantile at 11 degrees of freedom, to four decimals.
    assert (found.high - found.low) / 2 == pytest.approx(2.2010 * error, rel=3e-5)


def test_jackknife_leaves_out_rows_and_columns_through_indices() -> None:
    """Row numbers as rows serve a Gram matrix: the trace of v v' is that of v^2."""
    gram = np.outer(ROWS, ROWS)

    def trace(kept: np.ndarray) -> float:
        return np.trace(gram[np.ix_(kept, kept)]) / len(kept)

    found, want = stats.jackknife(trace, range(12)), stats.mean(ROWS**2)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), rel=1e-10)


def test_bootstrap_follows_its_seed() -> None:
    """One seed gives one interval, another seed another."""
    first, again = (stats.bootstrap_t(stacked_mean, ROWS, seed=1) for _ in range(2))
    assert first == again
    assert stats.bootstrap_t(stacked_mean, ROWS, seed=2) != first


def test_bootstrap_leaves_the_global_generator_alone() -> None:
    """Nobody else's random numbers change."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    stats.bootstrap_t(stacked_mean, ROWS, seed=1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_bootstrap_reaches_further_up_on_skewed_data() -> None:
    """Right-skewed data stretch the interval to the right: what Student's t cannot do."""
    found = stats.bootstrap_t(stacked_mean, ROWS, seed=0)
    assert found.value is not None
    assert found.high - found.value > 1.2 * (found.value - found.low)


def test_bootstrap_is_students_t_on_much_normal_data() -> None:
    """With 60 normal rows the interval's width is Student's within the draws' own noise.

    The 2.5 % quantile of 1,999 ratios has a relative standard error of 3 %; two ends
    and the data's own kurtosis leave 12 % as four standard errors.
    """
    rows = np.random.default_rng(0).normal(size=60)
    found, want = stats.bootstrap_t(stacked_mean, rows, seed=0), stats.mean(rows)
    assert found.high - found.low == pytest.approx(want.high - want.low, rel=0.12)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resamples worked through in many small parts give the same interval."""
    whole = stats.bootstrap_t(stacked_mean, ROWS, seed=1)
    monkeypatch.setattr("bslib.stats.resampling._ENTRIES_AT_ONCE", 1_000)
    assert stats.bootstrap_t(stacked_mean, ROWS, seed=1) == whole


def test_too_few_draws_for_a_level_say_so() -> None:
    """A quantile that the draws do not reach is infinite, and given as the reason."""
    found = stats.bootstrap_t(stacked_mean, ROWS, seed=0, draws=399).at(1 - 0.05 / 24)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "too few for this level" in found.reason


def test_identical_rows_have_a_point_as_interval() -> None:
    """Without spread there is nothing to resample: both methods give the point."""
    for found in (
        stats.jackknife(np.mean, [2.0] * 5),
        stats.bootstrap_t(stacked_mean, [2.0] * 5, seed=0),
    ):
        assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("method", ["jackknife", "bootstrap"])
def test_rows_that_cannot_serve_are_refused(method: str) -> None:
    """Not finite, none, or an undefined statistic: refused with the reason."""

    def run(rows: list[float], statistic: object = None) -> stats.Estimate:
        if method == "jackknife":
            return stats.jackknife(np.mean if statistic is None else lambda rows: math.nan, rows)
        undefined = lambda stack: np.full(len(stack), math.nan)  # noqa: E731
        return stats.bootstrap_t(stacked_mean if statistic is None else undefined, rows, seed=0)

    assert "not finite" in run([1.0, math.inf, 2.0]).reason
    assert "no rows" in run([]).reason
    assert "statistic of all rows is nan" in run([1.0, 2.0, 4.0], "undefined").reason
    one = run([1.0])
    assert one.value == 1.0
    assert (one.low, one.high) == (-math.inf, math.inf)


def test_jackknife_names_the_row_it_cannot_do_without() -> None:
    """A statistic undefined without one row keeps its value and loses its interval."""
    found = stats.jackknife(lambda rows: 1 if rows.sum() else math.nan, [1.0, 0.0, 0.0])
    assert found.value == 1.0
    assert found.high == math.inf
    assert "without row 0" in found.reason
