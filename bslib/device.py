"""Which device an experiment runs on, and what it is called in a record."""

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from bslib.refusal import Refusal


def resolve(name: str = "auto") -> torch.device:
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` into a device that is there.

    ``"auto"`` is the first CUDA device where there is one, else the CPU.

    Raises:
        Refusal: the name is unknown, or no such device is present.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or not (name == kind or index.isdecimal()):
        raise Refusal(f"device {name!r} is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:0'")
    if kind == "cuda":
        count = torch.cuda.device_count()
        if int(index or 0) >= count:
            found = f"{count} CUDA device{'s' * (count != 1)}"
            raise Refusal(f"device {name!r} is not there: this machine has {found}; use 'auto'")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Name the hardware behind ``device`` in a few words, for provenance."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU ({cpu_name()})"


def cpu_name() -> str:
    """Return the processor's model name, or its architecture where that is not told."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given; nothing to do on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def borrowed_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators (the CPU's and the device's) inside, and put them back after.

    For what draws from them and cannot be given a generator, such as dropout.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
