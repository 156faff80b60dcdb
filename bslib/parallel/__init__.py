"""Several workers: what they compute together, what it costs, and what more of them would cost."""

from bslib.parallel import cost_model, gradients, timing
from bslib.parallel.cost_model import NETWORKS, CostModel, Network
from bslib.parallel.torchrun import WorkerFailed, launch

__all__ = [
    "NETWORKS",
    "CostModel",
    "Network",
    "WorkerFailed",
    "cost_model",
    "gradients",
    "launch",
    "timing",
]
