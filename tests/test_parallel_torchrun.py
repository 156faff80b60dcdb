"""Workers: each is called once, and whatever goes wrong in one ends them all, with its reason."""

import os
import signal
import threading
import time
from pathlib import Path

import parallel_case
import psutil
import pytest
from click.testing import CliRunner

from bslib.parallel import WorkerFailed, launch
from bslib.parallel.__main__ import main
from bslib.refusal import Refusal


def gone(pids: list[int], within_s: float = 10.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end and any(psutil.pid_exists(pid) for pid in pids):
        time.sleep(0.1)
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_every_worker_is_called_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results come back by rank; arguments arrive, and one thread, whatever is allowed here."""
    monkeypatch.setenv("MKL_NUM_THREADS", "2")
    found = launch(parallel_case.place, world_size=2, threads=1, word="here")
    assert found == [[0, 2, "1", "here"], [1, 2, "1", "here"]]


def test_an_error_comes_back_with_its_traceback() -> None:
    """The worker that raised is named, though the other was stuck waiting for it."""
    with pytest.raises(WorkerFailed, match=r"(?s)rank 1: Traceback.*no such luck"):
        launch(parallel_case.one_raises, world_size=2)


def test_a_worker_that_dies_ends_the_run() -> None:
    """One that was killed leaves no traceback; which rank it was is told."""
    with pytest.raises(WorkerFailed, match="rank 1 ended first, with exit status -9"):
        launch(parallel_case.one_dies, world_size=2)


def test_a_time_out_leaves_no_process(tmp_path: Path) -> None:
    """Workers that hang are ended with torchrun."""
    with pytest.raises(WorkerFailed, match="outlasted"):
        launch(parallel_case.tells_and_hangs, world_size=2, timeout_s=6, folder=str(tmp_path))
    pids = [int(each.read_text()) for each in tmp_path.iterdir()]
    assert len(pids) == 2
    assert gone(pids)


def test_workers_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    """torchrun, killed outright, can end nobody: the workers see that it is gone."""

    def kill_launcher() -> None:
        end = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
        for each in tmp_path.iterdir():
            pids.append(int(each.read_text()))
        os.kill(psutil.Process(pids[0]).ppid(), signal.SIGKILL)

    pids: list[int] = []
    killer = threading.Thread(target=kill_launcher)
    killer.start()
    with pytest.raises(WorkerFailed):
        launch(parallel_case.tells_and_hangs, world_size=2, timeout_s=40, folder=str(tmp_path))
    killer.join()
    assert gone(pids)


def test_what_workers_cannot_import_is_refused() -> None:
    """A function within a function has no name that another process could find."""
    with pytest.raises(Refusal, match="cannot import"):
        launch(lambda: None, world_size=2)
    with pytest.raises(Refusal, match="world_size"):
        launch(parallel_case.place, world_size=0)


def test_the_command_line_tells_what_sharing_costs() -> None:
    """A row a local batch size, and the fitted model; what cannot be is one message."""
    sizes = ["--local-batch-sizes", "1,2,4,8,16,24,32,48", "--rounds", "2"]
    told = CliRunner().invoke(main, sizes)
    assert told.exit_code == 0, told.output
    assert "held out" in told.output
    assert "CostModel" in told.output
    assert CliRunner().invoke(main, ["--local-batch-sizes", "1,many"]).exit_code == 1
