"""What bench_advice.py makes of the advice: how much slower than the best, and at what cost.

The regret of a size is T(B) / min T, T(B) = S(B) t(B) with both as measured. The minimum is over
means of the sizes swept, so it is the lower for luck, and regrets are the larger for it.
"""

import functools
import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from advice_problems import Workload
from advice_sweeps import Swept

from bslib import advise, training
from bslib.data import Task
from bslib.scaling import crossing, tuned
from bslib.training import optimizers

BATCH_SIZE = 32  # the user's own, with the rate that the sweep tuned for it
BUDGET_S, ADVICES = 15.0, 3
FLAT = 1.1
ALWAYS = (32, 256)


def settings() -> list[Any]:
    """Return what the advice depends on besides problem, sweep and source."""
    return [BATCH_SIZE, BUDGET_S, ADVICES]


def asked(workload: Workload, swept: Swept) -> dict[str, Any]:
    """Ask for advice with several seeds, and train as each says."""
    task, load = workload.load(), os.getloadavg()[0]
    advices = [ask(workload, task, float(swept.rates[BATCH_SIZE]), seed) for seed in range(ADVICES)]
    followed: dict[tuple[int, float, float | None], list[float | None]] = {}
    for each in advices:
        way = each["batch_size"], each["learning_rate"], each["beta2"]
        if None not in way[:2] and way not in followed:
            followed[way] = follow(workload, task, swept.seeds, *way)
        each["steps_to_target"] = followed.get(way, [])
    return {"load": round(load, 2), "advices": advices}


def ask(workload: Workload, task: Task, learning_rate: float, seed: int) -> dict[str, Any]:
    """Ask once, as somebody who trains at a batch size of 32 and its tuned rate."""
    problem = workload.problem(task, learning_rate=learning_rate, batch_size=BATCH_SIZE, seed=seed)
    found = advise.advise(problem, device="cpu", budget_s=BUDGET_S, seed=seed)
    rate, noise = found.learning_rate, found.noise
    half = found.throughput.half_batch_size
    critical = noise.critical_batch_size if noise is not None else None
    return {
        "seed": seed,
        "batch_size": found.batch_size,
        "largest": found.largest,
        "flat_region": found.flat_region,
        "certain": found.certain,
        "learning_rate": None if rate is None else rate.value,
        "beta2": None if rate is None else rate.beta2,
        "critical_batch_size": None if critical is None else _ends(critical),
        "half_batch_size": _ends(half),
        "examples": found.examples,
        "seconds": round(found.asked.seconds, 1),
    }


def _ends(estimate: Any) -> list[float | None]:
    ends = (estimate.value, estimate.low, estimate.high)
    return [None if end is None or not math.isfinite(end) else end for end in ends]


def follow(
    workload: Workload,
    task: Task,
    seeds: list[int],
    batch_size: int,
    learning_rate: float,
    beta2: float | None,
) -> list[float | None]:
    """Train at the advised size and rate, with the sweep's seeds; return the steps to target.

    None where a training does not reach it. The rate is constant, as it was in the sweep: what is
    said of warm-up is not followed.
    """
    target = training.Target(workload.metric, workload.value)
    optimizer = optimizers.resolve(workload.optimizer)
    if beta2 is not None and isinstance(optimizer, training.Adam):
        optimizer = replace(optimizer, betas=(optimizer.betas[0], beta2))
    last = workload.most_examples // batch_size + 1
    trained = training.train(
        task,
        batch_size=batch_size,
        learning_rates=[learning_rate] * len(seeds),
        seeds=seeds,
        model=functools.partial(_module, workload, task),
        optimizer=optimizer,
        budget=training.Budget(examples=workload.most_examples),
        target=target,
        evaluate_every=tuned.evaluation_steps(last, workload.resolution),
        evaluate_on=(target.part,),
    )
    steps = crossing.steps_to_target(trained, target)["steps_to_target"]
    return [None if math.isnan(each) else float(f"{each:.5g}") for each in steps]


def _module(workload: Workload, task: Task, *, seed: int) -> Any:
    return workload.module(task, seed)


def seconds(steps: pd.Series, step_times: pd.Series) -> pd.Series:
    """Return T(B) at the sizes that have both."""
    return (steps * step_times).dropna()


def at(values: pd.Series, batch_size: float) -> float:
    """Return a quantity at any size: log-log between its neighbours, NaN beyond the ends."""
    sizes, known = np.log(values.index.to_numpy(float)), np.log(values.to_numpy(float))
    found = np.interp(math.log(batch_size), sizes, known, left=math.nan, right=math.nan)
    return float(np.exp(found))


def regrets(swept: Swept, step_times: pd.Series, advices: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row an advice.

    Columns: ``batch_size``; ``regret`` of the size at its tuned rate; ``followed``, of the size at
    the advised rate, over the same best (infinite where a training did not reach the target);
    ``unreached``, how many did not; ``cost``, examples of advising over the sweep's.
    """
    best = seconds(swept.steps, step_times).min()
    rows = []
    for each in advices:
        told = {name: each[name] for name in ("seed", "batch_size", "certain")}
        told["unreached"] = each["steps_to_target"].count(None)
        cost = each["examples"] / swept.examples
        if each["batch_size"] is None:  # no advice
            rows.append({**told, "regret": math.inf, "followed": math.inf, "cost": cost})
            continue
        step_s = at(step_times, each["batch_size"])
        taken = [math.inf if count is None else count for count in each["steps_to_target"]]
        steps = {"regret": at(swept.steps, each["batch_size"]), "followed": sum(taken) / len(taken)}
        found = {name: float(count * step_s / best) for name, count in steps.items()}
        rows.append({**told, **found, "cost": cost})
    return pd.DataFrame(rows)


def references(swept: Swept, step_times: pd.Series) -> dict[str, float]:
    """Return the regrets of fixed sizes, and of the largest that was swept."""
    taken = seconds(swept.steps, step_times)
    sizes = {f"always {size}": size for size in ALWAYS} | {"the largest": taken.index.max()}
    return {name: float(at(taken, size) / taken.min()) for name, size in sizes.items()}


def flat_region(taken: pd.Series) -> list[int]:
    """Return the smallest and the largest swept size within a tenth of the best time."""
    near = taken.index[taken <= FLAT * taken.min()]
    return [int(near.min()), int(near.max())]
