"""From what was measured to advice: the best size, its limit, and what goes along with it."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bslib.advise import combine, rate
from bslib.advise.advice import Accumulation, Advice, Asked
from bslib.advise.combine import Devices
from bslib.advise.memory import Memory
from bslib.advise.noise import Noise
from bslib.advise.problem import Problem
from bslib.advise.subject import Subject
from bslib.advise.throughput import Throughput
from bslib.stats import refused

# Step times that miss their law by more than this share are spoken of.
SCATTER = 0.25
# With a miss beyond this one there is no law to advise by.
LAWLESS = 0.5


@dataclass(frozen=True)
class Measured:
    """What the three measurements found, and what went wrong in them, in words."""

    subject: Subject
    memory: Memory
    throughput: Throughput
    noise: Noise | None
    doubts: tuple[str, ...]


def conclude(problem: Problem, asked: Asked, measured: Measured) -> Advice:
    """Combine what was measured; costs nothing and measures nothing."""
    speed, found = measured.throughput, measured.noise
    world = asked.world_size
    shared = Devices(
        world,
        speed.fixed_time_s,
        speed.example_time_s,
        sum(each.numel() * each.element_size() for each in problem.trained),
        asked.network,
    )
    cap, capped_by = _cap(world, asked.examples, measured)
    advice = Advice(
        asked=asked,
        batch_size=None,
        best=refused("no gradient noise was measured"),
        flat_region=None,
        slowdown=None,
        certain=False,
        binding="",
        largest=cap,
        memory=measured.memory,
        throughput=speed,
        devices=shared,
        noise=found,
        curve=pd.DataFrame(columns=["batch_size", "relative_time", "low", "high"]),
        learning_rate=None,
        accumulation=None,
        not_measured=(*measured.doubts, *_not_measured(asked, measured)),
        examples=measured.memory.examples + speed.examples + (found.examples if found else 0),
    )
    if found is None:
        return advice
    half = speed.half_batch_size
    assert half.value is not None
    scale = shared.half_batch_size / half.value
    where = combine.possible(found.critical_batch_size, half, scale)
    best = combine.best(found.critical_batch_size, half, scale)
    smallest = world * measured.subject.smallest
    size, worst = combine.choose(
        combine.round_sizes(world, measured.subject.smallest, cap), where, cap, smallest
    )
    ideal = best.value if best.value is not None else best.low
    bound = combine.binding(where, ideal, cap, capped_by, shared)
    accumulation = _accumulation(bound, ideal, cap, where, shared, asked.examples)
    stepped = size if accumulation is None or not accumulation.pays else accumulation.batch_size
    sizes = np.unique(np.geomspace(smallest, max(cap, smallest), 200))
    return replace(
        advice,
        batch_size=size,
        best=best,
        flat_region=None if best.value is None else combine.flat(where, smallest, cap),
        slowdown=worst,
        certain=worst <= combine.CANNOT_TELL and speed.law.max_relative_error <= LAWLESS,
        binding=bound,
        curve=combine.band(sizes, where, cap, smallest),
        learning_rate=rate.carry(problem, stepped, (where.critical[0], where.critical[2])),
        accumulation=accumulation,
    )


def _cap(world: int, examples: int | None, measured: Measured) -> tuple[int, str]:
    """Return the largest global batch to consider, and what sets it.

    Where nothing is known of memory: the largest size that was timed.
    """
    fits = measured.memory.largest
    local = int(measured.throughput.times["batch_size"].max()) if fits is None else fits
    if examples is not None and examples <= world * local:
        return max(examples // world, 1) * world, combine.DATA
    return world * local, combine.MEMORY


def _accumulation(
    bound: str,
    ideal: float,
    cap: int,
    where: combine.Range,
    shared: Devices,
    examples: int | None,
) -> Accumulation | None:
    """Return what accumulating up to B* does, where memory is the limit."""
    if bound != combine.MEMORY:
        return None
    local = cap // shared.world_size
    passes = math.ceil(ideal / cap)
    passes = passes if examples is None else min(passes, examples // cap)
    if passes < 2:  # the data set ends before
        return None
    total = passes * cap
    one = float(shared.step_time_s(cap))
    micro = shared.fixed_time_s + local * shared.example_time_s
    several = (passes - 1) * micro + one
    critical = where.critical[1]
    steps = passes if math.isinf(critical) else (1 + critical / cap) / (1 + critical / total)
    return Accumulation(total, local, passes, float(steps * one / several))


def _not_measured(asked: Asked, measured: Measured) -> list[str]:
    """Say what the advice does not know."""
    said = []
    found, subject = measured.noise, measured.subject
    if asked.examples is None:
        said.append("the gradient noise: there are no data, so nothing is said of time to target")
    if measured.memory.largest is None:
        said.append(f"the largest batch that fits: {measured.memory.reason}")
    elif not measured.memory.confirmed:
        said.append(f"the largest batch was not run: {measured.memory.reason}")
    if (error := measured.throughput.law.max_relative_error) > SCATTER:
        said.append(
            f"step times well: their law misses them by up to {100 * error:.0f} %; ask again on a "
            "quiet machine, or with one thread (OMP_NUM_THREADS=1)"
        )
    if found is not None:
        said.append(
            f"noise beyond {found.path['examples'].max():,} examples of training: it usually "
            "grows, and then a larger batch pays later on"
        )
        said.append("how many steps your target takes: times are relative to the best size's")
        if subject.problem.optimizer is None:
            said.append(
                "your optimiser: none was given, so that the noise is that of a training with "
                "Adam, and no learning rate is advised"
            )
        elif subject.problem.batch_size is None:
            said.append("the batch size that your learning rate belongs to, so none is advised")
        if found.ghost_batch_size is not None:
            said.append(
                f"noise at other sizes than batch normalisation's {found.ghost_batch_size} "
                "examples, at which it was measured"
            )
    if hasattr(subject.problem.model, "_orig_mod"):
        said.append("the gain of torch.compile: the model was measured as it is without it")
    if asked.world_size > 1:
        said.append("a step of all devices: its time is one's, and the network's on top of it")
    if subject.load_s > 0 and asked.examples is not None:
        rate_needed = subject.load_s / measured.throughput.example_time_s
        said.append(
            f"loading while training: one process reads an example in {subject.load_s * 1e3:.3g} "
            f"ms, so it takes about {max(1, math.ceil(rate_needed)):,} of them to keep up"
        )
    if found is not None:
        said.append("how well it generalises: tune the learning rate anew before you compare")
    return said
