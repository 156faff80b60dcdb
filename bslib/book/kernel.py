"""Kernels for notebooks: what they are started with, how they are followed and ended."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.util import run_sync
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

ENGINE = "bslib"
KERNEL = "python3"
START_TIMEOUT_S = 60
PACKAGE_PARENT = Path(__file__).resolve().parents[2]
# The runner tells of failures in its own words.
_quiet = logging.getLogger("bslib.book.kernel")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class Watch:
    """A running notebook as its runner sees it: how far it is, and a way to end it."""

    def __init__(self) -> None:
        self.notebook: NotebookNode | None = None
        self.cell = 0
        self.ready = False
        self.reason = ""  # why it was ended from outside: "timeout" or "interrupted"
        self.elsewhere: Callable[[], None] = lambda: None  # tells another machine of the end
        self._kernel: int | None = None
        self._lock = threading.Lock()

    def started(self, pid: int | None) -> None:
        """Take note of a kernel's process, and end it at once if the end was asked for before."""
        with self._lock:
            self._kernel = pid
        if self.reason:
            self.kill()

    def end(self, reason: str) -> None:
        """Kill the kernel and all that it started; ``execute`` then returns."""
        with self._lock:
            self.reason = self.reason or reason
        self.elsewhere()
        self.kill()

    def kill(self) -> None:
        """Kill the kernel's processes."""
        with self._lock:
            if self._kernel is not None:
                _kill_tree(self._kernel)


def environment(cores: int, extra: Mapping[str, str]) -> dict[str, str]:
    """Return what a kernel needs in its environment to measure anything worth keeping.

    Threads beyond a kernel's cores make it many times slower; spinning threads do the same to
    its neighbours; and glibc's default thresholds make large batches pay for page faults.
    """
    threads = {f"{name}_NUM_THREADS": str(cores) for name in ("OMP", "MKL", "OPENBLAS")}
    thresholds = {f"MALLOC_{name}_THRESHOLD_": str(8 << 30) for name in ("MMAP", "TRIM")}
    constant = {
        "OMP_WAIT_POLICY": "passive",
        "PYTHONHASHSEED": "0",
        # Else a GPU's convolutions keep ten bits of float32's fraction without being asked to.
        "NVIDIA_TF32_OVERRIDE": "0",
        # A user's own setting, as for scripts, would leave the notebook without figures.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    return {**threads, **thresholds, **constant, **_python_path(), **extra}


def _python_path() -> dict[str, str]:
    """Let kernels import this very package, where it is not installed but run from a checkout."""
    if "site-packages" in PACKAGE_PARENT.parts:
        return {}
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


class _OwnPython(KernelSpecManager):
    """Starts kernels with this interpreter, whatever kernels the user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class _Client(PapermillNotebookClient):
    def create_kernel_manager(self) -> AsyncKernelManager:
        specs = _OwnPython()
        self.km = AsyncKernelManager(kernel_name=KERNEL, kernel_spec_manager=specs)
        return self.km

    async def async_start_new_kernel(self, **options: Any) -> None:
        await super().async_start_new_kernel(**options)
        process = getattr(self.km.provisioner, "process", None)
        self.nb_man.watch.started(process and process.pid)

    start_new_kernel = run_sync(async_start_new_kernel)


class _Engine(NBClientEngine):
    """papermill's own engine, with a kernel of ours, progress, and no saving on the way."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        watch: Watch,
        start_options: Mapping[str, Any],
        start_timeout: int = START_TIMEOUT_S,
        **unused: Any,
    ) -> NotebookNode:
        watch.notebook = nb_man.nb
        nb_man.watch = watch

        def ready(notebook: NotebookNode) -> None:
            watch.ready = True

        def at_cell(cell: NotebookNode, cell_index: int) -> None:
            watch.cell = cell_index

        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=start_timeout,
            log=_quiet,
            coalesce_streams=True,
            record_timing=False,
            store_widget_state=False,
            on_notebook_start=ready,
            on_cell_start=at_cell,
        )
        return client.execute(**start_options)


papermill_engines.register(ENGINE, _Engine)


def _kill_tree(pid: int) -> None:
    """Kill a kernel, its process group and all descendants."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(pid).children(recursive=True)
    # Kernels lead a process group of their own, which outlives them where a child does.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
