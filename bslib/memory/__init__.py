"""Memory of a training step: a law for it, what is measured, and the largest batch that fits."""

from bslib.memory.allocator import AllocatorPeak, allocator_peak, peak_bytes
from bslib.memory.finder import LargestBatch, largest_batch
from bslib.memory.law import Binding, MemoryLaw, memory_law
from bslib.memory.optimizers import Named
from bslib.memory.out_of_memory import is_out_of_memory
from bslib.memory.probing import Probe, default_limit, probe
from bslib.memory.recompute import Recomputed
from bslib.memory.search import largest
from bslib.memory.step import TaskLoss, TrainingStep, training_step
from bslib.memory.timelines import Timeline, timeline

__all__ = [
    "AllocatorPeak",
    "Binding",
    "LargestBatch",
    "MemoryLaw",
    "Named",
    "Probe",
    "Recomputed",
    "TaskLoss",
    "Timeline",
    "TrainingStep",
    "allocator_peak",
    "default_limit",
    "is_out_of_memory",
    "largest",
    "largest_batch",
    "memory_law",
    "peak_bytes",
    "probe",
    "timeline",
    "training_step",
]
