"""One notebook in one kernel: how it is ended."""

import threading
import time
from pathlib import Path

import psutil
import pytest
from small_checkout import notebook_text

from bslib.book import execute
from bslib.book.execute import Job, Outcome
from bslib.book.kernel import Watch, environment

CHILD = """\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
"""


def job(cwd: Path, *cells: str, timeout_s: float = 600) -> Job:
    added = environment(1, {})
    return Job("chapters/a.ipynb", notebook_text(cells), {}, str(cwd), added, timeout_s)


def printed(watch: Watch) -> str:
    cells = watch.notebook.cells if watch.notebook is not None else []
    outputs = [each for cell in cells for each in cell.get("outputs", [])]
    return "".join(each.text for each in outputs if each.output_type == "stream")


def test_a_time_out_covers_the_whole_notebook(tmp_path: Path) -> None:
    """Three cells that each keep within the time-out do not keep within it together."""
    outcome = execute.execute(job(tmp_path, *["import time; time.sleep(0.9)"] * 3, timeout_s=1))
    assert (outcome.status, outcome.error) == ("timeout", "outlasted its time-out of 1 s")


def test_ending_a_notebook_ends_all_that_it_started(tmp_path: Path) -> None:
    """The kernel and its child processes are gone, and what was printed is kept."""
    watch, outcomes = Watch(), list[Outcome]()
    work = job(tmp_path, f"{CHILD}time.sleep(600)")
    thread = threading.Thread(target=lambda: outcomes.append(execute.execute(work, watch)))
    thread.start()
    end = time.monotonic() + 60
    while not printed(watch) and time.monotonic() < end:
        time.sleep(0.05)
    child = int(printed(watch))
    watch.end("interrupted")
    thread.join()
    assert outcomes[0].status == "interrupted"
    assert f'"{child}\\n"' in (outcomes[0].notebook or "").replace("\\\\n", "\\n")
    assert is_gone(child)


def test_a_kernel_that_dies_leaves_no_process(tmp_path: Path) -> None:
    """What it had started is ended, although nothing can be asked of the kernel any more."""
    watch = Watch()
    dies = f"{CHILD}import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    outcome = execute.execute(job(tmp_path, CHILD, dies), watch)
    assert outcome.status == "failed"
    assert "the kernel died" in outcome.error
    assert is_gone(int(printed(watch).split()[0]))


def is_gone(pid: int, within_s: float = 10) -> bool:
    """Say whether a killed process ends; the system takes a moment to do it."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_an_end_that_comes_before_the_kernel_is_not_lost(tmp_path: Path) -> None:
    """A notebook told to end before its kernel is up never runs."""
    watch = Watch()
    watch.end("interrupted")
    outcome = execute.execute(job(tmp_path, "print('ran')"), watch)
    assert outcome.status == "interrupted"
    assert "ran\\n" not in (outcome.notebook or "")


@pytest.mark.parametrize(("failures", "status"), [(1, "ok"), (2, "failed")])
def test_a_kernel_that_does_not_start_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, status: str
) -> None:
    """One failed start (two kernels were given one port) is forgiven, a second is not."""
    starts = 0
    whole = execute._run_papermill

    def unlucky(*arguments: object) -> None:
        nonlocal starts
        starts += 1
        if starts <= failures:
            raise RuntimeError("Kernel died before replying to kernel_info")
        whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(execute, "_run_papermill", unlucky)
    outcome = execute.execute(job(tmp_path))
    assert (outcome.status, starts) == (status, 2)
    assert ("before its first cell" in outcome.error) == (status == "failed")
