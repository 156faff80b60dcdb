"""What the memory pages judge: estimates from tables, and tables from small real steps."""

import numpy as np
import pandas as pd
import pytest
import torch

from bslib import data, memory, models
from bslib.memory import escapes, exactness, full_batch, limits, story
from bslib.memory.finder import LargestBatch
from bslib.refusal import Refusal


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("digits", examples=50)


def peaks(way: str, sizes: list[int], values: list[float], predicted: list[float]) -> pd.DataFrame:
    rows = {"way": way, "batch_size": sizes, "peak_memory_mb": values, "predicted_mb": predicted}
    return pd.concat([pd.DataFrame(rows).assign(seed=seed) for seed in (0, 1)])


def test_full_batch_arms_are_the_ratios() -> None:
    """The farthest ratio of the larger half, on either side of 1, and accumulated over micro."""
    runs = pd.concat(
        [
            peaks("in one piece", [4, 8, 16, 32], [9, 4, 1.04, 1.9], [1, 2, 1, 2]),
            peaks("accumulated", [32], [4.4], [4.0]),
        ]
    )
    arms = full_batch.arms(runs, batch_sizes=[4, 8, 16, 32], micro_batch_size=8)
    law, accumulated = arms.values()
    assert law.value == pytest.approx(0.95)
    assert (law.low, law.high) == (law.value, law.value)
    assert accumulated.value == pytest.approx(1.1)
    assert law.n == accumulated.n == 2


def test_full_batch_is_measured_as_predicted(task: data.Task) -> None:
    """A row a seed, way and size; the accumulated step of 50 takes about what one of 16 does."""
    runs = full_batch.measure(
        task, model="mlp", batch_sizes=[8, 50], micro_batch_size=16, seed=0, seeds=2
    )
    assert len(runs) == 2 * (3 + 1)
    ratios = runs["peak_memory_mb"] / runs["predicted_mb"]
    np.testing.assert_allclose(ratios, 1, atol=0.05)
    found = full_batch.arms(runs, batch_sizes=[8, 50], micro_batch_size=16)
    accumulated = found["all examples, accumulated from micro-batches"]
    weights = sum(each.numel() * 4 for each in models.build("mlp", task, seed=0).parameters())
    micro = runs[(runs["batch_size"] == 16) & (runs["way"] == "in one piece")]
    assert accumulated.value is not None
    # gradients from the second micro-batch on: at most the weights' own size more
    assert 1 <= accumulated.value <= 1 + weights / 1e6 / micro["peak_memory_mb"].iloc[0]


def test_the_curve_is_the_law(task: data.Task) -> None:
    """What is drawn is the peak that the law gives at each size."""
    law = memory.memory_law(memory.training_step(task, models.build("mlp", task, seed=0)))
    drawn = full_batch.curve(law, 5_000)
    assert drawn["batch_size"].is_unique
    assert drawn["batch_size"].iloc[[0, -1]].tolist() == [1, 5_000]
    assert drawn["peak_memory_mb"].iloc[-1] == law.peak_bytes(5_000) / 1e6


def test_exactness_finds_a_wrong_weight(task: data.Task) -> None:
    """A gradient of other examples is told from the plain one, and stops the page."""
    (steps,) = full_batch.networks(task, "mlp", 16, seed=0, seeds=1)
    table = exactness.exactness([steps], 50)
    assert table["way"].tolist() == ["accumulated"]
    assert table["relative_difference"].max() < 1e-12
    fewer = memory.training_step(
        data.load("digits", examples=49), models.build("mlp", task, seed=0)
    )
    with pytest.raises(RuntimeError, match="differs from the plain one"):
        exactness.exactness([{"plain": steps["in one piece"], "wrong": fewer}], 50)


def test_stories_end_where_they_began(task: data.Task) -> None:
    """Along a step memory rises and falls; accumulated, it never comes near the single piece."""
    (steps,) = full_batch.networks(task, "mlp", 16, seed=0, seeds=1)
    told = story.stories(steps, 4_096)
    highest = told.groupby("way")["live_mb"].max()
    assert highest["accumulated"] < 0.2 * highest["in one piece"]
    law = memory.memory_law(steps["in one piece"])
    assert highest["in one piece"] == law.peak_bytes(4_096) / 1e6
    assert told["step_share"].between(0, 1).all()


def test_escape_arms_are_slopes() -> None:
    """Exponents of power laws, and the ratio of the last two sizes' slopes."""
    sizes = [4, 8, 16, 32]
    square = [1.0, 4.0, 16.0, 64.0]
    runs = pd.concat(
        [
            peaks("plain", sizes, square, square),
            peaks("activations recomputed", sizes, [1, 2, 10, 34], square),
            peaks("micro-batches accumulated", sizes, [5, 6, 6, 6], square),
        ]
    )
    plain, recomputed, accumulated = escapes.arms(runs, batch_sizes=sizes).values()
    assert plain.value == pytest.approx(2)
    assert recomputed.value == pytest.approx(24 / 48)
    assert accumulated.value == pytest.approx(0)
    alone = escapes.arms(runs[runs["batch_size"] == 32], batch_sizes=[32])
    assert all(each.value is None for each in alone.values())


