"""Exponents of steps and seconds over parts of a sweep, on tables made from the laws."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from bslib import data
from bslib.scaling import local_exponents, regimes
from bslib.scaling.protocol import Sweep

SIZES = [1, 2, 4, 16, 64, 256, 1024, 2048, 8192]
CRITICAL, FEWEST = 70.0, 20.0
FIXED, RATE = 1e-4, 1e6  # of the step time; B_half is 100


def steps(size: float) -> float:
    return FEWEST * (1 + CRITICAL / size)


def runs(sizes: Sequence[int], seeds: int, rate: float = 0.1, sd: float = 0.0) -> pd.DataFrame:
    noise = np.random.default_rng(seeds).normal(0, sd, (len(sizes), seeds))
    rows = [
        (size, seed, rate, steps(size) * math.exp(noise[at, seed]))
        for at, size in enumerate(sizes)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["batch_size", "seed", "learning_rate", "steps_to_target"])


def winners(sizes: Sequence[int] = SIZES, **outcomes: str) -> pd.DataFrame:
    found = [outcomes.get(f"b{size}", "tuned") for size in sizes]
    return pd.DataFrame({"batch_size": sizes, "learning_rate": 0.1, "outcome": found})


def times(sizes: Sequence[int] = SIZES, rounds: int = 30) -> pd.DataFrame:
    rows = [(size, each, FIXED + size / RATE) for size in sizes for each in range(rounds)]
    return pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s"])


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def test_arms_are_the_slopes_of_their_own_sizes() -> None:
    """On exact laws every arm is the least-squares slope over the sizes it names."""
    found = regimes.arms(runs(SIZES, 3), runs(SIZES, 4), winners(), times())
    seconds = {size: steps(size) * (FIXED + size / RATE) for size in SIZES}
    fastest = min(seconds, key=lambda size: seconds[size])
    below = [size for size in SIZES if size <= fastest]
    above = [size for size in SIZES if size >= fastest]
    expected = [
        slope([1, 2, 4], [steps(size) for size in (1, 2, 4)]),
        slope([2048, 8192], [steps(size) for size in (2048, 8192)]),
        slope(below, [seconds[size] for size in below]),
        slope(above, [seconds[size] for size in above]),
    ]
    assert [each.value for each in found.values()] == pytest.approx(expected, rel=1e-6)


def test_where_the_bend_lies_is_not_read_from_the_reruns() -> None:
    """Reruns that contradict the grid move the exponents and not the sizes that they are of."""
    reruns = runs(SIZES, 3)
    reruns["steps_to_target"] = 1_000 / reruns["batch_size"]
    found = regimes.arms(runs(SIZES, 3), reruns, winners(), times())
    assert found["steps at small batches"].value == pytest.approx(-1)
    assert found["steps at large batches"].value == pytest.approx(-1)


def test_a_size_that_is_not_tuned_decides_its_arm_alone() -> None:
    """An edge at a batch of 2 refuses both arms over it, and says edge; the others stand."""
    found = regimes.arms(runs(SIZES, 3), runs(SIZES, 3), winners(b2="edge"), times())
    for name in ("steps at small batches", "seconds below the fastest batch size"):
        assert found[name].value is None
        assert found[name].reason.startswith("edge: batch size 2")
    assert found["steps at large batches"].value is not None
    assert found["seconds above the fastest batch size"].value is not None


def test_nothing_tuned_is_a_finding_and_no_error() -> None:
    """Without a tuned size all four arms are refused, each with a reason."""
    untuned = winners([4, 8], b4="unreached", b8="edge")
    empty = runs([4, 8], 2).iloc[:0]
    found = regimes.arms(runs([4, 8], 2), empty, untuned, times([4, 8]))
    assert all(each.value is None and each.reason for each in found.values())


def test_the_interval_of_seconds_holds_both_parts() -> None:
    """Its half width is the root of the sum of squares of the steps' and the step time's."""
    noisy = times(rounds=40)
    rounds = np.random.default_rng(1).normal(0, 0.2, len(noisy))
    noisy["step_time_s"] *= np.exp(rounds)
    reruns, sizes = runs(SIZES, 5, sd=0.1), [1, 4, 16]
    whole = local_exponents.of_seconds(reruns, winners(), noisy, sizes)
    parts = (
        local_exponents.of_steps(reruns, winners(), sizes),
        local_exponents.of_step_time(noisy, sizes),
    )
    assert None not in (whole.value, parts[0].value, parts[1].value)
    up = [part.high - (part.value or 0.0) for part in parts]
    assert whole.high - (whole.value or 0.0) == pytest.approx(math.hypot(*up))


def test_step_times_of_a_busy_machine_change_little() -> None:
    """Half of the rounds, made slower fifty times, leave the exponent of the step time alone."""
    sizes = [1, 64, 1024]
    busy = times(sizes, rounds=40)
    busy.loc[busy["round"].isin(range(20)) & (busy["batch_size"] == 1), "step_time_s"] *= 50
    expected = local_exponents.of_step_time(times(sizes), sizes).value
    assert local_exponents.of_step_time(busy, sizes).value == pytest.approx(expected)


def test_few_rounds_bound_nothing() -> None:
    """A quartile of 12 values has no lower bound at 95 %: 0.75^12 is above 0.025; of 13 it has."""
    few = local_exponents.of_step_time(times(rounds=24), [1, 64])
    assert (few.low, few.high) == (-math.inf, math.inf)
    assert few.reason
    enough = local_exponents.of_step_time(times(rounds=26), [1, 64])
    assert enough.low == pytest.approx(enough.high)
    assert enough.at(0.999).high == math.inf


def test_the_step_time_s_interval_covers() -> None:
    """Of 1,000 skewed timings 95 % or more hold the quartiles' own exponent."""
    generator = np.random.default_rng(4)
    sizes, hits = [1, 8, 64], 0
    frame = times(sizes, rounds=40)
    for _ in range(1_000):
        noisy = frame.assign(step_time_s=frame["step_time_s"] * generator.exponential(size=120))
        found = local_exponents.of_step_time(noisy, sizes)
        hits += found.low <= slope(sizes, [FIXED + size / RATE for size in sizes]) <= found.high
    assert hits / 1_000 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 1_000)


