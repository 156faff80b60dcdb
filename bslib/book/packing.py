"""Packing notebooks onto a machine: what may run beside what."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from bslib.book.plan import Item


@dataclass(frozen=True)
class Room:
    """What a machine has for notebooks: cores, and how many may run at once."""

    cores: int
    workers: int

    def next(self, waiting: Sequence[Item], running: Sequence[Item]) -> Item | None:
        """Return the notebook to start now, or None.

        Notebooks that share the machine go first, in order, as far as cores are free; then
        those that must be alone, one by one; the ledger when nothing else is left.
        """
        if len(running) >= self.workers:
            return None
        free = self.cores - sum(self.cores_of(item) for item in running)
        shared = [item for item in waiting if not item.alone and not item.last]
        fitting = [item for item in shared if self.cores_of(item) <= free]
        if fitting or shared or running:
            return fitting[0] if fitting else None
        return min(waiting, key=lambda item: item.last, default=None)

    def cores_of(self, item: Item) -> int:
        """Return how many cores a notebook gets here."""
        return min(item.page.cores, self.cores)


def room(workers: int | None = None) -> Room:
    """Return this machine's room, with at most ``workers`` notebooks at once."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Room(cores, min(workers or cores, cores))
