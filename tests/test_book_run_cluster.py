"""Notebooks on a Dask cluster: the runner's own code path, and a worker that dies on the way."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import pytest
from click.testing import CliRunner
from small_checkout import Silent, make_checkout, notebook_text

from bslib import sweeps
from bslib.book import cluster, plan, runner
from bslib.book.checkout import Checkout
from bslib.book.execute import Job
from bslib.book.run_folder import RunFolder
from bslib.cli import commands
from bslib.refusal import Refusal

SECTION = "chapters/3-increasing/"
# Says which worker's child it is, the first time it is tried; then, only goes on.
TELLS = """\
import os, pathlib, time
told = pathlib.Path({folder!r}) / "worker"
first = not told.exists()
told.write_text(str(os.getppid())) if first else None
time.sleep(60 if first else 0)
"""


@pytest.fixture(scope="module")
def dask() -> Iterator[distributed.LocalCluster]:
    options: dict[str, Any] = {"dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", **options
    ) as made:
        yield made


def book(root: Path, **notebooks: str) -> plan.Plan:
    pages = {
        f"{SECTION}{name}.ipynb": notebook_text([source], claim=f"3.{place}")
        for place, (name, source) in enumerate(notebooks.items(), 1)
    }
    return plan.make(Checkout(make_checkout(root, pages)))


def run(planned: plan.Plan, out: Path, address: str, display: Any = None) -> runner.Result:
    with cluster.connect(address) as joined:
        return runner.run(
            planned,
            RunFolder(out),
            display or Silent(),
            space=joined.room,
            executor=joined,
        )


def test_a_worker_that_dies_is_replaced(tmp_path: Path, dask: distributed.LocalCluster) -> None:
    """Its notebook is executed again elsewhere, and the run is complete."""
    planned = book(tmp_path / "book", slow=TELLS.format(folder=str(tmp_path)), quick="print(1)")
    killer = threading.Thread(target=_kill_worker, args=(tmp_path / "worker",))
    killer.start()
    result = run(planned, tmp_path / "run", dask.scheduler_address)
    killer.join()
    assert {entry.status for entry in result.executed.values()} == {"ok"}
    assert len(result.executed) == 2


def _kill_worker(told: Path) -> None:
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(int(told.read_text()), signal.SIGKILL)


def test_a_signal_ends_the_kernels_of_the_cluster(
    tmp_path: Path, dask: distributed.LocalCluster
) -> None:
    """What runs elsewhere is told of the end, and recorded as interrupted."""
    planned = book(tmp_path / "book", slow="import time; time.sleep(60)")

    class Impatient(Silent):
        def begin(self, total: int) -> None:
            threading.Timer(5.0, os.kill, [os.getpid(), signal.SIGINT]).start()

    result = run(planned, tmp_path / "run", dask.scheduler_address, Impatient())
    assert result.interrupted
    assert [entry.status for entry in result.executed.values()] == ["interrupted"]


def test_the_command_takes_a_scheduler(
    tmp_path: Path, dask: distributed.LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bslib run --scheduler` records the same folder as a run on this machine."""
    book(tmp_path / "book", quick="print(seeds)")
    monkeypatch.chdir(tmp_path / "book")
    options = ["--scheduler", dask.scheduler_address, "--out", str(tmp_path / "run"), "-p"]
    told = CliRunner().invoke(commands, ["run", *options, "seeds", "5"])
    assert told.exit_code == 0, told.output
    (entry,) = RunFolder(tmp_path / "run").read().notebooks.values()
    assert (entry.status, entry.parameters["seeds"]) == ("ok", 5)
    assert entry.provenance.device


def test_nobody_at_the_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, exit status 2, nothing written."""
    book(tmp_path / "book", quick="print(1)")
    monkeypatch.chdir(tmp_path / "book")
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    address = "tcp://127.0.0.1:1"
    options = ["--scheduler", address, "--out", str(tmp_path / "run")]
    told = CliRunner().invoke(commands, ["run", *options])
    assert told.exit_code == 2
    assert "no scheduler answers" in told.output
    assert not (tmp_path / "run").exists()


def test_an_address_without_a_port_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked at an address that cannot be one."""
    monkeypatch.setattr(distributed, "Client", None)
    with pytest.raises(Refusal, match="ends in its port"), cluster.connect("tcp://localhost"):
        pass


def test_workers_with_another_package_are_refused(
    dask: distributed.LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their results would not be those of these sources."""
    monkeypatch.setattr(sweeps, "source_hash", lambda: "another")
    with (
        pytest.raises(Refusal, match="another version"),
        cluster.connect(dask.scheduler_address),
    ):
        pass


def test_without_a_shared_folder_a_job_works_in_its_own(tmp_path: Path) -> None:
    """The run folder is not there: a temporary one takes its place, its cache inside."""
    job = Job("a.ipynb", "", {}, str(tmp_path / "nowhere"), {sweeps.FOLDER: "x"}, 1.0)
    with cluster._folder(job) as moved:
        assert Path(moved.cwd).is_dir()
        assert Path(moved.env[sweeps.FOLDER]).parent == Path(moved.cwd)
    assert not Path(moved.cwd).exists()
    with cluster._folder(replace(job, cwd=str(tmp_path))) as kept:
        assert kept.cwd == str(tmp_path)
