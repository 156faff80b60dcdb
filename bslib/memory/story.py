"""A step's memory as it goes: live bytes along its operations, for a figure."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bslib.memory.step import TrainingStep
from bslib.memory.timelines import timeline

MB = 1e6


def stories(steps: Mapping[str, TrainingStep], batch_size: int) -> pd.DataFrame:
    """Return ``step_share``, ``live_mb``, ``phase`` and ``way`` of each operation of one step.

    ``step_share`` runs from 0 to 1 along the step's operations. Under fake tensors: nothing is
    allocated, however large the batch.
    """
    tables = []
    for way, step in steps.items():
        line = timeline(step, batch_size)
        table = pd.DataFrame({"live_mb": line.live_bytes / MB})
        table["step_share"] = np.linspace(0, 1, len(table))
        tables.append(table.assign(phase=[phase for _, phase in line.operations], way=way))
    return pd.concat(tables, ignore_index=True)
