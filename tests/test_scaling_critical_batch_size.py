"""Fits of steps to target on data drawn from the law, and their refusals."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions

from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size
from bslib.scaling.noisy_quadratic import NoisyQuadratic

CRITICAL, MINIMAL = 200.0, 90.0


def sweep(
    generator: np.random.Generator,
    low: float = 1 / 8,
    high: float = 8,
    *,
    seeds: int = 1,
    sizes: int = 7,
    noise: float = 0.05,
) -> pd.DataFrame:
    """Draw a sweep from the law over low..high times the critical batch size."""
    size = (CRITICAL * np.geomspace(low, high, sizes)).repeat(seeds)
    steps = MINIMAL * (1 + CRITICAL / size) * np.exp(noise * generator.standard_normal(len(size)))
    seed = np.tile(np.arange(seeds), sizes)
    return pd.DataFrame({"batch_size": size, "seed": seed, "steps_to_target": steps})


@pytest.mark.parametrize(("seeds", "draws"), [(1, 400), (3, 250)])
def test_intervals_cover_and_values_are_close(seeds: int, draws: int) -> None:
    """Coverage is not significantly outside 0.93-0.97; B_crit is within 20 % in 95 % of draws.

    "Significantly": a binomial test at 1 % against the nearer of the two bounds.
    """
    generator = np.random.default_rng(seeds)
    covered = np.zeros(3)
    close = 0
    for _ in range(draws):
        fit = critical_batch_size.fit(sweep(generator, seeds=seeds))
        estimates = fit.critical_batch_size, fit.minimal_steps, fit.minimal_examples
        truths = CRITICAL, MINIMAL, CRITICAL * MINIMAL
        covered += [e.low <= t <= e.high for e, t in zip(estimates, truths, strict=True)]
        close += abs((fit.critical_batch_size.value or 0) / CRITICAL - 1) < 0.2
    assert close >= 0.95 * draws
    assert (distributions.binom.cdf(covered, draws, 0.93) > 0.01).all()
    assert (distributions.binom.sf(covered - 1, draws, 0.97) > 0.01).all()


@pytest.mark.parametrize("sizes", [4, 7])
@pytest.mark.parametrize(("low", "high"), [(1 / 64, 0.5), (1 / 16, 1 / 4), (2, 128), (4, 16)])
def test_sweeps_beside_the_bend_are_refused(low: float, high: float, sizes: int) -> None:
    """Ranges that end below B_crit / 2 or begin above 2 B_crit get no value, 95 % of the time."""
    generator = np.random.default_rng(8)
    refused = 0
    for _ in range(60):
        fit = critical_batch_size.fit(sweep(generator, low, high, sizes=sizes))
        refused += fit.critical_batch_size.value is None
        if fit.critical_batch_size.value is None:
            reason = fit.critical_batch_size.reason
            assert "does not span the bend" in reason or "do not grow" in reason
    assert refused >= 57


def test_unbounded_or_wide_intervals_carry_no_value() -> None:
    """Whatever the noise, an interval with an infinite end or over tenfold has no value."""
    generator = np.random.default_rng(9)
    wide = 0
    for noise in np.linspace(0.05, 0.8, 60):
        estimate = critical_batch_size.fit(sweep(generator, noise=noise)).critical_batch_size
        if estimate.high > 10 * estimate.low:
            wide += 1
            assert estimate.value is None
            assert estimate.reason
    assert wide > 10


def test_a_refusal_still_bounds_from_below() -> None:
    """A sweep that ends before the bend says what B_crit is at least, and gives E_min."""
    fit = critical_batch_size.fit(sweep(np.random.default_rng(0), 1 / 64, 1 / 4))
    assert fit.critical_batch_size.value is None
    assert 0 < fit.critical_batch_size.low < CRITICAL
    assert fit.minimal_steps.value is None
    assert fit.minimal_examples.value == pytest.approx(CRITICAL * MINIMAL, rel=0.2)


def test_examples_that_do_not_grow_are_refused_by_name() -> None:
    """Perfect scaling to the end, and examples that fall, are told from a short sweep."""
    runs = sweep(np.random.default_rng(0), noise=0.01)
    perfect = runs.assign(steps_to_target=1e5 / runs["batch_size"] ** 1.01)
    reason = critical_batch_size.fit(perfect).critical_batch_size.reason
    assert "do not grow" in reason
    assert "lies beyond" in reason
    dip = np.where(runs["batch_size"] > 500, 0.3, 1.0)
    falling = runs.assign(steps_to_target=runs["steps_to_target"] * dip)
    fit = critical_batch_size.fit(falling)
    assert "do not grow" in fit.critical_batch_size.reason
    assert "they fall by" in fit.critical_batch_size.reason
    assert fit.minimal_steps.value is None


def test_one_point_wrong_by_three_moves_little() -> None:
    """B_crit moves by less than 25 %, and the table shows the point as set aside."""
    generator = np.random.default_rng(10)
    for at in range(7):
        runs = sweep(generator)
        clean = critical_batch_size.fit(runs).critical_batch_size.value
        wrong = runs.copy()
        wrong.loc[at, "steps_to_target"] *= 3
        fit = critical_batch_size.fit(wrong)
        assert clean is not None
        assert fit.critical_batch_size.value == pytest.approx(clean, rel=0.25)
        assert list(fit.residuals.index[fit.residuals["set_aside"]]) == [at]


def test_missing_steps_are_lower_bounds() -> None:
    """A training that stopped at the cap counts as "more than that", not as that."""
    runs = sweep(np.random.default_rng(11), seeds=3)
    cap = 600.0
    reached = runs["steps_to_target"] <= cap
    capped = runs.assign(
        steps=np.minimum(runs["steps_to_target"], cap),
        steps_to_target=runs["steps_to_target"].where(reached),
    )
    fit = critical_batch_size.fit(capped)
    assert fit.residuals["censored"].sum() == (~reached).sum() > 0
    assert fit.critical_batch_size.value == pytest.approx(CRITICAL, rel=0.2)
    naive = critical_batch_size.fit(capped.assign(steps_to_target=capped["steps"]))
    assert (naive.critical_batch_size.value or math.inf) < 0.9 * fit.critical_batch_size.value


def test_predictions_are_the_law() -> None:
    """steps(B) and examples(B) are A6's two forms, with intervals that narrow with the level."""
    fit = critical_batch_size.fit(sweep(np.random.default_rng(12), noise=1e-6))
    steps, examples = fit.steps(300), fit.examples(300)
    assert steps.value == pytest.approx(MINIMAL * (1 + CRITICAL / 300), rel=1e-4)
    assert examples.value == pytest.approx(300 * (steps.value or 0), rel=1e-9)
    noisy = critical_batch_size.fit(sweep(np.random.default_rng(13)))
    for estimate in (noisy.critical_batch_size, noisy.minimal_steps, noisy.steps(300)):
        narrow = estimate.at(0.5)
        assert narrow.value == estimate.value
        assert estimate.low < narrow.low < narrow.high < estimate.high
        assert estimate.at(1 - 0.05 / 24).high > estimate.high


def test_noisy_quadratic_follows_the_law_to_some_percent() -> None:
    """On exact steps of the noisy quadratic model the fit gives B_crit 31 to within 10 %."""
    model = NoisyQuadratic.power_law()
    sizes = 4.0 ** np.arange(8)
    steps = [model.fewest_steps(0.1 * model.initial_risk, size)[0] for size in sizes]
    runs = pd.DataFrame({"batch_size": sizes, "seed": 0, "steps_to_target": steps})
    fit = critical_batch_size.fit(runs)
    assert fit.critical_batch_size.value == pytest.approx(31, rel=0.1)
    assert 0.01 < fit.max_relative_error < 0.08


def test_tables_that_cannot_be_fitted_are_refused() -> None:
    """A missing column, a row without steps, and two batch sizes each say what to do."""
    runs = sweep(np.random.default_rng(0))
    with pytest.raises(Refusal, match="seed"):
        critical_batch_size.fit(runs.drop(columns="seed"))
    lacking = runs.assign(steps_to_target=runs["steps_to_target"].where(runs.index != 2))
    with pytest.raises(Refusal, match="neither"):
        critical_batch_size.fit(lacking)
    with pytest.raises(Refusal, match="needs three"):
        critical_batch_size.fit(runs[:2])
