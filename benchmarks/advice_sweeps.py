"""What bench_advice.py measures without any advice: the full sweep, and the time of a step."""

import functools
import os
import time
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from advice_problems import Workload
from advice_results import columns
from torch import nn

from bslib import throughput
from bslib.advise.targets import OPTIMIZERS
from bslib.memory import TaskLoss, TrainingStep
from bslib.scaling import critical_batch_size, tuned
from bslib.throughput.training_step import block_counts

# The rate is tuned on three seeds. The winner is trained again on nine others: the minimum over
# sizes of a mean of three would be the lower for luck. The sweep's cost counts three of them.
SEEDS, RERUNS = 3, 9
POINTS, FACTOR, PATIENCE = 5, 2.0, 4.0
ROUNDS, BLOCK_S = 21, 5e-3
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
KEPT = ["role", "batch_size", "learning_rate", "seed", "status", "steps", "steps_to_target"]
STATED = ["batch_size", "learning_rate", "outcome", "side", "extensions"]


@dataclass(frozen=True)
class Swept:
    """A sweep as it was written down.

    Attributes:
        steps: S(B), the mean over the reruns' seeds, at the sizes that were tuned and reached
            the target with every seed.
        rates: the tuned learning rate at each size.
        examples: processed by a sweep of three seeds, grid and reruns.
    """

    runs: pd.DataFrame = field(repr=False)
    winners: pd.DataFrame
    steps: pd.Series
    rates: pd.Series
    examples: int

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Swept":
        """Read one."""
        runs = pd.DataFrame(stored["runs"]).astype({"steps_to_target": float})
        winners = pd.DataFrame(stored["winners"]).set_index("batch_size")
        tuned_sizes = winners.index[winners["outcome"] == "tuned"]
        reruns = runs[(runs["role"] == "rerun") & runs["batch_size"].isin(tuned_sizes)]
        found = reruns.groupby("batch_size")["steps_to_target"]
        steps = found.mean()[found.count() == found.size()]
        return cls(runs, winners, steps, winners["learning_rate"], stored["examples"])

    @property
    def reruns(self) -> pd.DataFrame:
        """The trainings that are compared."""
        rerun, sizes = self.runs["role"] == "rerun", self.runs["batch_size"]
        return self.runs[rerun & sizes.isin(self.steps.index)].reset_index(drop=True)

    @property
    def seeds(self) -> list[int]:
        """The reruns' seeds."""
        return sorted(int(seed) for seed in self.reruns["seed"].unique())


def sweep(workload: Workload) -> dict[str, Any]:
    """Tune every batch size and train the winners on fresh seeds."""
    start = time.process_time()
    found = tuned.to_target(
        task=workload.task,
        examples=workload.examples,
        model=workload.model,
        options=workload.options,
        optimizer={"name": workload.optimizer},
        batch_sizes=workload.batch_sizes,
        metric=workload.metric,
        value=workload.value,
        most_examples=workload.most_examples,
        learning_rate=workload.learning_rate,
        noise_scale=workload.noise_scale,
        resolution=workload.resolution,
        grid_seeds=SEEDS,
        seeds=RERUNS,
        points=POINTS,
        factor=FACTOR,
        patience=PATIENCE,
    )
    runs, winners = found["runs"], found["winners"]
    grid = runs["role"] == "grid"
    first = runs["seed"] < runs.loc[~grid, "seed"].min() + SEEDS
    return {
        "examples": int(runs.loc[grid | first, "examples"].sum()),
        "cpu_s": round(time.process_time() - start, 1),
        "winners": columns(winners[STATED]),
        "runs": columns(runs[KEPT]),
    }


def settings() -> list[Any]:
    """Return what a sweep depends on besides its problem."""
    return [SEEDS, RERUNS, POINTS, FACTOR, PATIENCE]


@dataclass(frozen=True)
class _Step:
    """A step of the user's own kind at one batch size, at a learning rate of 0."""

    step: TrainingStep
    module: nn.Module
    optimizer: Any
    batch_size: int

    def __call__(self) -> None:
        examples = self.step.examples
        self.step.take(self.module, self.optimizer, examples, self.batch_size, lambda phase: None)


def times(workload: Workload) -> dict[str, Any]:
    """Time an ordinary step of torch's at every size of the sweep: interleaved, one thread.

    By the processor's clock, which on one thread is the time that passes on a quiet machine, and
    then by the wall's: where the two tell different stories, the machine was not quiet.
    """
    task = workload.load()
    module = workload.module(task, 0)
    make = functools.partial(OPTIMIZERS[workload.optimizer], lr=0.0)
    examples = (task.train.inputs, task.train.targets)
    step = TrainingStep(module, TaskLoss(task.loss), examples, make)
    optimizer = make(module.parameters())
    steps = {size: _Step(step, module, optimizer, size) for size in workload.batch_sizes}
    load = os.getloadavg()[0]
    counts = block_counts(steps, block_s=BLOCK_S, clock=time.process_time)
    timed = {
        name: throughput.step_times(steps, rounds=ROUNDS, calls=counts, clock=clock)
        for name, clock in CLOCKS.items()
    }
    ends = ["step_time_s", "step_time_low_s", "step_time_high_s"]
    told = {
        name: columns(throughput.summary(each)[["batch_size", *ends]])
        for name, each in timed.items()
    }
    half = throughput.fit_law(timed["cpu"]).half_batch_size
    return {"load": round(load, 2), **told, "half_batch_size": [half.value, half.low, half.high]}


def step_times(stored: dict[str, Any], clock: str = "cpu") -> pd.Series:
    """Return t(B), the median, in seconds by one of the clocks, "cpu" and "wall"."""
    return pd.DataFrame(stored[clock]).set_index("batch_size")["step_time_s"]


def critical(swept: Swept) -> dict[str, Any]:
    """Fit the law of steps; its value is None, with the reason, where the sweep shows no law."""
    fitted = critical_batch_size.fit(swept.reruns)
    found = fitted.critical_batch_size
    error = round(fitted.max_relative_error, 3)
    told = {"value": found.value, "low": found.low, "high": found.high, "reason": found.reason}
    return told | {"max_relative_error": error}
