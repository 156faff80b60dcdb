"""What a verdict was measured on."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bslib.data import Task

# The runner says which profile it runs; anything else is a reader's own doing.
PROFILE_VARIABLE = "BSLIB_PROFILE"
BY_HAND = "by hand"


def scope(
    task: "Task | None", *, device: str, seeds: int | Sequence[int], **more: Any
) -> dict[str, Any]:
    """Describe an experiment for its verdict.

    Args:
        task: the data measured on; its name, model, number of training examples and
            checksum are kept. None for an experiment without data.
        device: as in the notebook's parameters; the hardware's name is kept.
        seeds: how many, or which.
        more: anything else that limits the verdict, by name.
    """
    from bslib import device as devices  # imports torch, which the catalogue does without

    count = seeds if isinstance(seeds, int) else len(seeds)
    measured = {
        "device": devices.describe(devices.resolve(device)),
        "profile": os.environ.get(PROFILE_VARIABLE, BY_HAND),
        "seeds": count,
    }
    if task is None:
        return measured | more
    learnt = {"task": task.name, "model": task.model, "examples": len(task.train)}
    return learnt | measured | {"checksum": task.checksum} | more
