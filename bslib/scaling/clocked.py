"""Seconds to target by the clock, beside what steps to target and step times make of it.

Two ways to one number. The product T(B) = S(B) t(B) takes its factors from two measurements:
steps from a sweep's reruns, which train side by side, and the time of a step taken alone. The
clock times whole trainings, one after another, at the learning rates that the sweep tuned.
Where the two differ, something about a training is not in its steps.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib import stats, training
from bslib.data import Task
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size, crossing, time_to_target, tuned
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused
from bslib.throughput import StepTimeLaw, fit_law

CLOCKED, PRODUCT, EPOCH = "by the clock", "steps times step time", "one epoch"
LAWS = "the laws"
# Clocked trainings' seeds start this far above the first: beyond the sweep's grid and reruns.
FRESH = 2_000
# A clocked training is first evaluated after this share of the steps that the sweep took.
UNSEEN = 0.5
# It ends, at the latest, after this many times those steps.
PATIENCE = 4.0


def trainings(
    task: Task,
    swept: Sweep,
    *,
    metric: str,
    value: float,
    batch_sizes: Sequence[int],
    seed: int,
    seeds: int,
    resolution: float = 0.1,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Train to the target at tuned rates, one training at a time, by the clock.

    A seed meets the sizes in random order, one right after another, so that they share what
    the machine is doing. The clock runs while steps are taken, the drawing of batches
    included, and not while the loss is evaluated. The target is crossed between two
    evaluations (:mod:`bslib.scaling.crossing`).

    Args:
        task: what the sweep trained on, with its model, on its device.
        swept: gives the learning rates.
        metric, value: the target, as the sweep had it.
        batch_sizes: of the sweep; those whose outcome is not "tuned" are left out.
        seed, seeds: first seed, and how many; the trainings use seeds that the sweep did not,
            and end at ``PATIENCE`` times the steps that its reruns typically took.
        resolution: evaluations are this far apart, as a fraction of the steps.
        clock: seconds, from any origin.
        progress: told after every training.

    Returns:
        A row a training: ``batch_size``, ``seed``, ``steps_to_target``, ``seconds`` (NaN, both,
        where the target was not reached), ``learning_rate``, ``status``, ``method``.
    """
    target = training.Target(metric, value)
    winners = swept.winners[swept.winners["outcome"] == "tuned"]
    rates = dict(zip(winners["batch_size"], winners["learning_rate"], strict=True))
    typical = swept.reruns.groupby("batch_size")["steps_to_target"].median().dropna()
    sizes = [size for size in batch_sizes if size in rates and size in typical.index]
    order = list(_order(sizes, range(seed + FRESH, seed + FRESH + seeds)))
    rows = []
    for done, (each, size) in enumerate(order):
        progress(done, len(order))
        trained = training.train(
            task,
            batch_size=size,
            learning_rates=[rates[size]],
            seeds=[each],
            budget=training.Budget(steps=_last(typical[size])),
            target=target,
            evaluate_every=_evaluations(typical[size], resolution),
            evaluate_on=(target.part,),
            clock=clock,
        )
        rows.append(_row(trained, target))
    progress(len(order), len(order))
    columns = ["batch_size", "seed", "steps_to_target", "seconds", "learning_rate", "status"]
    return pd.DataFrame(rows, columns=columns).assign(method=CLOCKED)


