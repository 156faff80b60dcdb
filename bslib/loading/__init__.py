"""What it takes to bring an epoch of examples to the device, batch by batch."""

from bslib.loading.costs import arms, bytes_read, costs, curves, seconds
from bslib.loading.epochs import epochs
from bslib.loading.records import Records, write
from bslib.loading.ways import IN_PROCESS, RESIDENT, WORKERS, Way, ways

__all__ = [
    "IN_PROCESS",
    "RESIDENT",
    "WORKERS",
    "Records",
    "Way",
    "arms",
    "bytes_read",
    "costs",
    "curves",
    "epochs",
    "seconds",
    "ways",
    "write",
]
