"""Time against batch size from critical and half batch size, the choice, and what limits it."""

import math
from dataclasses import replace

import advice_case
import numpy as np
import pytest

from bslib.advise import combine
from bslib.advise.advice import Advice
from bslib.advise.combine import Devices, Range
from bslib.parallel.cost_model import CostModel, Network
from bslib.scaling import time_to_target
from bslib.stats import Estimate, refused

PAIRS = [(250.0, 30.0), (40.0, 900.0), (100.0, 100.0), (3.0, 5_000.0), (0.01, 0.5)]
NETWORK = Network("slow", 1e-3, 1e8)


def estimate(value: float | None, low: float, high: float) -> Estimate:
    reason = "" if value is not None and math.isfinite(value) else "told nothing"
    return Estimate(value, low, high, n=16, reason=reason)


def ranges(critical: float, half: float, factor: float = 1.0) -> Range:
    ends = (1 / factor, 1.0, factor)
    return Range(tuple(critical * end for end in ends), tuple(half * end for end in ends))  # type: ignore[arg-type]


@pytest.mark.parametrize("pair", PAIRS)
def test_slowdown_is_the_ratio_of_times_to_target(pair: tuple[float, float]) -> None:
    """Over the fastest whole size between the ends, found by trying each."""
    sizes = np.arange(1, 4_001)
    taken = time_to_target.seconds(
        sizes, minimal_steps=7, critical_batch_size=pair[0], maximal_throughput=11,
        half_batch_size=pair[1],
    )  # fmt: skip
    for least, most in ((1, 4_000), (1, 20), (300, 4_000)):
        inside = (sizes >= least) & (sizes <= most)
        found = combine.slowdown(sizes[inside], pair, most, least)
        assert found == pytest.approx(taken[inside] / taken[inside].min(), rel=5e-3)
        assert found.min() >= 1 - 1e-12
        fastest = min(max(math.sqrt(pair[0] * pair[1]), least), most)
        assert combine.slowdown(fastest, pair, most, least) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("pair", [(math.inf, 30.0), (250.0, math.inf), (math.inf, math.inf)])
def test_an_infinite_size_is_the_limit_of_large_ones(pair: tuple[float, float]) -> None:
    """Then the largest batch is fastest, and slowdowns are those at a very large number."""
    sizes = np.array([1, 10, 300, 1_000])
    large = (min(pair[0], 1e13), min(pair[1], 1e13))
    found = combine.slowdown(sizes, pair, 1_000)
    assert found == pytest.approx(combine.slowdown(sizes, large, 1_000), rel=1e-9)
    assert found[-1] == pytest.approx(1.0, rel=1e-12)
    assert (np.diff(found) < 0).all()


def test_sizes_of_zero_and_infinity_meet() -> None:
    """A step that costs nothing at an infinite critical size is as fast at any size."""
    found = combine.slowdown([1, 10, 100], (math.inf, 0.0), 100)
    assert found == pytest.approx([1, 1, 1], rel=1e-12)


def test_the_band_holds_the_value_and_every_pair_inside() -> None:
    """A thousand pairs between the corners lie within it, up to the grid's own coarseness."""
    where = ranges(200.0, 80.0, 2.0)
    sizes = np.geomspace(1, 5_000, 60)
    table = combine.band(sizes, where, 5_000)
    assert (table["low"] <= table["relative_time"]).all()
    assert (table["relative_time"] <= table["high"]).all()
    random = np.random.default_rng(0)
    for _ in range(1_000):
        pair = (random.uniform(100, 400), random.uniform(40, 160))
        assert (combine.slowdown(sizes, pair, 5_000) <= table["high"] * (1 + 1e-9)).all()


@pytest.mark.parametrize("pair", PAIRS[:4])
def test_the_flat_region_is_that_of_the_closed_form(pair: tuple[float, float]) -> None:
    """Where no end of the sizes cuts it, up to whole numbers and a grid of half a percent."""
    low, high = time_to_target.flat_region(*pair, within=combine.FLAT)
    found = combine.flat(ranges(*pair), 1, 10**6)
    assert max(1, low) * 0.98 - 1 <= found[0] <= max(1, low) * 1.02 + 1
    assert high * 0.98 - 1 <= found[1] <= high * 1.02 + 1


@pytest.mark.parametrize("pair", [*PAIRS, (math.inf, 30.0), (1e-9, 0.01)])
@pytest.mark.parametrize(("smallest", "most"), [(1, 1), (2, 3), (8, 64), (64, 64), (1, 4_000)])
def test_there_is_always_a_flat_region_inside(
    pair: tuple[float, float], smallest: int, most: int
) -> None:
    """Also where the fastest size lies far outside what can be had."""
    low, high = combine.flat(ranges(*pair), smallest, most)
    assert smallest <= low <= high <= most


