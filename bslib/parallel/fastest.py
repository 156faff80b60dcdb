"""The fastest batch size of n workers on a network: the arms of claim 2.9.

T(n, B) = S(B) t(n, B / n): steps to the target on the law of a tuned sweep, step times on the
cost model. With S(B) = S_min (1 + B_crit / B) and t = c + B / (n r), where c is what a step
costs whatever the batch, the least is at B* = sqrt(B_crit n r c): it moves as the root of the
workers, and of what communication adds to c. It may lie beyond the examples that there are:
the laws know nothing of those.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib import stats
from bslib.parallel import shared_work
from bslib.parallel.cost_model import NETWORKS, CostModel, Network
from bslib.parallel.shared_work import GROUPS
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size
from bslib.stats.estimate import Estimate, refused
from bslib.stats.hyperbola import Floats, Hyperbola
from bslib.throughput import timing

FAST, COMMON, SLOW = NETWORKS[0], NETWORKS[1], NETWORKS[-1]
MANY = 64
# Batch sizes tried: from one example a worker, so many to an octave, over so many octaves.
_PER_OCTAVE, _OCTAVES = 200, 24

Setting = tuple[Network, int]  # and how many workers it joins


def arms(reruns: pd.DataFrame, steps: pd.DataFrame, messages: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the arms of claim 2.9.

    Args:
        reruns: of a tuned sweep to the target.
        steps, messages: of :func:`bslib.parallel.timing.measure`.

    The octaves are those of B*: of 64 workers, from the first of ``NETWORKS`` to the last; and
    on the second, from one worker to 64. The error is that of step times, at one worker and at
    several, at local batch sizes that the model was not fitted to: the median over these in a
    group of rounds, with the model of that group, and the sign test over groups.
    """
    names = ("the cost of communication", "the number of workers")
    ends = ((FAST, MANY), (SLOW, MANY)), ((COMMON, 1), (COMMON, MANY))
    try:
        fits = Fits.of(reruns, steps, messages)
    except Refusal as refusal:
        moved = {name: refused(str(refusal)) for name in names}
    else:
        moved = {name: fits.moved(*pair) for name, pair in zip(names, ends, strict=True)}
    return {**moved, "the cost model": held_out_error(steps, messages)}


def seconds(model: CostModel, law: Hyperbola, batch_size: Floats, workers: int) -> Floats:
    """Return T(n, B)."""
    step_time_s = model.step_time_s(batch_size / workers, workers)
    return np.asarray(np.exp(law.predict(batch_size)) * step_time_s)


def fastest(model: CostModel, law: Hyperbola, workers: int) -> tuple[float, float]:
    """Return B*, of at least one example a worker, and T(n, B*)."""
    sizes = workers * 2 ** (np.arange(_PER_OCTAVE * _OCTAVES) / _PER_OCTAVE)
    taken = seconds(model, law, sizes, workers)
    best = int(taken.argmin())
    return float(sizes[best]), float(taken[best])


def octaves(model: CostModel, law: Hyperbola, start: Setting, end: Setting) -> float:
    """Return by how many octaves B* moves between two networks and numbers of workers."""
    sizes = [fastest(model.on(network), law, workers)[0] for network, workers in (start, end)]
    return math.log2(sizes[1] / sizes[0])


@dataclass(frozen=True)
class Fits:
    """Both laws: of everything, of each seed alone, and of each group of rounds alone."""

    law: Hyperbola
    laws: list[Hyperbola]
    model: CostModel
    models: list[CostModel]

    @classmethod
    def of(cls, reruns: pd.DataFrame, steps: pd.DataFrame, messages: pd.DataFrame) -> "Fits":
        """Fit them.

        Raises:
            Refusal: there is no law of steps, or too few local batch sizes for the model.
        """
        return cls(
            law_of_steps(reruns),
            [law_of_steps(rows) for _, rows in reruns.groupby("seed")],
            shared_work.fitted(steps, messages),
            [shared_work.fitted(*group) for group in _groups(steps, messages)],
        )

    def moved(self, start: Setting, end: Setting) -> Estimate:
        """Estimate the octaves between two settings, with an interval from seeds and rounds.

        The value is that of everything. Of the interval, the seeds' part is Student's t over
        the laws of single seeds, and the rounds' part that over the models of the groups. Both
        are put about the value; measured apart, they add up in squares.
        """
        value = octaves(self.model, self.law, start, end)
        by_seed = stats.mean([octaves(self.model, each, start, end) for each in self.laws])
        by_group = stats.mean([octaves(each, self.law, start, end) for each in self.models])
        return stats.independent_sum(_about(value, by_seed), _about(0.0, by_group))


