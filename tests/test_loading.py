"""Loading epochs of examples: what arrives, what is counted, and what the two costs are."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bslib import loading
from bslib.data import Examples
from bslib.loading.records import kernel_bytes

ITEM, BATCH, EXAMPLES = 10e-6, 640e-6, 8192  # equal at a batch of 64
SIZES = [16, 64, 256, 1024, 4096]


def examples(count: int = 24) -> Examples:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, 2, generator=generator)
    return Examples(inputs, torch.arange(count))


def by_law(sizes: list[int] = SIZES, rounds: int = 9) -> pd.DataFrame:
    rows = [
        (way, size, each, (EXAMPLES * ITEM + EXAMPLES / size * BATCH) * (1 + each), 100.0, 100.0)
        for way in (loading.IN_PROCESS, loading.WORKERS, loading.RESIDENT)
        for size in sizes
        for each in range(rounds)
    ]
    columns = ["way", "batch_size", "round", "seconds", "bytes_read", "kernel_bytes"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
def test_records_give_back_what_was_written(tmp_path: Path, kind: torch.dtype) -> None:
    """Every example comes back bit by bit, by its position, with its type and shape."""
    whole = examples()
    whole = Examples(whole.inputs, whole.targets.to(kind))
    loading.write(whole, tmp_path / "records")
    records = loading.Records(tmp_path / "records", whole)
    for index in (23, 0, 7):
        inputs, target = records[index]
        torch.testing.assert_close(inputs, whole.inputs[index], rtol=0, atol=0)
        torch.testing.assert_close(target, whole.targets[index], rtol=0, atol=0)
    records.close()


def test_bytes_are_counted_as_the_system_counts_them(tmp_path: Path) -> None:
    """What the reads returned is what Linux says the process read, but for its own counter."""
    whole = examples(512)
    loading.write(whole, tmp_path / "records")
    records = loading.Records(tmp_path / "records", whole)
    before = kernel_bytes()
    for index in range(512):
        records[index]
    told = kernel_bytes() - before
    records.close()
    assert records.bytes_read == 512 * (8 + 6 * 4)
    if not np.isnan(told):
        # Reading the counters reads less than a kilobyte itself; nothing else reads here.
        assert records.bytes_read <= told <= records.bytes_read + 1024


def test_a_file_that_ends_early_is_told(tmp_path: Path) -> None:
    """Half a record is no example."""
    whole = examples()
    loading.write(whole, tmp_path / "records")
    (tmp_path / "records").write_bytes((tmp_path / "records").read_bytes()[:-1])
    records = loading.Records(tmp_path / "records", whole)
    with pytest.raises(EOFError, match="record 23"):
        records[23]
    records.close()


def test_every_way_reads_each_example_once_an_epoch() -> None:
    """The same bytes at any batch size, in this process and in workers; none for slices."""
    whole = examples()
    with loading.ways(whole, workers=2) as found:
        runs = loading.epochs(found, [5, 24], rounds=2, clock=itertools.count().__next__)
    expected = {loading.IN_PROCESS: 24 * 32, loading.WORKERS: 24 * 32, loading.RESIDENT: 0}
    assert [way.name for way in found] == list(expected)
    assert (runs["bytes_read"] == runs["way"].map(expected)).all()
    assert len(runs) == 3 * 2 * 2
    assert (runs["seconds"] == 1).all()


def test_loading_leaves_the_global_generator_alone() -> None:
    """Shuffles draw from generators of their own."""
    before = torch.get_rng_state()
    with loading.ways(examples(), workers=1) as found:
        for way in found:
            way.epoch(8)
    assert torch.equal(before, torch.get_rng_state())


def fake_ways(calls: list[tuple[str, int]]) -> Iterator[loading.Way]:
    for name in ("a", "b"):
        yield loading.Way(name, lambda size, name=name: calls.append((name, size)), lambda: 0)


def test_each_round_has_an_order_of_its_own() -> None:
    """All pairs once a round; the seed decides the order."""
    orders = []
    for seed in (0, 0, 1):
        calls: list[tuple[str, int]] = []
        clock = itertools.count().__next__
        loading.epochs(list(fake_ways(calls)), [2, 4, 8], rounds=3, seed=seed, clock=clock)
        orders.append(calls)
    rounds = [orders[0][start : start + 6] for start in (0, 6, 12)]
    assert all(len(set(each)) == 6 for each in rounds)
    assert rounds[0] != rounds[1]
    assert orders[0] == orders[1] != orders[2]


def test_short_epochs_are_repeated_until_the_clock_can_tell() -> None:
    """An epoch of a millisecond is timed in a block, and its own time is returned."""
    now = [0.0]

    def epoch(size: int) -> None:
        now[0] += 1e-3

    way = loading.Way("short", epoch, lambda: round(now[0] / 1e-3) * 7)
    runs = loading.epochs([way], [4], rounds=2, clock=lambda: now[0])
    np.testing.assert_allclose(runs["seconds"], 1e-3, rtol=1e-9)
    assert (runs["bytes_read"] == 7).all()
    assert now[0] > 2 * 1e-2


def test_costs_are_the_law_s() -> None:
    """The fit returns the cost of an item, of a batch, and where they are equal."""
    table = loading.costs(by_law().query("round == 0"), EXAMPLES)
    for _, group in table.groupby("way"):
        np.testing.assert_allclose(group["value"], [10, 640, 64], rtol=1e-6)
    curve = loading.curves(by_law().query("round == 0"), EXAMPLES)
    exact = EXAMPLES * (ITEM + BATCH / curve["batch_size"])
    np.testing.assert_allclose(curve["epoch_s"], exact, rtol=1e-6)


def test_costs_of_few_sizes_are_refused() -> None:
    """Three sizes fit no law: the table says so, and the curve is empty."""
    runs = by_law([16, 64, 1024])
    assert loading.costs(runs, EXAMPLES)["reason"].str.contains("four").all()
    assert loading.curves(runs, EXAMPLES)["epoch_s"].isna().all()


def test_arms_are_ratios_within_rounds() -> None:
    """t(64) / t(1024) on the law, though every round is slower than the last; bytes: one."""
    found = loading.arms(by_law())
    expected = (ITEM + BATCH / 64) / (ITEM + BATCH / 1024)
    assert found.pop("bytes read").value == 1
    assert len(found) == 3
    for estimate in found.values():
        for value in (estimate.value, estimate.low, estimate.high):
            assert value == pytest.approx(expected, rel=1e-12)


def test_arms_need_both_sizes() -> None:
    """Every arm is refused where one of the two was not timed, and names it."""
    for estimate in loading.arms(by_law([64, 256])).values():
        assert estimate.value is None
        assert "1,024" in estimate.reason


def test_bytes_to_draw_hold_both_counts() -> None:
    """The loaders' own counts, and the system's of the one in this process."""
    table = loading.bytes_read(by_law())
    names = [loading.IN_PROCESS, loading.WORKERS, "the operating system"]
    assert list(dict.fromkeys(table["counted by"])) == names
    assert (table["bytes_read"] == 100).all()
    without = loading.bytes_read(by_law().assign(kernel_bytes=float("nan")))
    assert list(dict.fromkeys(without["counted by"])) == names[:2]