def test_the_best_size_has_an_interval_from_all_corners() -> None:
    """sqrt(B_crit B_half), its ends a stand-in's factor further; infinite where one is."""
    found = combine.best(estimate(400, 200, 900), estimate(25, 16, 36))
    assert found.value == pytest.approx(100)
    assert found.low == pytest.approx(math.sqrt(200 / combine.STAND_IN * 16))
    assert found.high == pytest.approx(math.sqrt(900 * combine.STAND_IN * 36))
    several = combine.best(estimate(400, 200, 900), estimate(25, 16, 36), scale=4.0)
    assert several.value == pytest.approx(200)
    endless = combine.best(estimate(400, 200, math.inf), estimate(25, 16, 36))
    assert (endless.value, endless.high) == (pytest.approx(100), math.inf)


@pytest.mark.parametrize(
    "critical",
    [
        refused("the signal comes out negative"),
        estimate(math.inf, 50, math.inf),
        estimate(1e-7, 1e-8, 1e-6),
        estimate(0.5, 0.2, 0.9),
        estimate(0.5, 0.2, math.inf),
    ],
)
def test_critical_sizes_at_the_ends_give_ordered_ranges(critical: Estimate) -> None:
    """No value, an infinite one, and less than one example: the ends keep their order."""
    half = estimate(300, 0.0, math.inf)
    where = combine.possible(critical, half)
    assert list(where.critical) == sorted(where.critical)
    best = combine.best(critical, half)
    assert best.low <= best.high
    table = combine.band([1, 8, 64, 1_000], where, 1_000)
    assert np.isfinite(table.drop(columns="batch_size").to_numpy()).all()
    size, worst = combine.choose([1, 8, 64, 1_000], where, 1_000)
    assert size in (1, 8, 64, 1_000)
    assert worst >= 1


@pytest.mark.parametrize(
    ("world", "smallest", "most", "wanted"),
    [
        (1, 1, 1, [1]),
        (1, 1, 2, [1, 2]),
        (1, 1, 3, [1, 2, 3]),
        (1, 1, 9, [1, 2, 4, 8, 9]),
        (1, 1, 16, [1, 2, 4, 8, 16]),
        (1, 1, 17, [1, 2, 4, 8, 16]),
        (1, 1, 100, [1, 2, 4, 8, 16, 32, 64, 96]),
        (1, 2, 3, [2, 3]),
        (1, 2, 2, [2]),
        (4, 1, 100, [4, 8, 16, 32, 64, 96]),
        (4, 2, 100, [8, 16, 32, 64, 96]),
        (3, 1, 10, [3, 6, 9]),
    ],
)
def test_round_sizes_are_powers_of_two_a_device_and_the_largest(
    world: int, smallest: int, most: int, wanted: list[int]
) -> None:
    """All multiples of the devices, from the smallest that works to the largest that fits."""
    assert combine.round_sizes(world, smallest, most) == wanted


def test_the_fastest_round_size_is_chosen() -> None:
    """By brute force over the candidates; by the worst case where the noise has no value."""
    candidates = combine.round_sizes(1, 1, 4_000)
    for pair in PAIRS:
        own = {"critical_batch_size": pair[0], "half_batch_size": pair[1]}
        every, named = (
            time_to_target.seconds(sizes, minimal_steps=1, maximal_throughput=1, **own)
            for sizes in (np.geomspace(1, 4_000, 20_001), candidates)
        )
        size, worst = combine.choose(candidates, ranges(*pair), 4_000)
        assert size == candidates[int(np.argmin(named))]
        assert worst == pytest.approx(named.min() / every.min(), rel=1e-6)
    endless = Range((100.0, math.inf, math.inf), (10.0, 20.0, 30.0))
    size, worst = combine.choose(candidates, endless, 4_000)
    table = combine.band(candidates, endless, 4_000)
    assert worst == table["high"].min() == table.set_index("batch_size").loc[size, "high"]


@pytest.mark.parametrize("world", [1, 2, 8])
def test_devices_take_what_the_cost_model_says(world: int) -> None:
    """Step times are the ring's; at B_half half of a step is what it costs whatever its batch."""
    devices = Devices(world, 2e-3, 1e-5, 4_000_000, NETWORK)
    model = CostModel(2e-3, 1e-5, 4_000_000, NETWORK)
    sizes = np.array([8.0, 80.0, 800.0])
    assert devices.step_time_s(sizes) == pytest.approx(
        model.step_time_s(sizes / world, world), rel=1e-12
    )
    fixed = devices.step_time_s(0)
    assert devices.step_time_s(devices.half_batch_size) == pytest.approx(2 * fixed, rel=1e-12)
    assert replace(devices, network=None).communication_s == 0.0


