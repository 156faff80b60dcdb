"""Measuring a problem within a budget of time, and leaving it as it was."""

import time
from collections.abc import Callable

import torch

from bslib import device as devices
from bslib.advise import memory, noise, throughput
from bslib.advise.advice import Advice, Asked
from bslib.advise.conclude import Measured, conclude
from bslib.advise.examples import MOST_EXAMPLES
from bslib.advise.problem import Problem, kept_generators, kept_state
from bslib.advise.subject import prepare
from bslib.parallel.cost_model import Network
from bslib.refusal import Refusal

# Told what is being measured, how much of it is done and how much there is.
Progress = Callable[[str, int, int], None]
LOADING, MEMORY, THROUGHPUT, NOISE = "examples", "memory", "throughput", "noise"

BUDGET_S = 30.0
# Shares of the budget; the noise has what is left when the others are done.
LOADING_SHARE, THROUGHPUT_SHARE, PROBING_SHARE = 0.1, 0.25, 0.15
# Enough to gather batches from, where their values do not matter.
FEW_EXAMPLES = 64
# Kept for putting the report together.
REPORT_S = 1.0


def advise(
    problem: Problem,
    *,
    target: str = "the problem",
    device: str = "auto",
    budget_s: float = BUDGET_S,
    memory_bytes: int | None = None,
    world_size: int = 1,
    network: Network | None = None,
    with_noise: bool = True,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress = lambda what, done, total: None,
) -> Advice:
    """Measure a problem on a device for a while, and say which batch size to train it with.

    Parameters, buffers, optimiser state, modes and the global random generators are what they
    were when it returns; a data set with a state of its own is read from.

    Args:
        target: what to call the problem.
        device: as for :func:`bslib.device.resolve`.
        budget_s: seconds that measuring may take, without imports and report. A step of the
            smallest batch that takes seconds makes it take longer.
        memory_bytes: that tensors may take; None for half of the memory that is available on a
            CPU, and what is free on a GPU.
        world_size, network: devices that share a step, and what connects them.
        with_noise: False where the data stand in for others: then there is advice on memory
            and throughput alone.
        seed: of which examples are read, of batches and of micro-batches.
        clock: seconds, from any origin.
        progress: told which measurement is going on, and how far it is.

    Raises:
        Refusal: see :func:`bslib.advise.subject.prepare`; or several devices without a network.
    """
    if not isinstance(problem, Problem):
        kind = type(problem).__name__
        raise Refusal(f"advise takes a bslib.advise.Problem(model, loss, dataset), not a {kind}")
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise Refusal(f"seed must be a whole number from 0 on, not {seed!r}")
    if not (world_size >= 1 and budget_s > 0):
        raise Refusal(f"world_size and budget must be above 0, not {world_size} and {budget_s:g}")
    if len(problem.dataset) < 2 * world_size:
        raise Refusal(
            f"{len(problem.dataset):,} examples are fewer than two for each of {world_size:,} "
            "devices: there is nothing to share; take fewer devices"
        )
    if world_size > 1 and network is None:
        raise Refusal(f"{world_size} devices share a network: give its latency and bandwidth")
    start = clock()
    with (
        kept_state(problem),
        kept_generators(seed),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        measured = _measure(
            problem, devices.resolve(device), budget_s, memory_bytes, with_noise, seed, clock,
            progress,
        )  # fmt: skip
    asked = Asked(
        target,
        devices.describe(measured.subject.device),
        len(problem.dataset) if with_noise else None,
        sum(each.numel() for each in problem.trained),
        type(problem.optimizer).__name__ if problem.optimizer is not None else None,
        problem.rate,
        problem.batch_size,
        world_size,
        network,
        seed,
        budget_s,
        clock() - start,
    )
    return conclude(problem, asked, measured)


def _measure(
    problem: Problem,
    device: torch.device,
    budget_s: float,
    memory_bytes: int | None,
    with_noise: bool,
    seed: int,
    clock: Callable[[], float],
    progress: Progress,
) -> Measured:
    start, doubts = clock(), []
    generator = torch.Generator().manual_seed(seed)
    progress(LOADING, 0, 1)
    subject = prepare(
        problem,
        device,
        generator=generator,
        patience_s=LOADING_SHARE * budget_s,
        most=MOST_EXAMPLES if with_noise else FEW_EXAMPLES,
        clock=clock,
    )
    progress(MEMORY, 0, 1)
    told, law = memory.predict(subject, memory_bytes)
    most = told.largest or subject.size
    speed = throughput.measure(
        subject,
        most=most,
        budget_s=THROUGHPUT_SHARE * budget_s,
        seed=seed,
        clock=clock,
        progress=lambda done, total: progress(THROUGHPUT, done, total),
    )

    def step_time_s(size: int) -> float:
        return float(speed.law.step_time_s(size))

    held = memory.confirm(
        subject,
        told,
        law,
        step_time_s=step_time_s,
        patience_s=PROBING_SHARE * budget_s,
        progress=lambda done, total: progress(MEMORY, done, total),
    )
    found = None
    if with_noise:
        try:
            found = noise.measure(
                subject,
                most=held.largest or most,
                step_time_s=step_time_s,
                budget_s=max(budget_s - (clock() - start) - REPORT_S, 0.2 * budget_s),
                generator=generator,
                clock=clock,
                progress=lambda done, total: progress(NOISE, done, total),
            )
        except Refusal as refusal:
            doubts.append(f"the gradient noise scale: {refusal}")
    return Measured(subject, held, speed, found, tuple(doubts))
