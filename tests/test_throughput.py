"""Step times under a fake clock, medians' intervals, and the law on drawn times."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions

from bslib import throughput
from bslib.refusal import Refusal
from bslib.throughput import timing

FIXED, RATE = 2e-3, 5e4  # seconds; examples a second: B_half = 100


class Machine:
    """A clock that moves only when a step runs, at a speed that may drift."""

    def __init__(self, speed: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now, self.pending, self.speed = 0.0, 0.0, speed
        self.log: list[int] = []

    def step(self, batch_size: int) -> Callable[[], None]:
        def run() -> None:
            self.log.append(batch_size)
            self.pending += (FIXED + batch_size / RATE) / self.speed(self.now)

        return run

    def synchronize(self) -> None:
        self.now += self.pending
        self.pending = 0.0

    def clock(self) -> float:
        return self.now


def measured(machine: Machine, sizes: list[int], **settings: object) -> pd.DataFrame:
    return throughput.step_times(
        {size: machine.step(size) for size in sizes},
        clock=machine.clock,
        synchronize=machine.synchronize,
        **settings,  # type: ignore[arg-type]
    )


def test_step_times_are_those_of_the_clock() -> None:
    """Queued work is waited for, untimed calls are left out, blocks are shared by their calls."""
    times = measured(Machine(), [1, 64], rounds=3, calls={1: 5, 64: 1})
    expected = FIXED + times["batch_size"] / RATE
    np.testing.assert_allclose(times["step_time_s"], expected, rtol=1e-9)
    assert len(times) == 6
    assert list(times["round"]) == [0, 1, 2] * 2


def test_sizes_are_interleaved_in_another_order_each_round() -> None:
    """Every round holds every size once, in an order that the seed decides."""
    orders = []
    for seed in (0, 0, 1):
        machine = Machine()
        measured(machine, [1, 2, 4, 8], rounds=10, warm_up=0, seed=seed)
        log = np.array(machine.log[::2]).reshape(10, 4)  # each timed call has an untimed one
        assert (np.sort(log, axis=1) == [1, 2, 4, 8]).all()
        assert len({tuple(row) for row in log}) > 3
        orders.append(log.tolist())
    assert orders[0] == orders[1] != orders[2]


def test_a_drifting_machine_does_not_bend_the_law() -> None:
    """While the machine slows to half, B_half stays within 10 %; size after size it would not."""
    slowing = Machine(lambda now: 1 / (1 + now / 5))
    times = measured(slowing, [8, 32, 128, 512, 2048], rounds=40)
    law = throughput.fit_law(times)
    assert law.half_batch_size.value == pytest.approx(FIXED * RATE, rel=0.1)


def test_progress_counts_rounds() -> None:
    """The callback is told after each round, and the collector is left as it was."""
    import gc

    seen: list[tuple[int, int]] = []
    measured(Machine(), [1], rounds=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert gc.isenabled()


def test_calls_fill_a_block() -> None:
    """Short steps are repeated until a block lasts long enough; long ones are not."""
    machine = Machine()
    steps = {1: machine.step(1), 10_000: machine.step(10_000)}
    calls = throughput.calls_for(
        steps, block_s=0.02, clock=machine.clock, synchronize=machine.synchronize
    )
    assert calls == {1: 10, 10_000: 1}


def test_median_interval_covers_for_any_distribution() -> None:
    """With 20 lognormal times the sign-test interval covers in at least 95 % of draws."""
    generator = np.random.default_rng(0)
    draws = 1000
    times = generator.lognormal(0, 2, (draws, 20))
    covered = sum(e.low <= 1 <= e.high for e in map(throughput.median, times))
    assert distributions.binom.cdf(covered, draws, 0.95) > 0.01


def test_median_interval_is_the_tabulated_order_statistic() -> None:
    """n = 20 takes the 6th and 15th value (Conover, table A3); n = 5 bounds nothing at 95 %."""
    estimate = throughput.median(np.arange(1.0, 21))
    assert (estimate.value, estimate.low, estimate.high) == (10.5, 6, 15)
    few = throughput.median([3.0, 1, 2, 5, 4])
    assert (few.value, few.low, few.high) == (3, 0, math.inf)
    assert few.reason
    assert few.at(0.9).high == 5
    with pytest.raises(ValueError, match="finite"):
        throughput.median([1.0, math.nan])


def drawn(generator: np.random.Generator, low: float = 1 / 16, high: float = 16) -> pd.DataFrame:
    size = FIXED * RATE * np.geomspace(low, high, 9)
    time_s = (FIXED + size / RATE) * np.exp(0.05 * generator.standard_normal(9))
    return pd.DataFrame({"batch_size": size, "step_time_s": time_s})


def test_law_covers_its_parameters() -> None:
    """On drawn times all three intervals cover, not significantly outside 0.93-0.97."""
    generator = np.random.default_rng(1)
    draws = 500
    covered = np.zeros(3)
    for _ in range(draws):
        law = throughput.fit_law(drawn(generator))
        estimates = law.fixed_time_s, law.maximal_throughput, law.half_batch_size
        truths = FIXED, RATE, FIXED * RATE
        covered += [e.low <= t <= e.high for e, t in zip(estimates, truths, strict=True)]
    assert (distributions.binom.cdf(covered, draws, 0.93) > 0.01).all()
    assert (distributions.binom.sf(covered - 1, draws, 0.97) > 0.01).all()


def test_exact_times_give_the_law() -> None:
    """t0, r_max, B_half, both curves and the knee's batch size, without noise."""
    law = throughput.fit_law(measured(Machine(), [1, 16, 256, 4096], rounds=2))
    assert law.fixed_time_s.value == pytest.approx(FIXED, rel=1e-6)
    assert law.maximal_throughput.value == pytest.approx(RATE, rel=1e-6)
    assert law.half_batch_size.value == pytest.approx(FIXED * RATE, rel=1e-6)
    assert law.step_time_s(50) == pytest.approx(FIXED + 50 / RATE, rel=1e-6)
    assert law.examples_per_s(FIXED * RATE) == pytest.approx(RATE / 2, rel=1e-6)
    assert law.examples_per_s(law.batch_size_at(0.9)) == pytest.approx(0.9 * RATE, rel=1e-6)
    assert law.max_relative_error < 1e-6


