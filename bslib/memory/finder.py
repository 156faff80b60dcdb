"""The largest batch that fits: told by the memory law, and confirmed by running it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from bslib.memory import search
from bslib.memory.law import MemoryLaw, memory_law
from bslib.memory.probing import Probe, default_limit, probe
from bslib.memory.step import TrainingStep

Progress = Callable[[int, int], None]  # (done, total)
Trial = Callable[[int], Probe]


@dataclass(frozen=True)
class LargestBatch:
    """A batch size that was run, and why it is the largest.

    Attributes:
        batch_size: 0 where nothing fits.
        predicted: what the memory law gave beforehand.
        stopped_by: "memory"; "data", where the whole data set fits; "cap"; or "nothing fits".
        limit_bytes: what probes were held to: the limit less the margin.
        thrashes: whether it ran only by swapping, or by giving back the allocator's cache.
        probes: every size that was tried, in turn: the columns of :class:`Probe`.
    """

    batch_size: int
    predicted: int
    stopped_by: str
    limit_bytes: int
    thrashes: bool
    probes: pd.DataFrame = field(compare=False)

    def __str__(self) -> str:
        room = f"{self.limit_bytes / 2**20:,.1f} MiB"
        if not self.batch_size:
            return f"Nothing fits in {room}: not even a batch of {self.probes['batch_size'].min()}."
        why = {
            "memory": f"a larger one does not fit in {room}",
            "data": "that is all the data",
            "cap": "no larger one was allowed",
        }[self.stopped_by]
        thrash = "; it ran only by thrashing, so take a smaller one" if self.thrashes else ""
        return f"{self.batch_size:,} examples: {why}{thrash}."


def largest_batch(
    step: TrainingStep,
    *,
    examples: int,
    limit_bytes: int | None = None,
    cap: int | None = None,
    margin_bytes: int = 0,
    tolerance: float = 0.0,
    law: MemoryLaw | None = None,
    trial: Trial | None = None,
    progress: Progress = lambda done, total: None,
) -> LargestBatch:
    """Find the largest batch size whose whole steps run within a limit.

    A probe takes two steps, then one of the data set's ragged last batch, each in a process of
    its own (:func:`bslib.memory.probe`); with ``step.evaluate``, evaluations too. A step with a
    ``micro_batch_size`` is not bounded in its batch: search one without.

    Args:
        examples: how many the data set holds; no batch is larger.
        limit_bytes: for tensors: weights, gradients, optimiser state, activations. None: half
            of the memory that is available on the CPU, all that is free on CUDA.
        cap: no size above it is tried.
        margin_bytes: taken off the limit, for what a step of the search does not show.
        tolerance: 0 for the very largest, 0.05 for one within 5 % of it in fewer probes.
        law: predicts where to look; None: fitted here from two small steps.
        trial: tries one size; None: in a child process.
        progress: told after each probe: how many so far, and at most.
    """
    limit = (default_limit(step.device) if limit_bytes is None else limit_bytes) - margin_bytes
    most = examples if cap is None else min(examples, cap)
    law = memory_law(step) if law is None else law
    predicted = law.largest_batch(limit)
    attempts: dict[int, Probe] = {}
    longest = 2 + math.ceil(math.log2(most + 1))

    def fits(size: int) -> bool:
        attempts[size] = trial(size) if trial else _try(step, size, examples, limit)
        progress(len(attempts), longest)
        return attempts[size].fits

    def refine(size: int) -> int | None:
        """Shift the law by what it missed at ``size``, such as a library's scratch memory."""
        peak = attempts[size].peak_bytes
        return law.largest_batch(limit - (peak - law.peak_bytes(size))) if peak else None

    found = search.largest(fits, most=most, guess=predicted, tolerance=tolerance, refine=refine)
    progress(longest, longest)
    return LargestBatch(
        batch_size=found,
        predicted=min(predicted, most),
        stopped_by=_stopped_by(found, most, examples),
        limit_bytes=limit,
        thrashes=bool(found) and attempts[found].thrashes,
        probes=pd.DataFrame([vars(each) for each in attempts.values()]),
    )


def _try(step: TrainingStep, size: int, examples: int, limit: int) -> Probe:
    ragged = examples % size
    return probe(step, size, limit_bytes=limit, also=[ragged] if ragged else [])


def _stopped_by(found: int, most: int, examples: int) -> str:
    if not found:
        return "nothing fits"
    if found < most:
        return "memory"
    return "data" if most == examples else "cap"
