"""The tasks: real and synthetic data, each with its loss.

Importing this package imports neither torch nor any task: a task's module is imported when
it is loaded.
"""

from bslib.data.access import availability, copy, fetch, load
from bslib.data.losses import (
    CrossEntropy,
    HalfSquaredError,
    Loss,
    NextTokenCrossEntropy,
    Quadratic,
    accuracy,
)
from bslib.data.registry import TASKS, Availability, TaskEntry, entry
from bslib.data.task import Examples, Task

__all__ = [
    "TASKS",
    "Availability",
    "CrossEntropy",
    "Examples",
    "HalfSquaredError",
    "Loss",
    "NextTokenCrossEntropy",
    "Quadratic",
    "Task",
    "TaskEntry",
    "accuracy",
    "availability",
    "copy",
    "entry",
    "fetch",
    "load",
]
