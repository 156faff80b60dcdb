"""The door to training: checks what is asked, splits it to fit, and joins what comes back."""

import time
from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from bslib import models
from bslib.data import Task
from bslib.models import normalization
from bslib.refusal import Refusal
from bslib.training import optimizers
from bslib.training.budgets import Budget, Target
from bslib.training.engine import Records, Run
from bslib.training.footprint import footprint, room
from bslib.training.result import Training
from bslib.training.schedules import Schedule
from bslib.training.setup import Members, Progress, Setup
from bslib.training.stacking import choose

Model = str | Callable[..., nn.Module]


def train(
    task: Task,
    *,
    batch_size: int,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    budget: Budget,
    model: Model | None = None,
    initial: Sequence[nn.Module] | Training | None = None,
    optimizer: str | optimizers.Optimizer = "sgd",
    schedule: str = "constant",
    warmup: float = 0.0,
    target: Target | None = None,
    evaluate_every: int | Sequence[int] | None = None,
    evaluate_on: Sequence[str] = ("train", "validation"),
    checkpoints: Sequence[int] = (),
    record_batch_loss: bool = False,
    replacement: bool = False,
    drop_last: bool = False,
    strategy: str = "auto",
    memory_bytes: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> Training:
    """Train many networks at one batch size side by side, a member a (learning rate, seed).

    A member equals the same training alone, to rounding: what it learns depends neither on
    its neighbours nor on when they end. It runs on the task's device and in its inputs' dtype
    (``task.to("cuda")``), and is deterministic on a CPU; the global generator is not used.

    Args:
        task: what is learnt; all of it stays on its device.
        batch_size: examples a step.
        learning_rates, seeds: a member each, pairwise. A seed draws the initial weights and,
            apart from them, the order of the examples.
        budget: when training ends at the latest.
        model: a name in ``MODELS``, or a function that takes ``seed=`` and returns a module
            (``functools.partial(models.build, "mlp", task, width=256)``); by default the
            task's model.
        initial: networks to start from instead, a member each, or a training's last ones. The
            optimiser starts anew, and so does the order of the examples: go on with other
            seeds, or see the first epochs' order again.
        optimizer: "sgd", "momentum", "adam", "adamw", or ``SGD(...)``, ``Adam(...)``.
        schedule: "constant" or "cosine" over the budget.
        warmup: fraction of the budget over which the learning rate rises from 0.
        target: ends a member that reaches it, at the next evaluation.
        evaluate_every: steps between evaluations, or the steps after which to evaluate. There
            is always one before the first step and one at the end.
        evaluate_on: of "train", "validation", "test"; the first one's loss shows divergence.
        checkpoints: steps after which each member's network is kept.
        record_batch_loss: keep each step's mini-batch loss.
        replacement: draw each batch independently, instead of epochs without replacement.
        drop_last: leave out an epoch's smaller last batch.
        strategy: how members are trained at once; see :mod:`bslib.training.stacking`.
        memory_bytes: what may be used at once, by estimate; by default half of what is free.
            Members that do not fit are trained in several runs, each with the whole budget.
        clock: seconds, for budgets of time and the tables.
        progress: called with (done, total).

    Raises:
        Refusal: an argument that is out of its range, one member that does not fit, or a
            batch (an epoch's last one too) that a norm of the model has no statistics for.
    """
    members = _members(task, learning_rates, seeds, model, initial, optimizer)
    setup = Setup(
        task,
        batch_size,
        optimizers.resolve(optimizer),
        Schedule(schedule, warmup),
        budget,
        target,
        evaluate_every,
        tuple(evaluate_on),
        tuple(checkpoints),
        record_batch_loss,
        replacement,
        drop_last,
        choose(members.modules[0], task.train.inputs.device.type, strategy),
        clock,
    )
    for size in {batch_size, 0 if drop_last else len(task.train) % batch_size}:
        normalization.check_batch(members.modules[0], task.train.inputs, size)
    with torch.no_grad():
        return _in_chunks(setup, members, memory_bytes, progress)


def _members(
    task: Task,
    rates: Sequence[float],
    seeds: Sequence[int],
    model: Model | None,
    initial: Sequence[nn.Module] | Training | None,
    optimizer: str | optimizers.Optimizer,
) -> Members:
    count = len(seeds)
    if not count or len(rates) != count:
        raise Refusal(f"a member is a learning rate with a seed: got {len(rates)} and {count}")
    if any(not rate >= 0 for rate in rates):
        raise Refusal(f"learning rates must be at least 0, not {list(rates)}")
    if isinstance(initial, Training):
        initial = [initial.module(member) for member in range(len(initial.members))]
    modules = _built(task, seeds, model) if initial is None else list(initial)
    if len(modules) != count:
        raise Refusal(f"initial holds {len(modules)} networks for {count} members")
    decays = optimizers.decays(optimizers.resolve(optimizer), count)
    return Members(range(count), list(seeds), [float(rate) for rate in rates], decays, modules)


def _built(task: Task, seeds: Sequence[int], model: Model | None) -> list[nn.Module]:
    if model is None or isinstance(model, str):
        return [models.build(model or task.model, task, seed=seed) for seed in seeds]
    return [model(seed=seed) for seed in seeds]


def _in_chunks(
    setup: Setup, members: Members, memory_bytes: int | None, progress: Progress | None
) -> Training:
    """Train as many members at once as fit, then the next."""
    limit = room(setup.task.train.inputs.device) if memory_bytes is None else memory_bytes
    chunks = _chunks(setup, members, limit)
    parts = []
    for number, chunk in enumerate(chunks):
        parts.append(Run(setup, chunk).finish(_share(progress, number, len(chunks))))
    peak = _need(setup, chunks[0])
    return _joined(setup, parts, peak)


def _need(setup: Setup, members: Members) -> int:
    return footprint(
        setup.task,
        members.modules[0],
        members=len(members),
        batch_size=setup.batch_size,
        optimizer=optimizers.for_members(setup.optimizer, members.decays),
        strategy=setup.strategy,
        drop_last=setup.drop_last,
    )


def _chunks(setup: Setup, members: Members, limit: int) -> list[Members]:
    """Cut the members into as few runs of nearly equal size as fit into ``limit`` bytes."""
    count = len(members)
    for runs in range(1, count + 1):
        size = -(-count // runs)
        chunks = [members.some(first, size) for first in range(0, count, size)]
        if _need(setup, chunks[0]) <= limit:
            return chunks
    need = _need(setup, members.some(0, 1))
    raise Refusal(f"one training needs about {need:,} bytes, more than the {limit:,} allowed")


def _share(progress: Progress | None, number: int, runs: int) -> Progress:
    """Return the progress callback of one run among several."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(number * total + done, runs * total)


def _joined(setup: Setup, parts: Sequence[Records], peak: int) -> Training:
    members = [row for part in parts for _, row in sorted(part.members.items())]
    return Training(
        pd.DataFrame(members),
        pd.DataFrame([row for part in parts for row in part.history]),
        _losses(parts, [row["steps"] for row in members]) if setup.record_batch_loss else None,
        setup.strategy,
        peak,
        len(parts),
        {key: module for part in parts for key, module in part.modules.items()},
    )


def _losses(parts: Sequence[Records], steps: Sequence[int]) -> Tensor:
    """Join what was recorded, (members, steps); NaN after a member's end."""
    kind = next((values.dtype for part in parts for _, values in part.losses), torch.float32)
    joined = torch.full((len(steps), max(steps)), torch.nan, dtype=kind)
    first = 0
    for part in parts:
        at = 0
        for rows, values in part.losses:
            members = [first + row for row in rows]
            joined[members, at : at + values.shape[1]] = values.cpu()
            at += values.shape[1]
        first += len(part.members)
    for row, end in enumerate(steps):
        joined[row, end:] = torch.nan
    return joined
