"""What tests have workers do: importable by them, each thing going wrong in its own way."""

import os
import signal
import time
from pathlib import Path

import torch
import torch.distributed


def place(word: str) -> list[object]:
    """Return rank, world size, the libraries' threads, and the word that was handed over."""
    group = torch.distributed
    threads = {os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")}
    return [group.get_rank(), group.get_world_size(), *sorted(threads), word]


def one_raises() -> None:
    """The others wait for it in a collective operation."""
    if torch.distributed.get_rank() == 1:
        raise ValueError("no such luck")
    torch.distributed.all_reduce(torch.ones(2))


def one_dies() -> None:
    """As memory running out would have it: no traceback."""
    if torch.distributed.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.all_reduce(torch.ones(2))


def tells_and_hangs(folder: str) -> None:
    """Leave the process's number, then wait."""
    place = Path(folder) / str(torch.distributed.get_rank())
    place.write_text(str(os.getpid()))
    time.sleep(600)