def _about(value: float, spread: Estimate) -> Estimate:
    """Return ``value`` with the half-width of another estimate."""
    half = (spread.high - spread.low) / 2
    return Estimate(
        value, value - half, value + half, spread.level, spread.n, spread.reason,
        recompute=lambda other: _about(value, spread.at(other)),
    )  # fmt: skip


def law_of_steps(reruns: pd.DataFrame) -> Hyperbola:
    """Return the law of steps to the target.

    Raises:
        Refusal: too few sizes reached the target, or examples to it do not grow with B.
    """
    fitted = critical_batch_size.fit(reruns)
    critical = fitted.critical_batch_size
    if critical.value is None and not math.isfinite(critical.high):
        raise Refusal(critical.reason)
    return fitted.law


def held_out_error(steps: pd.DataFrame, messages: pd.DataFrame) -> Estimate:
    """Return the median relative error of step times at local batch sizes held out."""
    used = shared_work.fitted_on(steps["local_batch_size"].unique().tolist())
    errors = []
    for times, sent in _groups(steps, messages):
        try:
            model = shared_work.fitted(times, sent)
        except Refusal as refusal:
            return refused(str(refusal))
        points = _medians(times[~times["local_batch_size"].isin(used)])
        predicted = _predicted(model, points)
        errors.append(float((predicted / points["step_time_s"] - 1).abs().median()))
    return timing.median(errors)


def _medians(steps: pd.DataFrame) -> pd.DataFrame:
    keys = ["world_size", "local_batch_size"]
    return steps.groupby(keys)[["step_time_s"]].median().reset_index()


def _predicted(model: CostModel, points: pd.DataFrame) -> Floats:
    return model.step_time_s(points["local_batch_size"].to_numpy(), points["world_size"].to_numpy())


def _groups(
    steps: pd.DataFrame, messages: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield both tables for each of ``GROUPS`` interleaved groups of rounds."""
    groups = [table["round"].rank(method="dense") % GROUPS for table in (steps, messages)]
    for each in sorted(set(groups[0]) & set(groups[1])):
        yield steps[groups[0] == each], messages[groups[1] == each]


def step_table(steps: pd.DataFrame) -> pd.DataFrame:
    """Return step times for a figure: ``local_batch_size``, ``step_time_s``, its ends, ``way``."""
    used = shared_work.fitted_on(steps["local_batch_size"].unique().tolist())
    found = timing.medians(steps, "step_time_s", by=["world_size", "local_batch_size"])
    ways = [
        f"{_words(workers)}, {'fitted' if size in used else 'held out'}"
        for workers, size in zip(found.pop("world_size"), found["local_batch_size"], strict=True)
    ]
    return found.assign(way=ways)


def step_curve(model: CostModel, steps: pd.DataFrame) -> pd.DataFrame:
    """Return the model's step times: ``local_batch_size``, ``step_time_s``, ``way``."""
    ends = steps["local_batch_size"].min(), steps["local_batch_size"].max()
    sizes = np.geomspace(*ends, 60)
    return pd.concat(
        pd.DataFrame(
            {
                "local_batch_size": sizes,
                "step_time_s": model.step_time_s(sizes, workers),
                "way": f"the model, {_words(workers)}",
            }
        )
        for workers in sorted(steps["world_size"].unique())
    ).reset_index(drop=True)


def _words(workers: object) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def by_workers(model: CostModel, reruns: pd.DataFrame, most: int = 4_096) -> pd.DataFrame:
    """Draw B* and T(n, B*) of up to ``most`` workers on each network.

    Columns ``workers``, ``network``, ``fastest_batch_size``, ``seconds``; without rows where
    there is no law of steps. The compute is this machine's worker.
    """
    columns = ["workers", "network", "fastest_batch_size", "seconds"]
    try:
        law = law_of_steps(reruns)
    except Refusal:
        return pd.DataFrame(columns=columns)
    counts = [2**power for power in range(int(math.log2(most)) + 1)]
    rows = [
        (count, network.name, *fastest(model.on(network), law, count))
        for network in NETWORKS
        for count in counts
    ]
    return pd.DataFrame(rows, columns=columns)


def floor(model: CostModel, reruns: pd.DataFrame, most: int = 4_096) -> pd.DataFrame:
    """Return what no number of workers and no network can save: S_min steps of no examples.

    Columns ``workers``, ``seconds``, ``network``; a row at either end, or none without a law.
    """
    try:
        least = math.exp(law_of_steps(reruns).a) * model.fixed_time_s
    except Refusal:
        return pd.DataFrame(columns=["workers", "seconds", "network"])
    name = "the fewest steps, empty"
    return pd.DataFrame({"workers": [1, most], "seconds": least, "network": name})
