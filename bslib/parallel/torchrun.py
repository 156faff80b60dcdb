"""Functions on several workers of this machine, started by ``torchrun``.

A worker is a process with a rank in a process group: gloo on CPUs, NCCL where each rank has a
GPU of its own. Whatever goes wrong in one ends them all, and is raised here with its traceback.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bslib.refusal import Refusal

WORKER = "bslib.parallel.worker"
# torchrun gives workers that it ends this long before it kills them.
GRACE_S = 10.0


class WorkerFailed(RuntimeError):
    """A worker raised, died or outlasted its time; the message has its traceback or last words."""


def launch(
    function: Callable[..., Any],
    *,
    world_size: int,
    timeout_s: float = 120.0,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
    **arguments: Any,
) -> list[Any]:
    """Call a function once on each of ``world_size`` workers, and return what each returned.

    Args:
        function: module-level, in a module that workers can import. It finds its place through
            ``torch.distributed``, whose default process group is set up and taken down around
            the call.
        world_size: how many workers.
        timeout_s: for all of it, the start of the processes included.
        threads: of each worker.
        environment: added to the workers' environment.
        arguments: numbers, words, None, and lists and mappings of them. So is what is returned.

    Cost: about the time to import torch, three times over.

    Raises:
        WorkerFailed: a worker raised, died, or the time ran out. All processes are gone then.
        Refusal: the function is not one that another process can import.
    """
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise Refusal(f"workers cannot import {function.__qualname__}: give a module's function")
    if world_size < 1:
        raise Refusal(f"world_size must be at least 1, not {world_size}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call = [function.__module__, function.__qualname__]
        (folder / "call.json").write_text(json.dumps({"function": call, "arguments": arguments}))
        env = {**os.environ, **_threads(threads), **_import_path()}
        _run(_command(world_size, folder), {**env, **(environment or {})}, timeout_s, folder)
        return [
            json.loads((folder / f"result-{rank}.json").read_text()) for rank in range(world_size)
        ]


def gpu_each(world_size: int) -> bool:
    """Say whether this machine has a GPU for each of its workers; else all are on the CPU."""
    import torch  # as below

    return torch.cuda.is_available() and torch.cuda.device_count() >= world_size


def hardware(world_size: int) -> str:
    """Name what the workers of this machine compute on."""
    from bslib import device

    return device.describe(device.resolve("cuda" if gpu_each(world_size) else "cpu"))


def worker_device() -> str:
    """Return where a worker computes: its own GPU under NCCL, the CPU under gloo."""
    import torch  # workers have it; who only launches them need not wait for it

    if torch.distributed.get_backend() == "nccl":
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return "cpu"


def _command(world_size: int, folder: Path) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=0"]
    return [*torchrun, f"--nproc-per-node={world_size}", "-m", WORKER, str(folder)]


def _threads(count: int) -> dict[str, str]:
    """Limit every library's threads: one that this process was allowed more would use them."""
    return {f"{name}_NUM_THREADS": str(count) for name in ("OMP", "MKL", "OPENBLAS")}


def _import_path() -> dict[str, str]:
    """Let workers import what this process can import."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _run(command: list[str], env: Mapping[str, str], timeout_s: float, folder: Path) -> None:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=dict(env), stdout=log, stderr=log, start_new_session=True
        )
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"workers outlasted {timeout_s:g} s:\n{_told(folder)}") from None
        finally:
            _end(process)
    if status:
        raise WorkerFailed(_told(folder))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End torchrun, which ends its workers; they end themselves when it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _told(folder: Path) -> str:
    """Return who failed first, by torchrun's word, and the workers' tracebacks, oldest first."""
    log = (folder / "log").read_text(errors="replace")
    first = re.search(r"failed \(exitcode: (-?\d+)\) local_rank: (\d+)", log)
    blame = [f"rank {first[2]} ended first, with exit status {first[1]}"] if first else []
    failed = sorted(folder.glob("failed-*.txt"), key=lambda path: path.stat().st_mtime)
    said = [f"rank {path.stem.removeprefix('failed-')}: {path.read_text()}" for path in failed]
    return "\n".join([*blame, *said] if said else [*blame, log[-2_000:]])
