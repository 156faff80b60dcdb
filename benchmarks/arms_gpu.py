"""The arms of the GPU benchmark: a sweep side by side, one by one, on JAX; and its floor."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import arms
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from bslib import device as devices
from bslib import training
from bslib.data import Task
from bslib.training import engine, stepping

SWEEP, ONE_BY_ONE, JAX, FLOOR = "sweep", "one by one", "JAX", "the floor"
WARM = 4  # steps before the clock counts: in the first, a GPU's step is recorded
SQUARE, COPIED = 4_096, 2**28

# An arm: examples a second, over that many steps at a batch size; set-up left out.
Arm = Callable[[int, int], float]  # (batch_size, steps)


def running(
    task: Task, model: str, where: torch.device, members: int, alone: int
) -> tuple[dict[str, Arm], dict[str, str]]:
    """Return the arms by name, and why others are missing."""
    placed = task.to(where)
    found: dict[str, Arm] = {
        SWEEP: partial(sweep, placed, model, members),
        ONE_BY_ONE: partial(one_by_one, placed, model, alone),
        FLOOR: partial(floor, placed, model, members),
    }
    try:
        return found | {JAX: _jax(task, model, where, members)}, {}
    except (ImportError, RuntimeError) as error:
        return found, {JAX: str(error)}


def sweep(task: Task, model: str, members: int, batch_size: int, steps: int) -> float:
    """Train all members through the engine; the clock counts from the ``WARM``-th step on."""
    history = train(task, model, members, batch_size, steps).history
    ends = history[history["step"] >= min(WARM, steps - 1)].groupby("step")["seconds"].first()
    taken = ends.index[-1] - ends.index[0]
    return float(members * batch_size * taken / (ends.iloc[-1] - ends.iloc[0]))


def train(task: Task, model: str, members: int, batch_size: int, steps: int) -> training.Training:
    """Take the steps of a sweep, from weights and orders of its members' own."""
    build = arms.WORK[model][0]
    return training.train(
        task,
        initial=[build(task, seed=seed) for seed in range(members)],
        batch_size=batch_size,
        learning_rates=[arms.RATE] * members,
        seeds=range(members),
        optimizer=training.SGD(momentum=arms.MOMENTUM),
        budget=training.Budget(steps=steps),
        evaluate_every=[min(WARM, steps - 1)],
        evaluate_on=["test"],
    )


def one_by_one(task: Task, model: str, alone: int, batch_size: int, steps: int) -> float:
    """The same trainings one after the other, every operation launched by the host."""
    replaying = engine.ReplayStepper
    launched = cast(Any, lambda *parts, recorder: stepping.Stepper(*parts))
    engine.ReplayStepper = launched  # type: ignore[misc]
    try:
        rates = [sweep(task, model, 1, batch_size, steps) for _ in range(alone)]
    finally:
        engine.ReplayStepper = replaying  # type: ignore[misc]
    return alone / sum(1 / rate for rate in rates)


def floor(task: Task, model: str, members: int, batch_size: int, steps: int) -> float:
    """What the device's own rates allow: a step's operations, and the bytes that it must move.

    Operations over the rate of large matrix products in float32, by PyTorch's own count, plus
    bytes over the rate of a large copy: weights and velocity read and written, the gradient
    written and read, each input gathered once. Fusing them could save some; doing without none.
    """
    module = arms.WORK[model][0](task, seed=0).to(task.train.inputs.device)
    batch = task.train.subset(range(batch_size))
    with FlopCounterMode(display=False) as counter:
        task.loss(module(batch.inputs), batch.targets).mean().backward()
    parameters = sum(each.numel() for each in module.parameters())
    moved = 4 * members * (6 * parameters + 2 * batch.inputs.numel())
    operations, copied = _rates(batch.inputs.device)
    seconds = members * counter.get_total_flops() / operations + moved / copied
    return members * batch_size / seconds


def kernel_share(
    task: Task, model: str, where: torch.device, members: int, batch_size: int, steps: int
) -> float:
    """Return the share of a sweep's wall time, all of it, in which a kernel runs.

    Recording the step, evaluations and the drawing of orders count as the sweep's time. On a CPU,
    an operation stands for a kernel.
    """
    placed = task.to(where)
    train(placed, model, members, batch_size, WARM + 1)
    on_gpu = where.type == "cuda"
    kind = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[kind]) as profiler:
        devices.synchronize(where)
        began = time.perf_counter()
        train(placed, model, members, batch_size, steps)
        devices.synchronize(where)
        wall = time.perf_counter() - began
    wanted = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
    spans = [
        (each.time_range.start, each.time_range.end)
        for each in profiler.events()
        if each.device_type == wanted and not each.is_user_annotation
    ]
    return covered(spans) / 1e6 / wall


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _rates(where: torch.device) -> tuple[float, float]:
    """Return operations and bytes a second at most, in float32; smaller sizes serve a CPU."""
    scale = 1 if where.type == "cuda" else 8
    side, count = SQUARE // scale, COPIED // 4 // scale**2
    left = torch.ones(side, side, device=where)
    product, source = torch.empty_like(left), torch.ones(count, device=where)
    target = torch.empty_like(source)
    multiplied = _seconds(lambda: torch.mm(left, left, out=product), where)
    copied = _seconds(lambda: target.copy_(source), where)
    return 2 * side**3 / multiplied, 2 * source.nbytes / copied


def _seconds(call: Callable[[], Tensor], where: torch.device, calls: int = 20) -> float:
    """Return the shortest time of a call among a few blocks of calls."""
    times = []
    for _ in range(4):
        devices.synchronize(where)
        began = time.perf_counter()
        for _ in range(calls):
            call()
        devices.synchronize(where)
        times.append((time.perf_counter() - began) / calls)
    return min(times)


def _jax(task: Task, model: str, where: torch.device, members: int) -> Arm:
    import jax

    if where.type == "cuda" and jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX is installed without CUDA: it runs on {jax.default_backend()}")
    import arms_jax

    build, before = arms.WORK[model]
    arms.WORK[model] = build, members
    try:
        run = arms_jax.scan(task, model)
    finally:
        arms.WORK[model] = build, before

    def rate(batch_size: int, steps: int) -> float:
        spent = run(batch_size, steps)
        return spent.examples / spent.wall_s

    return rate