def _order(sizes: list[int], seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    for seed in seeds:
        for index in np.random.default_rng(seed).permutation(len(sizes)):
            yield seed, sizes[index]


def _last(typical: float) -> int:
    return math.ceil(PATIENCE * typical)


def _evaluations(typical: float, resolution: float) -> list[int]:
    """Return the steps after which to evaluate: 1, and from well before the crossing on."""
    steps = tuned.evaluation_steps(_last(typical), resolution)
    return [1, *(step for step in steps if step > max(1.0, UNSEEN * typical))]


def _row(trained: training.Training, target: training.Target) -> dict[str, float | str]:
    member = crossing.steps_to_target(trained, target).iloc[0]
    kept = ["batch_size", "seed", "steps_to_target", "learning_rate", "status"]
    return {name: member[name] for name in kept} | {
        "seconds": member["steps_to_target"] * step_seconds(trained.history)
    }


def step_seconds(history: pd.DataFrame) -> float:
    """Return the mean time of a step of one training, its first one left out.

    In the first, buffers are allocated and a GPU's step is recorded.
    """
    later = history[history["step"] >= 1]
    first, last = later.iloc[0], later.iloc[-1]
    if last["step"] == first["step"]:
        return float(last["seconds"] / last["step"])
    return float((last["seconds"] - first["seconds"]) / (last["step"] - first["step"]))


def products(reruns: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return each rerun's seconds to target: its steps times the median step time of its size.

    Args:
        reruns: ``batch_size``, ``seed``, ``steps_to_target``.
        times: ``batch_size``, ``step_time_s``, as :func:`bslib.throughput.step_times` gives.
    """
    step_time_s = times.groupby("batch_size")["step_time_s"].median()
    found = reruns[["batch_size", "seed", "steps_to_target"]].reset_index(drop=True)
    seconds = found["steps_to_target"] * found["batch_size"].map(step_time_s)
    return found.assign(seconds=seconds, method=PRODUCT)


def epochs(times: pd.DataFrame, batch_sizes: Sequence[int], examples: int) -> pd.DataFrame:
    """Return what an epoch takes: N / B times the step time, a row a timed block."""
    found = times[times["batch_size"].isin(batch_sizes)]
    seconds = examples / found["batch_size"] * found["step_time_s"]
    return pd.DataFrame({"batch_size": found["batch_size"], "seconds": seconds}).assign(
        method=EPOCH
    )


def summary(*ways: pd.DataFrame, y: str = "seconds") -> pd.DataFrame:
    """Return the geometric mean of ``y`` for each ``method`` and batch size, with its interval."""
    rows = pd.concat([way[["method", "batch_size", y]] for way in ways])
    found = stats.summarize(rows, y=y, by=["method", "batch_size"], log=True)
    return found.sort_values(["method", "batch_size"], ignore_index=True)


def telling_sizes(expected: pd.DataFrame, examples: int) -> list[int]:
    """Return the sizes that are worth a clock: the smallest, the fastest below N, the largest.

    Args:
        expected: of :func:`products`; decides which size is the fastest.
        examples: N.
    """
    medians = expected.groupby("batch_size")["seconds"].median().dropna()
    below = medians[medians.index < examples]
    sizes = medians.index.to_numpy(int)
    fastest = [below.index.to_numpy(int).tolist()[below.argmin()]] if len(below) else []
    return sorted({*sizes[:1].tolist(), *fastest, *sizes[-1:].tolist()})


def full_over_best(
    clocked: pd.DataFrame, expected: pd.DataFrame, examples: int, level: float = 0.95
) -> Estimate:
    """Return T(N) / T(B) of the fastest mini-batch: the geometric mean over seeds.

    Which mini-batch is the fastest is read from other trainings than those it is judged by,
    else the ratio would be too high by the luck that it was chosen for.

    Args:
        clocked: of :func:`trainings`.
        expected: of :func:`products`; decides which size is the fastest.
        examples: N.
        level: confidence level of the interval, Student's t over the seeds' log ratios.
    """
    sizes = set(clocked["batch_size"])
    if examples not in sizes:
        reason = f"the full batch of {examples:,} is not among the tuned batch sizes"
        return refused(reason, level=level)
    typical = expected[expected["batch_size"].isin(sizes - {examples})]
    medians = typical.groupby("batch_size")["seconds"].median().dropna()
    if medians.empty:
        return refused("no mini-batch below the full batch reached the target", level=level)
    seconds = clocked.pivot(index="seed", columns="batch_size", values="seconds")
    pair = np.log(seconds[examples]), np.log(seconds[medians.idxmin()])
    return stats.exponential(stats.paired_difference(*pair, level))


@dataclass(frozen=True)
class Prediction:
    """What the two laws make of the sweep and the step times.

    Attributes:
        law: of step times.
        critical_batch_size, half_batch_size: of the laws of steps and of step times.
        best_batch_size: their geometric mean.
        curve: ``batch_size``, ``steps_to_target`` on the law of steps and ``seconds`` on the
            product of the laws, ``method``; empty where there is no law of steps.
    """

    law: StepTimeLaw
    critical_batch_size: Estimate
    half_batch_size: Estimate
    best_batch_size: Estimate
    curve: pd.DataFrame

    @property
    def rates(self) -> pd.DataFrame:
        """``examples_per_s`` on the law at the sizes timed, as :func:`bslib.throughput.rates`."""
        sizes = self.law.residuals["batch_size"]
        rates = self.law.examples_per_s(sizes)
        return pd.DataFrame({"batch_size": sizes, "examples_per_s": rates, "way": "the law"})

    @property
    def table(self) -> pd.DataFrame:
        """The three sizes."""
        return stats.table(
            {
                "critical batch size": self.critical_batch_size,
                "batch size of half the throughput": self.half_batch_size,
                "fastest batch size, predicted": self.best_batch_size,
            }
        )


def predict(reruns: pd.DataFrame, times: pd.DataFrame) -> Prediction:
    """Fit the law of steps to a sweep's reruns, and the law of step times; multiply them.

    Too few batch sizes for a fit make a prediction without values, and with the reason.
    """
    law = fit_law(times)
    half = law.half_batch_size
    try:
        fitted = critical_batch_size.fit(reruns)
    except Refusal as refusal:
        critical, sizes, steps = _unknown(str(refusal)), np.array([]), np.array([])
    else:
        critical = fitted.critical_batch_size
        sizes = np.geomspace(reruns["batch_size"].min(), reruns["batch_size"].max(), 100)
        steps = np.exp(fitted.law.predict(sizes))
    curve = pd.DataFrame({"batch_size": sizes, "steps_to_target": steps, "method": LAWS})
    curve["seconds"] = steps * law.step_time_s(sizes)
    best = time_to_target.estimated_best_batch_size(critical, half)
    return Prediction(law, critical, half, best, curve)


def _unknown(reason: str, level: float = 0.95) -> Estimate:
    return Estimate(
        None, 0.0, np.inf, level, 0, reason, recompute=functools.partial(_unknown, reason)
    )
