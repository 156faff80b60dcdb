"""Epochs of loading, timed: every way and batch size once a round, in random order."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from bslib.loading.records import kernel_bytes
from bslib.loading.ways import Way

Progress = Callable[[int, int], None]  # (done, total)

# An epoch shorter than this is repeated until they fill it, and its mean time is taken.
BLOCK_S = 2e-2
_COLUMNS = ["way", "batch_size", "round", "seconds", "bytes_read", "kernel_bytes"]


def epochs(
    found: Sequence[Way],
    batch_sizes: Sequence[int],
    *,
    rounds: int,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Time an epoch of loading, and count what it reads.

    Nothing is done with a batch: it is what a training waits for at most, where loading hides
    behind no computation.

    Args:
        found: the ways of loading.
        batch_sizes: each is timed with each way.
        rounds: how often; each round goes through all of them in an order of its own.
        seed: of these orders.
        clock: seconds, from any origin.
        progress: told after every round.

    Returns:
        A row an epoch (or a block of repeated short ones): ``way``, ``batch_size``, ``round``,
        ``seconds``, ``bytes_read`` (by the way's own count), and ``kernel_bytes`` (by the
        system's count of this process); all three an epoch.
    """
    generator = np.random.default_rng(seed)
    pairs = [(way, size) for way in found for size in batch_sizes]
    rows = []
    for each in range(rounds):
        for index in generator.permutation(len(pairs)):
            way, size = pairs[index]
            rows.append((way.name, size, each, *_timed(way, size, clock)))
        progress(each + 1, rounds)
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    names = {way.name: position for position, way in enumerate(found)}
    order = frame["way"].map(names)
    return frame.iloc[np.lexsort((frame["round"], frame["batch_size"], order))].reset_index(
        drop=True
    )


def _timed(way: Way, size: int, clock: Callable[[], float]) -> tuple[float, float, float]:
    """Return seconds, counted bytes and the system's bytes of an epoch."""
    count, taken = 1, 0.0
    while True:
        before, kernel, start = way.bytes_read(), kernel_bytes(), clock()
        for _ in range(count):
            way.epoch(size)
        taken = clock() - start
        if taken >= BLOCK_S / 2 or count >= 256:
            break
        # Too short for the clock: this trial was a warm-up of the block that follows.
        count = min(256, max(2 * count, math.ceil(BLOCK_S * count / max(taken, 1e-6))))
    read, told = way.bytes_read() - before, kernel_bytes() - kernel
    return taken / count, read / count, told / count
