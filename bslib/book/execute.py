"""One notebook, executed by papermill in a kernel of its own.

``execute`` takes plain data and returns plain data, so that any ``concurrent.futures`` executor
can run it, in this process or on another machine. Nothing that happens to the kernel raises: the
outcome says what happened.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

import nbformat
import papermill
from jupyter_core.utils import ensure_event_loop

from bslib.book import notebook as notebooks
from bslib.book.kernel import ENGINE, KERNEL, START_TIMEOUT_S, Watch

MESSAGE_LENGTH = 300


@dataclass(frozen=True)
class Job:
    """All that is needed to execute one notebook.

    Attributes:
        path: the notebook's path in the checkout and in the run folder.
        source: content of its file.
        parameters: values to inject; empty where the notebook's own defaults hold.
        cwd: the kernel's working directory.
        env: what is added to the kernel's environment.
        timeout_s: how long the whole notebook may take.
        names: what to write in its outputs in place of this machine's folders.
    """

    path: str
    source: str
    parameters: Mapping[str, Any]
    cwd: str
    env: Mapping[str, str]
    timeout_s: float
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a status of ``run_folder.STATUSES``, and the executed notebook's file.

    ``notebook`` is None where the kernel never started; ``device`` names the hardware where that
    is not this machine's.
    """

    path: str
    status: str
    started: str
    seconds: float
    notebook: str | None
    error: str = ""
    device: str = ""


def execute(job: Job, watch: Watch | None = None) -> Outcome:
    """Execute a notebook; a kernel that does not come up is tried a second time."""
    watch = watch or Watch()
    started, start = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    timer = threading.Timer(job.timeout_s, watch.end, ["timeout"])
    timer.daemon = True
    timer.start()
    try:
        error = _attempt(job, watch)
        if error and not watch.ready and not watch.reason:
            error = _attempt(job, watch)  # two kernels may have been given one port
    finally:
        timer.cancel()
        watch.kill()
    status = watch.reason or ("failed" if error else "ok")
    if watch.reason:
        late = status == "timeout"
        error = f"outlasted its time-out of {job.timeout_s:g} s" if late else "interrupted"
    seconds = round(time.monotonic() - start, 2)
    return Outcome(job.path, status, started, seconds, _recorded(job, watch, status), error)


def _attempt(job: Job, watch: Watch) -> str:
    """Run papermill once; return what went wrong in a line, or nothing."""
    watch.notebook, watch.ready = None, False
    with contextlib.closing(ensure_event_loop()), tempfile.TemporaryFile() as stderr:
        try:
            _run_papermill(job, watch, stderr)
        except papermill.PapermillExecutionError as error:
            return _line(f"{error.ename}: {error.evalue}")
        except Exception as error:  # whatever happens to a kernel fails this notebook alone
            if not _is_death(error):
                return _line(f"{type(error).__name__}: {error}")
            when = "" if watch.ready else " before its first cell"
            return _line(f"the kernel died{when}. {_last_words(stderr)}")
    return ""


def _run_papermill(job: Job, watch: Watch, stderr: IO[bytes]) -> None:
    papermill.execute_notebook(
        nbformat.reads(job.source, as_version=4),
        None,
        parameters=dict(job.parameters),
        engine_name=ENGINE,
        kernel_name=KERNEL,
        language="python",
        progress_bar=False,
        autosave_cell_every=0,
        start_timeout=START_TIMEOUT_S,
        watch=watch,
        start_options={
            "cwd": job.cwd,
            "env": {**os.environ, **job.env},
            "stdout": subprocess.DEVNULL,
            "stderr": stderr,
        },
    )


def _line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:MESSAGE_LENGTH] if lines else ""


def _last_words(stderr: IO[bytes]) -> str:
    """Return the last line that a kernel wrote past its notebook, such as why it crashed."""
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines and "IPKernelApp" not in lines[-1] else ""


def _is_death(error: Exception) -> bool:
    return type(error).__name__ == "DeadKernelError" or "Kernel died" in str(error)


def _recorded(job: Job, watch: Watch, status: str) -> str | None:
    if watch.notebook is None:
        return None
    executed = notebooks.normalized(watch.notebook, job.names)
    if status != "ok":
        # A killed kernel leaves no error output behind.
        executed.metadata["papermill"]["exception"] = True
    return notebooks.text_of(executed)
