"""What sharing one batch gains, against step times of which the answer is known."""

import pandas as pd
import pytest

from bslib.parallel import shared_work

COLUMNS = ["local_batch_size", "world_size", "round", "step_time_s"]


def timed(sizes: list[int], *, workers: int = 2, rounds: int = 9) -> pd.DataFrame:
    """One worker takes 1 + b, n of them 3 + b; every round is slower than the one before."""
    rows = [
        (size, n, each, (1 + each) * ((1 if n == 1 else 3) + size))
        for size in sizes
        for n in (1, workers)
        for each in range(rounds)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_one_global_batch_is_split_and_not_multiplied() -> None:
    """The ratio is t(1, B) / t(n, B / n), and only where both were timed."""
    found = shared_work.at_one_global_batch(timed([4, 8, 16, 64]))
    assert found["batch_size"].tolist() == [8, 16]
    assert found["speedup"].tolist() == pytest.approx([9 / 7, 17 / 11])


def test_a_share_is_that_of_all_workers() -> None:
    """Four workers take a quarter each."""
    found = shared_work.at_one_global_batch(timed([4, 8, 16], workers=4))
    assert found["batch_size"].tolist() == [16]
    assert found["speedup"].tolist() == pytest.approx([17 / 7])


def test_ratios_are_taken_within_a_round() -> None:
    """Rounds that slow all alike leave the interval without a width."""
    found = shared_work.at_one_global_batch(timed([4, 8]))
    assert found["low"].tolist() == pytest.approx(found["high"].tolist())


def test_sizes_that_pair_with_none_leave_an_empty_table() -> None:
    """It is a table for a page: no size is no reason to stop."""
    found = shared_work.at_one_global_batch(timed([8, 64]))
    assert found.empty
    assert list(found.columns) == ["batch_size", "speedup", "low", "high"]
