"""Step times, and the law that they follow over batch sizes."""

from bslib.throughput.law import StepTimeLaw, fit_law
from bslib.throughput.speedup import gain_beyond_saturation, rates, speedup
from bslib.throughput.timing import calls_for, gains, knee, median, step_times, summary
from bslib.throughput.training_step import training_step_times

__all__ = [
    "StepTimeLaw",
    "calls_for",
    "fit_law",
    "gain_beyond_saturation",
    "gains",
    "knee",
    "median",
    "rates",
    "speedup",
    "step_times",
    "summary",
    "training_step_times",
]