def test_escapes_are_measured_as_predicted(task: data.Task) -> None:
    """All three ways, within 5 % of the law at every size, one piece and several."""
    runs = escapes.measure(
        task, batch_sizes=[16, 128], width=128, depth=9, micro_batch_size=16, optimizer="sgd",
        seed=0, seeds=2,
    )  # fmt: skip
    assert len(runs) == 2 * 3 * 2
    np.testing.assert_allclose(runs["peak_memory_mb"] / runs["predicted_mb"], 1, atol=0.05)
    assert escapes.predicted(runs).shape == (6, 3)


def test_optimizer_state_is_counted_by_the_weight(task: data.Task) -> None:
    """8, 12 and 16 bytes a weight stand before the update, to a hundredth."""
    table = escapes.bytes_per_weight(task, width=64, depth=2, seed=0)
    np.testing.assert_allclose(table["bytes_per_weight"], [8, 12, 16], rtol=0.01)


def test_recomputation_gains_with_depth(task: data.Task) -> None:
    """The law's ratio falls with the depth, and is near 2 / sqrt(L) for a deep network."""
    table = escapes.by_depth(task, [2, 16, 36], width=64, seed=0)
    law = table[table["way"] == "the law"]["slope_ratio"].to_numpy()
    assert law[0] > law[1] > law[2]
    assert law[2] == pytest.approx(2 / 6, rel=0.15)


def found(batch_size: int, stopped_by: str = "memory") -> LargestBatch:
    probes = pd.DataFrame({"batch_size": [batch_size], "fits": [True], "peak_bytes": [10]})
    return LargestBatch(batch_size, batch_size, stopped_by, 10, False, probes)


def test_limit_arms_are_ratios_by_rank() -> None:
    """Predicted over found at the smallest, middle and largest limit, in whatever order given."""
    limits_mb = [8.0, 2.0, 4.0]
    table = limits.table([found(80), found(20), found(40)], limits_mb)
    rows = [
        {"seed": seed, "limit_mb": limit, "method": method, "predicted": size + more}
        for seed in (0, 1)
        for limit, size in zip(limits_mb, (88, 20, 30), strict=True)
        for method, more in ((limits.LAW, 0), (limits.LINE, 500))
    ]
    arms = limits.arms(pd.DataFrame(rows), table)
    assert [each.value for each in arms.values()] == pytest.approx([1.0, 0.75, 1.1])
    assert [each.n for each in arms.values()] == [2, 2, 2]
    drawn = limits.compared(pd.DataFrame(rows), table)
    assert set(drawn["method"]) == {limits.FOUND, limits.LAW, limits.LINE}


@pytest.mark.parametrize(
    ("stopped_by", "reason"),
    [
        ("data", "all the data fit"),
        ("nothing fits", "not one example fits"),
        ("cap", "a cap stopped the search"),
    ],
)
def test_a_limit_that_did_not_bind_is_undecided(stopped_by: str, reason: str) -> None:
    """Where the data or nothing stopped the search, a ratio would say nothing of memory."""
    table = limits.table([found(0 if stopped_by == "nothing fits" else 50, stopped_by)], [8.0])
    rows = {"seed": [0, 1], "limit_mb": 8.0, "method": limits.LAW, "predicted": [50, 50]}
    for estimate in limits.arms(pd.DataFrame(rows), table).values():
        assert estimate.value is None
        assert reason in estimate.reason


def test_the_straight_line_misses_the_corner(task: data.Task) -> None:
    """Where the update binds at both small sizes its line is flat, and allows anything."""
    step = limits.step_of(task, model="mlp", optimizer="adam", seed=0)
    law = memory.memory_law(step)
    assert law.peak_bytes(4) == law.peak_bytes(8)
    assert limits.straight_line(law, 1e9) == 2**31
    plain = memory.memory_law(limits.step_of(task, model="cnn", optimizer="sgd", seed=0))
    slope = (plain.peak_bytes(8) - plain.peak_bytes(4)) / 4
    assert limits.straight_line(plain, plain.peak_bytes(4) + 10 * slope) == 14
    table = limits.predictions(task, [1.0], model="mlp", optimizer="adam", seed=0, seeds=2)
    assert set(table[table["method"] == limits.LINE]["predicted"]) == {50}


def test_pieces_and_measurements_lie_together(task: data.Task) -> None:
    """The highest piece at a size is near what the allocator gives there."""
    step = limits.step_of(task, model="mlp", optimizer="sgd", seed=0)
    lines = limits.pieces(memory.memory_law(step), 512)
    top = lines.groupby("batch_size")["peak_memory_mb"].max()
    measured = limits.measured(step, [1, 512])
    np.testing.assert_allclose(top[[1, 512]], measured["peak_memory_mb"], rtol=0.05)


def test_recomputation_of_what_is_no_chain_is_refused() -> None:
    """A network that is not a sequence of layers has no stretches."""
    with pytest.raises(Refusal, match="a chain of layers"):
        escapes._recomputed(torch.nn.Linear(2, 2), 4)
