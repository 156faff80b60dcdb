"""Escapes from the double well, against the exact mean first-passage time and Kramers' law."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate

from bslib.noise import double_well as well


def exact_rate(batch_size: float) -> float:
    """One over the mean first-passage time, in steps, of the diffusion that SGD approximates.

    From the left minimum a to the right one c, at temperature T (Gardiner, Handbook of Stochastic
    Methods, chapter 5): (1/T) int_a^c exp(U(y)/T) int_{-inf}^y exp(-U(z)/T) dz dy.
    """
    temperature = well.LEARNING_RATE * well.DEVIATION**2 / (2 * batch_size)
    left, top, right = well.stationary_points()
    y = np.linspace(-2.5, right, 40_001)
    low, high = well.height(left), well.height(top)  # subtracted, against overflow
    inner = integrate.cumulative_trapezoid(
        np.exp(-(well.height(y) - low) / temperature), y, initial=0
    )
    inside = y >= left
    outer = np.exp((well.height(y[inside]) - high) / temperature) * inner[inside]
    time = integrate.trapezoid(outer, y[inside]) / temperature
    return well.LEARNING_RATE / (time * np.exp((high - low) / temperature))


def test_stationary_points_are_where_the_slope_is_zero() -> None:
    """Two minima and the barrier between them, by finite differences; the right one is lower."""
    left, top, right = well.stationary_points()
    step = 1e-4
    for x in (left, top, right):
        assert abs(well.height(x + step) - well.height(x - step)) / (2 * step) < 1e-7
    assert well.height(right) < well.height(left) < well.height(top)


def test_kramers_law_is_the_limit_of_many_examples() -> None:
    """The exact rate over Kramers' tends to 1 as the temperature falls, in proportion to it."""
    sizes = [30, 60, 120]
    kramers = well.kramers(sizes)["escape_rate"].to_numpy()
    gaps = 1 - np.array([exact_rate(size) for size in sizes]) / kramers
    assert 0 < gaps[2] < 0.02
    assert gaps[:-1] / gaps[1:] == pytest.approx([2, 2], rel=0.15)


def test_escapes_have_the_exact_rate() -> None:
    """Measured rates are the exact ones, within four standard errors and the step's own 5 %."""
    runs = well.escapes([0, 1], batch_sizes=[4, 8], particles=500)
    for size, group in runs.groupby("batch_size"):
        count = 500 * group["escaped"].sum()
        error = 4 / count**0.5 + 0.05  # of an exponential rate, relative
        assert group["escape_rate"].mean() == pytest.approx(exact_rate(size), rel=error)


def test_the_tilted_well_has_kramers_slope() -> None:
    """The slope of ln(rate) on B is Kramers', to a tenth: the law's own error at these sizes."""
    found = well.slope_over_kramers(well.escapes(range(4)))
    assert found.value == pytest.approx(1, abs=0.1)
    assert found.n == 4


def test_an_exact_exponential_has_slope_one() -> None:
    """Rates that follow the law itself give 1 with no width."""
    law = well.kramers()
    runs = pd.concat([law.assign(seed=seed) for seed in range(3)], ignore_index=True)
    found = well.slope_over_kramers(runs)
    assert (found.low, found.high) == pytest.approx((1, 1))


def test_no_escape_is_no_rate() -> None:
    """Where nothing escapes there is no logarithm, and the estimate is refused."""
    runs = well.escapes([0, 1], batch_sizes=[4, 6, 400], particles=20, steps=200)
    assert (runs.loc[runs["batch_size"] == 400, "escaped"] == 0).all()
    assert well.slope_over_kramers(runs).value is None


def test_seeds_decide_the_noise() -> None:
    """One seed gives one result, whatever other seeds and sizes are asked for; others differ."""
    one = well.escapes([7], batch_sizes=[4], particles=50, steps=300)["escape_rate"].item()
    more = well.escapes([8, 7], batch_sizes=[6, 4], particles=50, steps=300)
    again = more[(more["seed"] == 7) & (more["batch_size"] == 4)]["escape_rate"].item()
    assert one == again
    assert more["escape_rate"].nunique() == 4
