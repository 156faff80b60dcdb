"""Loading a task by name, and asking where its data are."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bslib.data.registry import Availability, entry
from bslib.refusal import Refusal

if TYPE_CHECKING:
    import torch

    from bslib.data.task import Task

MAX_SEED = 2**32 - 1  # the largest word of numpy's RandomState


def load(
    name: str,
    *,
    examples: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Task:
    """Load a task; what is not generated here is found, unpacked or downloaded first.

    Validation and test examples are the same whatever ``seed`` and ``examples`` are. Subsets
    are nested: for one seed, the first 500 training examples are among the first 1,000.

    Args:
        name: a key of ``TASKS``.
        examples: how many training examples: a seeded subset of a real data set, or how
            many are generated. None takes the entry's default.
        seed: draws the subset, or the generated training examples.
        device: where the tensors are put.

    Raises:
        Refusal: an unknown name, a bad number, data that are missing or damaged.
    """
    count = entry(name).count(examples)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise Refusal(f"seed must be a whole number from 0 to {MAX_SEED}, not {seed!r}")
    task: Task = _module(name).load(count, seed)
    return task if str(device) == "cpu" else task.to(_resolve(device))


def availability(name: str) -> Availability:
    """Say whether a task's data are at hand, and where; reads names and sizes of files only."""
    found: Availability = _module(name).availability()
    return found


def fetch(name: str) -> Availability:
    """Bring a task's data into the local cache (unpack or download), and say where they are.

    Nothing is done for what is there already, ships with a package or is generated.

    Raises:
        Refusal: an unknown name, or data that can neither be found nor fetched.
    """
    module = _module(name)
    if hasattr(module, "fetch"):
        module.fetch()
    return availability(name)


def copy(name: str, to: Path) -> Path | None:
    """Copy a task's files into the folder ``to``, fetching them first where needed.

    On another machine ``BSLIB_DATA`` names that folder. Returns the folder that holds the
    files; None for a task that has none, since it ships with a package or is generated.
    """
    module = _module(name)
    if not hasattr(module, "copy"):
        return None
    copied: Path = module.copy(Path(to))
    return copied


def _module(name: str) -> ModuleType:
    return importlib.import_module(entry(name).module)


def _resolve(device: torch.device | str) -> torch.device:
    from bslib import device as devices  # torch takes a second to import

    return devices.resolve(device) if isinstance(device, str) else device
