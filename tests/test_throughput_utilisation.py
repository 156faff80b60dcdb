"""Utilisation: operations counted, the ridge by its closed form, ratios within a round."""

import numpy as np
import pandas as pd
import pytest
import torch

from bslib.throughput import utilisation

WIDTH, DEPTH, ITEM = 512, 2, 4
SIZES = [2**power for power in range(11)]
PEAK, COPY = 100e9, 40e9


def rates() -> pd.DataFrame:
    rows = [(utilisation.MATMUL, 512, each, PEAK) for each in range(5)]
    rows += [(utilisation.MATMUL, 8, each, PEAK / 2) for each in range(5)]
    rows += [(utilisation.COPY, 2**26, each, COPY) for each in range(5)]
    return pd.DataFrame(rows, columns=["kind", "size", "round", "rate"])


def steps(fixed_s: float, rounds: int = 9) -> pd.DataFrame:
    """Steps of a fixed cost and a cost an example at the peak; rounds differ by a common factor."""
    sizes = [*SIZES, *utilisation.odd_sizes(SIZES)]
    rows = [
        (size, each, factor * (fixed_s + 6 * DEPTH * WIDTH**2 * size / PEAK), utilisation.EAGER)
        for each in range(rounds)
        for factor in [1 + each / 10]
        for size in sizes
    ]
    return pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s", "way"])


@pytest.mark.parametrize(("width", "depth", "batch_size"), [(16, 2, 3), (32, 4, 8)])
def test_a_step_is_six_operations_a_parameter_and_example(
    width: int, depth: int, batch_size: int
) -> None:
    """PyTorch's own counter agrees with 6 P B: forward, and both halves of the backward pass."""
    counted = utilisation.operations(width, depth, batch_size)
    assert counted == 6 * depth * width**2 * batch_size


def test_the_ridge_is_where_the_roofline_bends() -> None:
    """At the ridge memory allows exactly the peak; a tenth below it, less."""
    at = utilisation.ridge(rates(), WIDTH, ITEM)
    curve = utilisation.roofline(rates(), [at * 0.9, at], width=WIDTH, item_bytes=ITEM)
    assert curve["utilisation"].iloc[-1] == pytest.approx(1.0)
    assert curve["utilisation"].iloc[0] == pytest.approx(0.9, rel=0.02)
    balance = PEAK / COPY
    assert at == pytest.approx(ITEM * WIDTH * balance / (2 * (WIDTH - ITEM * balance)))


def test_without_enough_work_a_byte_there_is_no_ridge() -> None:
    """Numbers so wide, or layers so small, that no batch brings the balance."""
    assert utilisation.ridge(rates(), 8, ITEM) == np.inf
    found = utilisation.arms(steps(0.0), rates(), width=8, item_bytes=ITEM)
    assert all(each.value is None for each in found.values())


def test_arms_are_ratios_of_throughput_within_a_round() -> None:
    """What differs between rounds cancels; eight times the ridge of five is a batch of 64."""
    fixed = 1e-3
    found = utilisation.arms(steps(fixed), rates(), width=WIDTH, item_bytes=ITEM)

    def time(size: int) -> float:
        return fixed + 6 * DEPTH * WIDTH**2 * size / PEAK

    up, beyond = found["up to saturation"], found["beyond saturation"]
    assert up.value == pytest.approx(64 / 8 * time(8) / time(64))
    assert up.low == pytest.approx(up.high)
    assert beyond.value == pytest.approx((4 * time(64) / time(256)) ** 0.5)


def test_utilisation_reaches_one_where_nothing_else_costs() -> None:
    """Steps at the peak rate are fully used, at any batch size; powers and odd sizes are apart."""
    table = utilisation.utilisation(steps(0.0, rounds=1), rates(), width=WIDTH, depth=DEPTH)
    assert table["utilisation"].to_numpy() == pytest.approx(np.ones(len(SIZES)))
    assert table["batch_size"].tolist() == SIZES
    odd = utilisation.utilisation(steps(0.0), rates(), width=WIDTH, depth=DEPTH, odd=True)
    assert set(odd["batch_size"]) == set(utilisation.odd_sizes(SIZES))


def test_an_odd_size_costs_what_it_is_slower_by() -> None:
    """In proportion to the batch nothing is lost; half as slow again is a ratio of 1.5."""
    table = steps(0.0)
    smooth = utilisation.odd_penalty(table)
    assert smooth["ratio"].to_numpy() == pytest.approx(np.ones(len(smooth)))
    table.loc[table["batch_size"] == 65, "step_time_s"] *= 1.5
    found = utilisation.odd_penalty(table).set_index("batch_size")["ratio"]
    assert found[65] == pytest.approx(1.5)
    assert found[63] == pytest.approx(1.0)


def test_real_steps_and_rates_have_a_row_a_block() -> None:
    """On the CPU: every size in every round, positive times, one way of launching."""
    torch.set_num_threads(1)
    times = utilisation.step_times(16, 2, [2, 4], device="cpu", rounds=3)
    assert times.groupby("batch_size").size().to_dict() == {2: 3, 4: 3}
    assert set(times["way"]) == {utilisation.EAGER}
    found = utilisation.peak_rates(16, [2, 8], device="cpu", rounds=3)
    assert (found["rate"] > 0).all()
    assert set(found["kind"]) == {utilisation.MATMUL, utilisation.COPY}
