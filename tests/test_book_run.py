"""Notebooks that are run: what is recorded, what fails alone, what is executed again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from small_checkout import LEDGER_PARAMETERS, Silent, make_checkout, notebook_text

from bslib.book import plan, runner
from bslib.book.checkout import Checkout
from bslib.book.packing import Room
from bslib.book.run_folder import Entry, RunFolder

SECTION = "chapters/3-increasing/"
LEDGER = "chapters/ledger.ipynb"
SHOWN = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MALLOC_TRIM_THRESHOLD_"]
SHOWN += ["NVIDIA_TF32_OVERRIDE", "BSLIB_PROFILE"]


def ledger_text() -> str:
    reads = "import json\nprint(sorted(json.load(open(f'{quick_dir}/run.json'))['notebooks']))"
    return notebook_text([reads], LEDGER_PARAMETERS)


def execute(root: Path, out: Path, *, resume: bool = False) -> runner.Result:
    made, space = plan.make(Checkout(root)), Room(cores=3, workers=3)
    return runner.run(made, RunFolder(out), Silent(), space=space, resume=resume, root=root)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = f"import os\nprint({{name: os.environ[name] for name in {SHOWN}}})"
    cells = {
        "good": ([environment, "import os\nprint(os.getcwd(), seeds)\nraise_nothing = 1"], "3.1"),
        "bad": (["print('before')", "1 / 0", "print('after')"], "3.2"),
        "killed": (["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"], "3.3"),
    }
    notebooks = {
        f"{SECTION}{name}.ipynb": notebook_text(sources, claim=claim)
        for name, (sources, claim) in cells.items()
    }
    root = tmp_path_factory.mktemp("checkout") / "book"
    return make_checkout(root, {**notebooks, LEDGER: ledger_text()})


@pytest.fixture(scope="module")
def out(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "run"
    execute(checkout, folder)
    return folder


@pytest.fixture(scope="module")
def entries(out: Path) -> dict[str, Entry]:
    notebooks = RunFolder(out).read().notebooks
    return {Path(path).stem: entry for path, entry in notebooks.items()}


def printed(out: Path, path: str) -> str:
    notebook = nbformat.read(out / path, as_version=4)
    outputs = (each for cell in notebook.cells for each in cell.get("outputs", []))
    return "".join(each.text for each in outputs if each.output_type == "stream")


def test_each_notebook_fails_alone(entries: dict[str, Entry]) -> None:
    """An error or a killed kernel fails its own notebook, and stops no other."""
    statuses = {name: entry.status for name, entry in entries.items()}
    assert statuses == {
        "good": "ok",
        "bad": "failed",
        "killed": "failed",
        "ledger": "ok",
    }


def test_the_reason_is_kept(entries: dict[str, Entry]) -> None:
    """The record says in a line why a notebook is not ok."""
    assert entries["bad"].error == "ZeroDivisionError: division by zero"
    assert "the kernel died" in entries["killed"].error
    assert not entries["good"].error


def test_a_failed_notebook_stops_and_keeps_its_error(out: Path) -> None:
    """The cells before the error are recorded, those after it are not executed."""
    notebook = nbformat.read(out / f"{SECTION}bad.ipynb", as_version=4)
    kinds = [output.output_type for cell in notebook.cells for output in cell.get("outputs", [])]
    assert kinds == ["stream", "error"]
    assert notebook.metadata.papermill.exception is True


def test_a_killed_notebook_is_marked(out: Path) -> None:
    """A notebook whose kernel was killed has no error output; its metadata say that it failed."""
    notebook = nbformat.read(out / f"{SECTION}killed.ipynb", as_version=4)
    assert notebook.metadata.papermill.exception is True


def test_the_kernels_environment(out: Path) -> None:
    """Threads, allocator, precision and profile reach the kernel, which starts in the folder."""
    text = printed(out, f"{SECTION}good.ipynb")
    values = ["1", "passive", str(8 * 2**30), "0", "quick"]
    assert str(dict(zip(SHOWN, values, strict=True))) in text
    assert text.splitlines()[1] == ". 3"  # the run folder's own name is taken out


def test_the_ledger_runs_last_over_this_run(out: Path, entries: dict[str, Entry]) -> None:
    """The ledger finds every other notebook in run.json, by the folder it was given."""
    assert entries["ledger"].parameters == {"quick_dir": ".", "full_dir": ""}
    for name in ("good", "bad", "killed"):
        assert f"{SECTION}{name}.ipynb" in printed(out, LEDGER)


def test_the_record_says_what_ran(entries: dict[str, Entry]) -> None:
    """Every effective parameter and the provenance are recorded; only changed ones are injected."""
    good = entries["good"]
    assert good.parameters == {"seeds": 3, "batch_sizes": [8, 64], "device": "cpu"}
    assert good.claim == "3.1"
    assert good.provenance.versions["torch"]
    assert good.provenance.device.startswith("CPU")


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bslib", "run", "--out", "run", *arguments]
    return subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)


def kernels_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def until(condition: object, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


@pytest.fixture
def half_done(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A runner in a process of its own that has finished one notebook and is in the next."""
    flag = f"import pathlib\npathlib.Path({str(tmp_path / 'reached')!r}).touch()\n"
    once = (
        f"if not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n    import time; time.sleep(600)"
    )
    root = make_checkout(
        tmp_path / "book",
        {
            f"{SECTION}first.ipynb": notebook_text(["print(1)"]),
            f"{SECTION}second.ipynb": notebook_text([flag + once]),
        },
    )
    process = start(root, "--workers", "1")
    until((tmp_path / "reached").exists)
    yield root, process
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_a_killed_runner_keeps_what_was_finished(
    half_done: tuple[Path, subprocess.Popen[str]],
) -> None:
    """After SIGKILL the finished notebook stays, kernels end, and resuming does the rest."""
    root, process = half_done
    kernels = kernels_of(process)
    process.kill()
    process.wait()
    until(lambda: not psutil.wait_procs(kernels, timeout=0)[1])
    before = RunFolder(root / "run").read().notebooks
    assert set(before) == {f"{SECTION}first.ipynb"}
    (root.parent / "go").touch()
    result = execute(root, root / "run", resume=True)
    assert set(result.executed) == {f"{SECTION}second.ipynb"}
    assert not result.failures
    assert (
        RunFolder(root / "run").read().notebooks[f"{SECTION}first.ipynb"]
        == (before[f"{SECTION}first.ipynb"])
    )


def test_ctrl_c_leaves_a_valid_folder_and_no_process(
    half_done: tuple[Path, subprocess.Popen[str]],
) -> None:
    """On SIGINT the runner ends its kernels, records what was cut short, and exits with 130."""
    root, process = half_done
    kernels = kernels_of(process)
    assert kernels
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert not psutil.wait_procs(kernels, timeout=0)[1]
    record = RunFolder(root / "run").read()
    statuses = {Path(path).stem: entry.status for path, entry in record.notebooks.items()}
    assert statuses == {"first": "ok", "second": "interrupted"}
    assert json.loads((root / "run" / "run.json").read_text())["profile"] == "quick"
