"""Advising, first measurement: the largest batch that fits."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bslib.advise.problem import error_line
from bslib.advise.subject import Subject
from bslib.memory import MemoryLaw, Probe, default_limit, largest_batch, memory_law, probe
from bslib.refusal import Refusal

MB = 1e6
# A size within this share of the largest is near enough.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Memory:
    """What fits.

    Attributes:
        largest: the largest batch that fits, at most the data; None where nothing is known.
        stopped_by: "memory", "data", or "" where nothing is known.
        limit_bytes: for tensors: weights, gradients, optimiser state, activations.
        confirmed: whether that size was run, rather than told by the law alone.
        reason: why it was not run, or why there is no law; else empty.
        peaks: ``batch_size``, ``peak_memory_mb``, ``source``: the law's, and what was run.
        examples: how many were processed.
    """

    largest: int | None
    stopped_by: str
    limit_bytes: int
    confirmed: bool
    reason: str
    peaks: pd.DataFrame = field(compare=False)
    examples: int = 0


def predict(subject: Subject, limit_bytes: int | None) -> tuple[Memory, MemoryLaw | None]:
    """Tell the largest batch by the memory law: from two small steps under fake tensors."""
    limit = default_limit(subject.device) if limit_bytes is None else limit_bytes
    nothing = pd.DataFrame(columns=["batch_size", "peak_memory_mb", "source"])
    try:
        law = memory_law(subject.step())
        fits = law.largest_batch(limit)
    except Exception as error:  # whatever a user's model does; without a law there is no cap
        why = f"no law of its memory: {error_line(error)}"
        return Memory(None, "", limit, False, why, nothing), None
    if fits < subject.smallest:
        need = law.peak_bytes(subject.smallest) / MB
        raise Refusal(
            f"no memory even for a batch of {subject.smallest}: its step needs {need:,.1f} MB, "
            f"and {limit / MB:,.1f} MB are allowed"
        )
    stopped_by = "memory" if fits < subject.size else "data"
    largest = min(fits, subject.size)
    sizes = np.unique(np.geomspace(subject.smallest, max(largest, 2), 40).round().astype(int))
    peaks = [law.peak_bytes(int(size)) / MB for size in sizes]
    told = pd.DataFrame({"batch_size": sizes, "peak_memory_mb": peaks, "source": "the law"})
    return Memory(largest, stopped_by, limit, False, "not run yet", told), law


def confirm(
    subject: Subject,
    told: Memory,
    law: MemoryLaw | None,
    *,
    step_time_s: Callable[[int], float],
    patience_s: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Memory:
    """Run the size that was told, in a process of its own, and search around it if it fails.

    Args:
        step_time_s: what a step takes; nothing is run that would outlast ``patience_s``.
    """
    if told.largest is None or law is None:
        return told
    # where it fits all the data there is one trial of two steps; else two and ragged ones
    trials = 1 if told.stopped_by == "data" else 2
    expected = trials * 3 * step_time_s(told.largest)
    if expected > patience_s:
        why = f"running it would take about {expected:,.0f} s of the budget"
        return replace(told, reason=why)
    step = subject.step()

    def trial(size: int) -> Probe:
        ragged = subject.size % size  # dropped where it is too small to train on
        also = [ragged] if ragged >= subject.smallest else []
        return probe(step, size, limit_bytes=told.limit_bytes, also=also)

    try:
        found = largest_batch(
            step,
            examples=subject.size,
            limit_bytes=told.limit_bytes,
            tolerance=TOLERANCE,
            law=law,
            trial=trial,
            progress=progress,
        )
    except Refusal as refusal:  # where another process cannot be handed the step
        return replace(told, reason=str(refusal))
    except RuntimeError as error:  # what the step itself raised, there
        return replace(told, reason=f"it failed when it was run: {_last_line(error)}")
    if not found.batch_size:
        raise Refusal(f"no memory even for one example. {found}")
    run = found.probes[found.probes["peak_bytes"] > 0]
    points = pd.DataFrame(
        {
            "batch_size": run["batch_size"],
            "peak_memory_mb": run["peak_bytes"] / MB,
            "source": "run",
        }
    )
    return Memory(
        found.batch_size,
        found.stopped_by,
        found.limit_bytes,
        True,
        "",
        pd.concat([told.peaks, points], ignore_index=True),
        int(3 * found.probes["batch_size"].sum()),
    )


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1]
