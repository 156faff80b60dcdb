"""Models by name, each built for a task from a seed."""

from bslib.models.build import build, entry
from bslib.models.registry import MODELS, ModelEntry

__all__ = ["MODELS", "ModelEntry", "build", "entry"]
