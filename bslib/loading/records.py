"""Examples in a file, a record each, read by position and counted.

A record is the target's bytes, then the input's. It is read with one ``preadv``, and not by a
memory map: what a map brings in shows in no counter of the process, and a page that is in
memory already costs no read at all. What ``preadv`` returns can be added up exactly, in worker
processes too. Whether the storage or the system's cache of it answers is the system's affair,
and does not depend on how the reads are grouped into batches.
"""

import os
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from bslib.data import Examples

# Counters are apart by process, so that none waits for another; more workers share the last.
_PROCESSES = 64
_COUNTERS = Path("/proc/self/io")


def write(examples: Examples, path: Path) -> None:
    """Write the examples to a file of records, in their order."""
    inputs = examples.inputs.cpu().contiguous().numpy()
    targets = examples.targets.cpu().contiguous().numpy()
    count = len(examples)
    parts = [each.reshape(count, -1).view(np.uint8) for each in (targets, inputs)]
    path.write_bytes(np.concatenate(parts, axis=1).tobytes())


class Records(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """The examples of a file that :func:`write` made, read one at a time.

    Args:
        path: the file.
        like: examples of the same shapes and types, and as many.
    """

    def __init__(self, path: Path, like: Examples) -> None:
        self.path = path
        self._count = len(like)
        self._input_shape, self._input_type = like.inputs.shape[1:], like.inputs.dtype
        self._target_shape, self._target_type = like.targets.shape[1:], like.targets.dtype
        self._target_bytes = like.targets[0].nbytes
        self.record_bytes = self._target_bytes + like.inputs[0].nbytes
        self._file = -1
        self._read = torch.zeros(_PROCESSES + 1, dtype=torch.int64).share_memory_()

    @property
    def bytes_read(self) -> int:
        """How many bytes were read so far, by this process and all workers."""
        return int(self._read.sum())

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one example.

        Raises:
            EOFError: the file ends before the record does.
        """
        if self._file < 0:  # opened by the process that reads
            self._file = os.open(self.path, os.O_RDONLY)
        record = bytearray(self.record_bytes)
        count = os.preadv(self._file, [record], index * self.record_bytes)
        if count < self.record_bytes:
            raise EOFError(f"{self.path} ends within record {index:,}")
        worker = get_worker_info()
        self._read[0 if worker is None else 1 + worker.id % _PROCESSES] += count
        inputs = torch.frombuffer(record, dtype=self._input_type, offset=self._target_bytes)
        target = torch.frombuffer(record, dtype=self._target_type, count=self._target_shape.numel())
        return inputs.reshape(self._input_shape), target.reshape(self._target_shape)

    def close(self) -> None:
        """Close the file, if this process has opened it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def kernel_bytes() -> float:
    """Return what the system says this process has read so far, in bytes; NaN where it does not.

    Linux's ``rchar``: the sum over all read calls of all threads, of files and of pipes, from
    storage or from the cache. So it is a control for a loader in this process only: a worker's
    holds the messages that tell it what to load.
    """
    if not _COUNTERS.exists():
        return float("nan")
    lines = _COUNTERS.read_text().splitlines()
    return float(dict(line.split(": ") for line in lines)["rchar"])
