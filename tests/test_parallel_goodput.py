"""Goodput against what it was drawn from: steps, step times and their product."""

import math

import numpy as np
import pandas as pd
import pytest

from bslib.parallel import goodput
from bslib.parallel.cost_model import NETWORKS, CostModel
from bslib.parallel.timing import measure
from bslib.scaling import Sweep

SIZES = [4, 16, 64, 256, 1024]
CRITICAL, HALF = 100.0, 60.0


def steps_at(size: float) -> float:
    return 50 * (1 + CRITICAL / size)


def time_at(size: float) -> float:
    return 1e-6 * (HALF + size)


def runs(noise: float = 0.0, first: int = 0, seeds: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(first)
    rows = [
        (size, seed, steps_at(size) * math.exp(noise * random.standard_normal()), 0.1)
        for size in SIZES
        for seed in range(first, first + seeds)
    ]
    return pd.DataFrame(rows, columns=["batch_size", "seed", "steps_to_target", "learning_rate"])


def times(noise: float = 0.0, rounds: int = 30) -> pd.DataFrame:
    random = np.random.default_rng(7)
    rows = [
        (size, each, time_at(size) * math.exp(noise * random.standard_normal()))
        for size in SIZES
        for each in range(rounds)
    ]
    return pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s"])


def expected(best: int = 64, largest: int = 1024) -> float:
    return math.log(steps_at(best) * time_at(best) / (steps_at(largest) * time_at(largest)))


def test_exact_tables_give_the_logarithm_of_times_to_target() -> None:
    """Without noise the arm is ln T(best) - ln T(largest), with an interval of no width."""
    found = goodput.largest_over_best(runs(), runs(first=1000), times())
    assert found.value == pytest.approx(expected(), rel=1e-12)
    assert found.high - found.low < 1e-12
    assert found.at(0.99).value == found.value


def test_the_interval_covers_under_noise() -> None:
    """At 5 % noise in both factors, nine in ten of 60 intervals or more hold the truth.

    At 95 % coverage fewer than 54 of 60 have a probability of 3 %; the sum covers more.
    """
    held = 0
    for draw in range(60):
        reruns = runs(0.05, first=1000 + 10 * draw)
        found = goodput.largest_over_best(runs(0.05, first=10 * draw), reruns, times(0.05))
        held += found.low <= expected() <= found.high
    assert held >= 54


def test_the_best_is_chosen_on_other_seeds_and_rounds() -> None:
    """Luck in what is compared makes no size the best; what chose is not compared."""
    reruns = runs(first=1000)
    reruns.loc[reruns["batch_size"] == 16, "steps_to_target"] /= 100
    timed = times()
    lucky = (timed["batch_size"] == 16) & (timed["round"] % 2 == 0)
    timed.loc[lucky, "step_time_s"] /= 100
    choosing = (timed["batch_size"] == 1024) & (timed["round"] % 2 == 1)
    timed.loc[choosing, "step_time_s"] *= 100
    found = goodput.largest_over_best(runs(), reruns, timed)
    assert found.value == pytest.approx(expected(), rel=1e-12)


def test_a_largest_size_without_a_rate_is_refused() -> None:
    """The claim is about the largest batch: a smaller one does not take its place."""
    reruns = runs(first=1000)
    found = goodput.largest_over_best(runs(), reruns[reruns["batch_size"] < 1024], times())
    assert found.value is None
    assert "1,024" in found.reason


def test_goodput_is_throughput_where_examples_keep_their_worth() -> None:
    """At the smallest batch the two are one, and at any other E_min / E(B) apart."""
    table = goodput.measured(runs(), times()).set_index(["method", "batch_size"])["examples_per_s"]
    for size in SIZES:
        worth = 4 * steps_at(4) / (size * steps_at(size))
        assert table[goodput.ALL, size] == pytest.approx(size / time_at(size))
        assert table[goodput.USEFUL, size] == pytest.approx(table[goodput.ALL, size] * worth)


def test_efficiencies_are_by_the_whole_batch() -> None:
    """Two workers with b each share a batch of 2 b; the exponent is that of the ratio."""
    rows = [
        (size, workers, each, 1e-3 if workers == 1 else 1e-3 / (0.1 * size**0.25))
        for size in (8, 32, 128)
        for workers in (1, 2)
        for each in range(4)
    ]
    steps = pd.DataFrame(rows, columns=["local_batch_size", "world_size", "round", "step_time_s"])
    assert sorted(goodput.efficiencies(steps)["batch_size"].unique()) == [16, 64, 256]
    found = goodput.arms(steps, runs(), runs(first=1000), times())["throughput"]
    assert found.value == pytest.approx(0.25, rel=1e-9)


def test_the_grid_is_kept_at_the_rates_that_won() -> None:
    """Neither other rates nor sizes that were not tuned are left."""
    grid = pd.concat([runs(), runs().assign(learning_rate=0.2)]).assign(role="grid")
    winners = pd.DataFrame({"batch_size": SIZES, "learning_rate": 0.1, "outcome": "tuned"})
    winners.loc[0, "outcome"] = "edge"
    kept = goodput.at_tuned_rates(Sweep(grid, winners))
    assert set(kept["batch_size"]) == set(SIZES[1:])
    assert set(kept["learning_rate"]) == {0.1}


def test_drawn_goodput_has_its_top_at_the_geometric_mean() -> None:
    """One worker's top is at sqrt(B_crit B_half); more workers only move it upwards."""
    model = CostModel(1e-6 * HALF, 1e-6, 30_000, NETWORKS[0])
    table = goodput.drawn(model, runs(first=1000), NETWORKS[0], workers=(1, 4, 16))
    tops = table.loc[table.groupby("workers", sort=False)["goodput"].idxmax(), "batch_size"]
    spacing = 1024 ** (1 / 79)
    ratio = tops.iloc[0] / math.sqrt(CRITICAL * HALF)
    assert 1 / spacing <= ratio <= spacing
    assert tops.is_monotonic_increasing


def test_no_law_draws_nothing() -> None:
    """Two batch sizes make no law of examples; the figure stays empty and does not fail."""
    few = runs(first=1000)
    model = CostModel(1e-4, 1e-6, 30_000, NETWORKS[0])
    assert goodput.drawn(model, few[few["batch_size"] < 64], NETWORKS[0]).empty


def test_workers_started_once_time_steps_and_messages() -> None:
    """Both tables of real workers: every size and message in every round."""
    steps, messages = measure("mnist1d", [4, 8], [4, 4_096], rounds=2, seed=0, examples=64)
    assert steps.groupby(["local_batch_size", "world_size"]).size().tolist() == [2, 2, 2, 2]
    assert messages.groupby("bytes")["round"].apply(list).tolist() == [[0, 1], [0, 1]]
    assert (steps["step_time_s"] > 0).all()
    assert (messages["seconds"] > 0).all()