def test_each_limit_binds_where_it_is_the_first() -> None:
    """The cap where B* lies beyond it, the network where it is most of a step's fixed cost, and
    else the smaller of the two sizes, or both where either may be it."""
    one = Devices(1, 2e-3, 1e-5)
    many = Devices(8, 1e-4, 1e-5, 4_000_000, NETWORK)
    few, wide = ranges(50.0, 200.0), ranges(200.0, 50.0)
    assert combine.binding(few, 100, 1_000, combine.MEMORY, one) == combine.STATISTICS
    assert combine.binding(wide, 100, 1_000, combine.DATA, one) == combine.THROUGHPUT
    assert combine.binding(few, 100, 99, combine.MEMORY, one) == combine.MEMORY
    assert combine.binding(few, 100, 99, combine.DATA, many) == combine.DATA
    assert combine.binding(few, 100, 100, combine.MEMORY, one) == combine.STATISTICS
    assert combine.binding(few, 100, 1_000, combine.MEMORY, many) == combine.NETWORK
    assert combine.binding(ranges(50.0, 200.0, 3.0), 100, 1_000, "", one) == combine.BOTH
    assert combine.binding(ranges(200.0, 50.0, 3.0), 100, 1_000, "", one) == combine.BOTH


def concluded(critical: float, half: float, **given: object) -> Advice:
    return advice_case.advice(critical=advice_case.known(critical), half=half, **given)  # type: ignore[arg-type]


def test_the_cap_is_the_data_memory_or_what_was_timed() -> None:
    """Whichever is least; where memory is unknown no size beyond those timed is named."""
    held = advice_case.memory
    fits = concluded(8_000, 700, held=held(256))
    assert (fits.largest, fits.binding, fits.batch_size) == (256, "memory", 256)
    data = concluded(8_000, 700, held=held(300, stopped_by="data"), examples=300)
    assert (data.largest, data.binding) == (300, "data")
    assert data.accumulation is None
    several = concluded(8_000, 700, held=held(300), examples=1_000, world_size=4, network=NETWORK)
    assert (several.largest, several.binding) == (1_000, "data")
    unknown = concluded(10**7, 10**5, held=held(None))
    assert unknown.largest == unknown.throughput.times["batch_size"].max()
    assert unknown.memory.largest is None


def test_accumulation_is_reckoned_by_hand() -> None:
    """k passes of the largest batch cost k times as much a step, and save steps by the law."""
    found = concluded(8_000, 700, held=advice_case.memory(256)).accumulation
    assert found is not None
    ideal = math.sqrt(8_000 * 700)
    passes = math.ceil(ideal / 256)
    assert (found.steps, found.micro_batch_size, found.batch_size) == (passes, 256, passes * 256)
    steps = (1 + 8_000 / 256) / (1 + 8_000 / (256 * passes))
    assert found.gain == pytest.approx(steps / passes, rel=1e-6)
    assert found.gain < 1


def test_accumulation_saves_time_where_the_network_costs_most() -> None:
    """Devices exchange gradients once a step, however many passes it takes."""
    slow = Network("slow", 0.5, 1e9)
    found = concluded(
        8_000, 700, held=advice_case.memory(64), world_size=2, network=slow
    )  # fmt: skip
    told = found.accumulation
    assert told is not None
    assert told.batch_size == told.steps * 2 * 64
    one = 1e-3 * (1 + 64 / 700)
    ring = 2 * 0.5 + found.asked.parameters * 4 / 1e9
    steps = (1 + 8_000 / 128) / (1 + 8_000 / told.batch_size)
    assert told.gain == pytest.approx(steps * (one + ring) / (told.steps * one + ring), rel=1e-3)
    assert told.gain > 1


def test_accumulation_never_asks_for_more_examples_than_there_are() -> None:
    """Where two passes hold more than the data there is none."""
    assert concluded(8_000, 700, held=advice_case.memory(256), examples=500).accumulation is None
    some = concluded(8_000, 700, held=advice_case.memory(256), examples=1_000).accumulation
    assert some is not None
    assert some.steps == 3


def test_several_devices_multiply_the_best_size() -> None:
    """Without a cost of the network B_half grows with the devices, and B* with their root."""
    free = Network("free", 0.0, 1e30)
    one = concluded(200, 100, held=advice_case.memory(10**4))
    four = concluded(200, 100, held=advice_case.memory(10**4), world_size=4, network=free)
    assert one.best.value is not None
    assert four.best.value == pytest.approx(2 * one.best.value, rel=1e-9)
    assert four.batch_size is not None
    assert four.batch_size % 4 == 0
    assert four.local_batch_size == four.batch_size // 4


def test_the_curve_and_the_choice_agree() -> None:
    """The chosen size lies in the flat region, and nowhere is the curve below one."""
    for critical, half in ((200.0, 900.0), (2_000.0, 40.0), (30.0, 30.0)):
        found = concluded(critical, half)
        assert found.batch_size is not None
        assert found.flat_region is not None
        assert found.slowdown is not None
        assert found.flat_region[0] <= found.batch_size <= found.flat_region[1]
        assert found.curve["low"].min() >= 1 - 1e-9
        assert found.curve["relative_time"].min() == pytest.approx(1, abs=1e-3)
        high = np.interp(found.batch_size, found.curve["batch_size"], found.curve["high"])
        assert found.slowdown == pytest.approx(high, rel=0.01)
        assert found.certain == (found.slowdown <= combine.CANNOT_TELL)