def test_the_fastest_size_comes_from_every_other_round() -> None:
    """The rounds between, which the exponents are made of, do not choose."""
    skewed = times()
    skewed.loc[skewed["round"] % 2 == 1, "step_time_s"] = 1.0 / skewed["batch_size"]
    chosen = local_exponents.fastest(runs(SIZES, 2), winners(), skewed)
    assert chosen == local_exponents.fastest(runs(SIZES, 2), winners(), times()) == 64


def test_curves_meet_the_law_at_its_ends() -> None:
    """Both straight lines are below the law, and a sixteenth of a bend away nearly on it."""
    found = regimes.of(runs([1, 4, 64, 1024, 4096], 2))
    table = found.curves.pivot(index="batch_size", columns="regime", values="steps_to_target")
    law = table[regimes.LAW]
    assert (table[regimes.IN_PROPORTION] < law).all()
    assert (table[regimes.FLOOR] < law).all()
    first, last = table.iloc[0], table.iloc[-1]
    assert first[regimes.IN_PROPORTION] / law.iloc[0] == pytest.approx(70 / 71, rel=1e-4)
    assert last[regimes.FLOOR] / law.iloc[-1] == pytest.approx(4096 / 4166, rel=1e-4)
    assert found.critical_batch_size.value == pytest.approx(CRITICAL, rel=1e-4)


def test_a_second_task_is_shown_beside_and_may_be_none() -> None:
    """No second task leaves a table of the first alone; one adds rows under its own name."""
    first = runs([4, 16, 64], 2).assign(task="mnist1d")
    none = regimes.second("", examples=64, batch_sizes=[4], seed=0, seeds=2, device="cpu")
    assert set(regimes.beside(first, none)["task"]) == {"mnist1d"}
    assert list(regimes.critical_sizes(first, none)) == ["critical batch size, mnist1d"]
    both = regimes.beside(first, first.assign(task="digits"))
    assert list(both["task"].unique()) == ["mnist1d", "digits"]


@pytest.fixture(scope="module")
def swept() -> Sweep:
    """Return a small real sweep."""
    settings = {"examples": 256, "batch_sizes": [16, 64], "seed": 3, "seeds": 4}
    return regimes.sweep("digits", value=1.2, device="cpu", **settings)


def test_sweep_tunes_on_three_seeds_and_trains_on_all(swept: Sweep) -> None:
    """The grid has three seeds, the reruns as many as asked for, and no seed is in both."""
    assert swept.grid["seed"].nunique() == regimes.GRID_SEEDS
    assert swept.reruns.groupby("batch_size")["seed"].nunique().tolist() == [4, 4]
    assert set(swept.grid["seed"]).isdisjoint(swept.reruns["seed"])


def test_a_network_is_trained_to_the_target(swept: Sweep) -> None:
    """Its validation loss is down to the target; without a tuned size it is that of the start."""
    task = data.load("digits", examples=256, seed=3)
    nothing = Sweep(swept.runs, swept.winners.assign(outcome="edge"))
    losses = []
    for each in (swept, nothing):
        network = regimes.trained(task, each, 1.2, seed=3)
        with torch.no_grad():
            outputs = network(task.validation.inputs)
        losses.append(task.loss(outputs, task.validation.targets).mean().item())
    assert losses[0] <= 1.2 < losses[1]


def test_second_sweep_spreads_its_sizes() -> None:
    """Of a dense list those at least fourfold apart are kept, from the smallest on."""
    found = regimes.second(
        "digits", examples=256, batch_sizes=[16, 32, 64, 2048], seed=1, seeds=2, device="cpu"
    )
    assert sorted(found["batch_size"].unique()) == [16, 64]
    assert set(found["task"]) == {"digits"}
