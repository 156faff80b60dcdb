"""How long a step takes: any callable, several batch sizes interleaved, an injected clock."""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from bslib.stats.estimate import Estimate

Progress = Callable[[int, int], None]  # (done, total)


def step_times(
    steps: Mapping[int, Callable[[], object]],
    *,
    rounds: int = 20,
    warm_up: int = 3,
    calls: int | Mapping[int, int] = 1,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], object] = lambda: None,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Time a step at each batch size, once a round, in a fresh random order each round.

    Whatever drifts or comes and goes on the machine thus meets every size alike. Before
    each timed block the size's step is called once untimed, so that what another size left
    in caches and allocator is not charged to it. Garbage collection is off meanwhile.

    Args:
        steps: what one step at each batch size is.
        rounds: how many timed blocks each size gets: the samples of its interval.
        warm_up: untimed calls of each size before the first round.
        calls: steps in a timed block, for all or each size; several where one is too short
            for the clock.
        seed: of the order.
        clock: seconds, from any origin.
        synchronize: waits until the device is done; called before each reading of the clock.
        progress: told after every round.

    Returns:
        A row a timed block: ``batch_size``, ``round``, ``step_time_s``.
    """
    sizes = list(steps)
    generator = np.random.default_rng(seed)
    rows: list[tuple[int, int, float]] = []
    for size in sizes:
        _repeat(steps[size], warm_up)
    with _no_collection():
        for each in range(rounds):
            for index in generator.permutation(len(sizes)):
                size = sizes[index]
                count = calls if isinstance(calls, int) else calls[size]
                steps[size]()
                rows.append((size, each, _timed(steps[size], count, clock, synchronize)))
            progress(each + 1, rounds)
    frame = pd.DataFrame(rows, columns=["batch_size", "round", "step_time_s"])
    return frame.sort_values(["batch_size", "round"], ignore_index=True)


def _timed(
    step: Callable[[], object],
    calls: int,
    clock: Callable[[], float],
    synchronize: Callable[[], object],
) -> float:
    synchronize()
    start = clock()
    _repeat(step, calls)
    synchronize()
    return (clock() - start) / calls


def _repeat(step: Callable[[], object], times: int) -> None:
    for _ in range(times):
        step()


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector off, and leave it as it was."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def median(times: ArrayLike, level: float = 0.95) -> Estimate:
    """Return the median with the sign test's interval, which holds for any distribution.

    The ends are the k-th smallest and k-th largest value, k as large as the binomial
    distribution allows at ``level`` (so the coverage is at least ``level``). With fewer
    than six values, no two values hold the median at 95 %: the ends are 0 and infinity.
    """
    values = np.sort(np.asarray(times, float))
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise ValueError(f"a median needs finite times, and at least one; not {times!r}")
    rank = _rank(n, level)
    low, high = (values[rank - 1], values[n - rank]) if rank else (0.0, math.inf)
    reason = "" if rank else f"{n} repeats bound no median at level {level:.4g}"
    return Estimate(
        float(np.median(values)), float(low), float(high), level, n, reason,
        recompute=lambda other: median(values, other),
    )  # fmt: skip


def _rank(n: int, level: float) -> int:
    """Return the largest k with P(Binomial(n, 1/2) < k) <= (1 - level) / 2; 0 for none."""
    below: NDArray[np.float64] = distributions.binom.cdf(np.arange(n // 2 + 1), n, 0.5)
    return int(np.sum(below <= (1 - level) / 2))


def medians(frame: pd.DataFrame, y: str, *, by: Sequence[str], level: float = 0.95) -> pd.DataFrame:
    """Return :func:`median` of a column in each group: columns ``by``, ``y``, ``low``, ``high``.

    A row a group, in order of appearance.
    """
    rows = []
    for names, group in frame.groupby(list(by), sort=False):
        found = median(group[y].to_numpy(float), level)
        rows.append((*names, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=[*by, y, "low", "high"])


def summary(times: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return a row a batch size: the median step time, the throughput, and their intervals.

    Columns ``batch_size``, ``step_time_s``, ``step_time_low_s``, ``step_time_high_s``,
    ``examples_per_s``, ``examples_per_low_s``, ``examples_per_high_s``, ``rounds``.
    """
    rows = [
        _summary_row(float(str(size)), group["step_time_s"].to_numpy(float), level)
        for size, group in times.groupby("batch_size")
    ]
    return pd.DataFrame(rows).astype({"batch_size": times["batch_size"].dtype})


def _summary_row(size: float, values: NDArray[np.float64], level: float) -> dict[str, float]:
    time_s = median(values, level)
    assert time_s.value is not None
    return {
        "batch_size": size,
        "step_time_s": time_s.value,
        "step_time_low_s": time_s.low,
        "step_time_high_s": time_s.high,
        "examples_per_s": size / time_s.value,
        "examples_per_low_s": size / time_s.high,
        "examples_per_high_s": size / time_s.low if time_s.low > 0 else math.inf,
        "rounds": time_s.n,
    }


def calls_for(
    steps: Mapping[int, Callable[[], object]],
    *,
    block_s: float = 2e-3,
    most: int = 1_000,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], object] = lambda: None,
) -> dict[int, int]:
    """Return how many steps fill a timed block of ``block_s`` seconds, from one trial each."""
    counts = {}
    for size, step in steps.items():
        step()
        taken = _timed(step, 1, clock, synchronize)
        counts[size] = most if taken <= 0 else int(np.clip(math.ceil(block_s / taken), 1, most))
    return counts


def knee(times: pd.DataFrame, within: float = 0.1) -> int:
    """Return the smallest batch size whose median throughput is within a fraction of the best.

    Of the sizes measured, and by their medians alone: the law's own answer is
    :meth:`bslib.throughput.StepTimeLaw.batch_size_at`.
    """
    table = summary(times)
    enough = table["examples_per_s"] >= (1 - within) * table["examples_per_s"].max()
    return int(table.loc[enough, "batch_size"].min())


def gains(batch_sizes: Sequence[float], examples_per_s: Sequence[float]) -> pd.DataFrame:
    """Return the throughput's gain for each doubling, between neighbouring batch sizes.

    Columns ``batch_size`` (the larger), ``gain_per_doubling``: (r2 / r1)^(1 / log2(B2 / B1)).
    """
    order = np.argsort(batch_sizes)
    size, rate = np.asarray(batch_sizes, float)[order], np.asarray(examples_per_s, float)[order]
    gain = (rate[1:] / rate[:-1]) ** (1 / np.log2(size[1:] / size[:-1]))
    return pd.DataFrame({"batch_size": size[1:], "gain_per_doubling": gain})
