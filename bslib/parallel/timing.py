"""Step times of one worker and of several, and of the all-reduce between them.

In every round each local batch size is timed once on one worker, while the others wait, and
once on all together, in an order that all share: whatever drifts on the machine meets both.
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bslib import data, models
from bslib import device as devices
from bslib.data import Task
from bslib.parallel.torchrun import launch, worker_device

BLOCK_S = 6e-3
MOST_CALLS = 50


def measure(
    task: str,
    local_batch_sizes: Sequence[int],
    message_bytes: Sequence[int],
    *,
    world_size: int = 2,
    rounds: int,
    seed: int,
    examples: int | None = None,
    model: str | None = None,
    options: Mapping[str, int | str] | None = None,
    timeout_s: float = 240.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Time SGD steps of one worker and of ``world_size`` under DistributedDataParallel.

    And the all-reduce between them, in the same processes.

    Args:
        task, examples, model, options: by name, as for ``data.load`` and ``models.build``.
        local_batch_sizes: examples a worker and step.
        message_bytes: sizes of the messages that are reduced.
        world_size: how many workers, on this machine, one thread each.
        rounds: timed blocks of each.
        seed: of weights, and of the order in a round.
        timeout_s: for all of it.

    Returns:
        Of steps, a row a timed block: ``local_batch_size``, ``world_size`` (1 or as given),
        ``round``, ``step_time_s`` (of the slowest worker), ``gradient_bytes`` (what the workers
        add up in a step). Of messages: ``bytes``, ``world_size``, ``round``, ``seconds``.
    """
    steps = {"local_batch_sizes": list(local_batch_sizes), "rounds": rounds, "seed": seed}
    task_named = {"task": task, "examples": examples, "model": model}
    messages = {"sizes": list(message_bytes), "rounds": rounds}
    timed, sent = launch(
        _time_both,
        world_size=world_size,
        timeout_s=timeout_s,
        steps={**task_named, **steps, "options": dict(options or {})},
        messages=messages,
    )[0]
    return _step_frame(*timed), _message_frame(sent)


def measure_messages(
    message_bytes: Sequence[int], *, world_size: int, rounds: int = 5, timeout_s: float = 120.0
) -> pd.DataFrame:
    """Time the all-reduce alone, between workers of this machine: the second of both tables."""
    sizes = list(message_bytes)
    rows = launch(
        _time_all_reduce, world_size=world_size, timeout_s=timeout_s, sizes=sizes, rounds=rounds
    )[0]
    return _message_frame(rows)


def _message_frame(rows: list[list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["bytes", "world_size", "round", "seconds"])


def _step_frame(rows: list[list[Any]], gradient_bytes: int) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["local_batch_size", "world_size", "round", "step_time_s"])
    frame = frame.sort_values(["world_size", "local_batch_size", "round"], ignore_index=True)
    return frame.assign(gradient_bytes=gradient_bytes)


def _time_both(steps: dict[str, Any], messages: dict[str, Any]) -> list[Any]:
    return [_time_steps(**steps), _time_all_reduce(**messages)]


def _time_steps(
    task: str,
    examples: int | None,
    model: str | None,
    options: Mapping[str, int | str],
    local_batch_sizes: Sequence[int],
    rounds: int,
    seed: int,
) -> tuple[list[list[Any]], int]:
    loaded = data.load(task, examples=examples, seed=seed, device=worker_device())
    workers = torch.distributed.get_world_size()
    alone = models.build(model or loaded.model, loaded, seed=seed, **options)
    together = models.build(model or loaded.model, loaded, seed=seed, **options)
    gradient_bytes = sum(each.nbytes for each in alone.parameters())
    alone.to(worker_device())
    together.to(worker_device())
    single = _steps(alone, loaded, local_batch_sizes)
    shared = _steps(DistributedDataParallel(together), loaded, local_batch_sizes)
    each_alone, each_together = _agreed_counts(single), _agreed_counts(shared)
    generator = np.random.default_rng(seed)  # the same on every worker
    rows: list[list[Any]] = []
    for each in range(rounds):
        for index in generator.permutation(len(local_batch_sizes)):
            size = local_batch_sizes[index]
            rows.append([size, 1, each, _alone(single[size], each_alone[size])])
            rows.append([size, workers, each, _together(shared[size], each_together[size])])
    return rows, gradient_bytes


def _time_all_reduce(sizes: Sequence[int], rounds: int) -> list[list[Any]]:
    messages = {size: torch.ones(max(1, size // 4), device=worker_device()) for size in sizes}
    calls = {
        size: functools.partial(torch.distributed.all_reduce, message)
        for size, message in messages.items()
    }
    counts = _agreed_counts(calls, most=20)
    workers = torch.distributed.get_world_size()
    return [
        [size, workers, each, _together(calls[size], counts[size])]
        for each in range(rounds)
        for size in sizes
    ]


def _steps(
    module: nn.Module, task: Task, batch_sizes: Sequence[int]
) -> dict[int, Callable[[], object]]:
    """Return what a step at each local batch size is; the rate is 0, so that all are alike."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)

    def step(size: int) -> None:
        optimizer.zero_grad()
        batch = task.train.inputs[:size], task.train.targets[:size]
        task.loss(module(batch[0]), batch[1]).mean().backward()
        optimizer.step()

    return {size: functools.partial(step, size) for size in batch_sizes}


def _agreed_counts(
    calls: Mapping[int, Callable[[], object]], most: int = MOST_CALLS
) -> dict[int, int]:
    """Return how many calls fill a block: what rank 0 finds, on every worker."""
    counts = [int(np.clip(BLOCK_S / _block(call, 1), 1, most)) for call in calls.values()]
    agreed = torch.tensor(counts, device=worker_device())
    torch.distributed.broadcast(agreed, 0)
    return dict(zip(calls, agreed.tolist(), strict=True))


def _alone(call: Callable[[], object], count: int) -> float:
    """Time calls on rank 0 while the others wait."""
    torch.distributed.barrier()
    seconds = _block(call, count) if torch.distributed.get_rank() == 0 else 0.0
    torch.distributed.barrier()
    return seconds


def _together(call: Callable[[], object], count: int) -> float:
    """Time calls on all workers; return the slowest's seconds a call."""
    torch.distributed.barrier()
    seconds = _block(call, count)
    slowest = torch.tensor(seconds, dtype=torch.float64, device=worker_device())
    torch.distributed.all_reduce(slowest, torch.distributed.ReduceOp.MAX)
    return slowest.item()


def _block(call: Callable[[], object], count: int) -> float:
    device = torch.device(worker_device())
    call()
    devices.synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        call()
    devices.synchronize(device)
    return (time.perf_counter() - start) / count