def test_one_disturbed_size_moves_little() -> None:
    """A size that took three times as long is set aside and shown."""
    times = drawn(np.random.default_rng(2))
    clean = throughput.fit_law(times).half_batch_size.value
    times.loc[6, "step_time_s"] *= 3
    law = throughput.fit_law(times)
    assert law.half_batch_size.value == pytest.approx(clean, rel=0.25)
    assert list(law.residuals.index[law.residuals["set_aside"]]) == [6]


def test_what_the_sizes_do_not_show_is_refused() -> None:
    """All sizes far above B_half leave t0 without a value, and r_max with one."""
    law = throughput.fit_law(drawn(np.random.default_rng(3), 30, 3000))
    assert law.fixed_time_s.value is None
    assert law.half_batch_size.value is None
    assert "further apart" in law.half_batch_size.reason
    assert law.maximal_throughput.value == pytest.approx(RATE, rel=0.1)
    with pytest.raises(Refusal, match="four"):
        throughput.fit_law(drawn(np.random.default_rng(3))[:3])


def test_knee_and_gains_read_the_measured_medians() -> None:
    """The smallest size within a tenth of the best, and the gain a doubling of each interval."""
    times = measured(Machine(), [10, 100, 900, 1000, 3000], rounds=3)
    # r = B / (B + 100): 0.091, 0.5, 0.9, 0.909, 0.968 of the maximum; 0.9 * 0.968 = 0.871.
    assert throughput.knee(times) == 900
    assert throughput.knee(times, within=0.01) == 3000
    table = throughput.summary(times)
    gains = throughput.gains(list(table["batch_size"]), list(table["examples_per_s"]))
    expected = (0.5 / (10 / 110)) ** (1 / math.log2(10))
    assert gains["gain_per_doubling"].iloc[0] == pytest.approx(expected)
    assert table["examples_per_s"].iloc[1] == pytest.approx(RATE / 2)


def test_medians_are_those_of_each_group() -> None:
    """A row a group, in order of appearance, each as the median of that group alone."""
    frame = pd.DataFrame({"way": list("bbaa") * 3, "size": [1, 2] * 6, "y": range(12)})
    found = timing.medians(frame, "y", by=["way", "size"])
    assert found[["way", "size"]].to_numpy().tolist() == [["b", 1], ["b", 2], ["a", 1], ["a", 2]]
    for row in found.to_dict("records"):
        own = frame[(frame["way"] == row["way"]) & (frame["size"] == row["size"])]
        alone = timing.median(own["y"])
        assert (row["y"], row["low"], row["high"]) == (alone.value, alone.low, alone.high)
