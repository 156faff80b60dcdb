"""Training many small networks side by side, and what comes out of it."""

from bslib.training.budgets import Budget, Target
from bslib.training.ensemble import train
from bslib.training.footprint import footprint
from bslib.training.optimizers import SGD, Adam, Optimizer
from bslib.training.result import Training
from bslib.training.schedules import Schedule
from bslib.training.setup import Progress

__all__ = [
    "SGD",
    "Adam",
    "Budget",
    "Optimizer",
    "Progress",
    "Schedule",
    "Target",
    "Training",
    "footprint",
    "train",
]
