"""The command line: bad input is one message, exit status 2, and nothing written."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from small_checkout import make_checkout, notebook_text

from bslib import data
from bslib.book import runner
from bslib.book.run_folder import Entry, Provenance, RunFolder
from bslib.cli import commands

PARAMETERS = """\
task: str = "digits"  # data
batch_sizes: list = [8]  # sizes
seeds: int = 3  # repeats
device: str = "cpu"  # where
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    notebooks = {"chapters/3-increasing/one.ipynb": notebook_text(["1"], PARAMETERS, claim="3.3")}
    made = make_checkout(tmp_path / "book", notebooks)
    monkeypatch.chdir(made)
    return made


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def files(root: Path) -> set[Path]:
    return set(root.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run 9.9", "'9.9' is no claim"),
        ("run oen", "(did you mean 'one'?); there are: 3.3 one"),
        ("run -p batch_sizes 8,64", "such as [8,64]"),
        ("run --out _toc.yml/run", "nothing can be written to"),
        ("run --scheduler localhost", "ends in its port"),
        ("run -p sedes 3", "no parameter 'sedes'"),
        ("run -p task imagenet", "unknown task 'imagenet'"),
        ("run --profile huge", "'huge' is not one of"),
        ("run --profile full", "no full profile"),
        ("run -p batch_sizes []", "must not be empty"),
        ("run -p batch_sizes [0]", "between 1"),
        ("run -p batch_sizes [-8]", "between 1"),
        ("run -p batch_sizes -8", "list"),
        ("run -p batch_sizes [1.5]", "whole number"),
        ("run -p batch_sizes many", "list"),
        ("run -p batch_sizes [8,9999]", "more than the"),
        ("run -p seeds 0", "seeds must lie between"),
        ("run -p device cuda:77", "not there"),
        ("run -p device abacus", "unknown"),
        ("run --workers 0", "--workers"),
        ("run --timeout 0", "--timeout"),
        ("build nowhere --out html", "is no run folder"),
        ("build . --out html", "is no run folder"),
        ("verify nowhere", "is no run folder"),
        ("verify .", "is no run folder"),
        ("claims nowhere", "is no run folder"),
        ("claims --against nowhere", "give that run first"),
        ("data imagenet", "'imagenet' is unknown"),
        ("nonsense", "No such command"),
    ],
)
def test_bad_input(root: Path, arguments: str, says: str) -> None:
    """Refused on standard error with exit status 2, without a traceback or a file."""
    before = files(root)
    result = invoke(*arguments.split())
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert files(root) == before


@pytest.mark.parametrize("out", ["used", "used/file"])
def test_a_folder_of_something_else_is_refused(root: Path, out: str) -> None:
    """A run is never written among files that no run made."""
    (root / "used").mkdir()
    (root / "used" / "file").touch()
    before = files(root)
    result = invoke("run", "--out", out)
    assert result.exit_code == 2
    assert "another folder" in result.stderr or "give a folder" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert files(root) == before


def test_another_profiles_folder_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick and rehearsed results never share a folder."""
    monkeypatch.setattr(runner._Session, "run", only_recorded)
    assert invoke("run", "--out", "run").exit_code == 0
    result = invoke("run", "--out", "run", "--rehearse")
    assert result.exit_code == 2
    assert "profile 'quick', not 'rehearsal'" in result.stderr


def only_recorded(session: Any, space: object, pool: object) -> runner.Result:
    """Stand for a run that executes nothing and is recorded."""
    session.folder.write(session.record)
    return runner.Result({}, False)


def test_options_reach_the_runner(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers, time-out and commit are passed on; the folder has its default."""
    seen: dict[str, Any] = {}

    def run(plan: Any, folder: RunFolder, display: Any, **options: Any) -> runner.Result:
        seen.update(options, plan=plan, folder=folder)
        return runner.Result({}, False)

    monkeypatch.setattr(runner, "run", run)
    options = "--workers 1 --timeout 5 --commit abc --resume -p seeds 4 -p batch_sizes [4,8]"
    result = invoke("run", "3.3", *options.split())
    assert result.exit_code == 0, result.output
    assert seen["folder"].root == root / "_build" / "runs" / "quick"
    assert (seen["space"].workers, seen["timeout_s"], seen["commit"]) == (1, 5, "abc")
    assert seen["resume"]
    assert seen["plan"].items[0].injected == {"seeds": 4, "batch_sizes": [4, 8]}


@pytest.mark.parametrize(
    ("interrupted", "failed", "status"), [(False, False, 0), (False, True, 1), (True, True, 130)]
)
def test_the_exit_status_of_a_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool, failed: bool, status: int
) -> None:
    """0 when all is well, 1 when a notebook failed, 130 when a signal ended it."""

    made = Provenance("CPU", {}, "", "2025-01-01T00:00:00+00:00", "quick")
    entry = Entry("3.3", "failed" if failed else "ok", 1.0, {}, "", made)
    result = runner.Result({"a": entry}, interrupted)
    monkeypatch.setattr(runner, "run", lambda *given, **options: result)
    assert invoke("run", "--out", "run").exit_code == status


def test_ctrl_c_before_the_first_notebook(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the run is being planned, too, the exit status is 130."""

    def interrupted(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "admit", interrupted)
    assert invoke("run", "--out", "run").exit_code == 130


def test_book_runs_then_builds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's folder is built from, and the page to open is what is printed."""
    from bslib.book import build

    built: list[Any] = []

    def build_html(run_dirs: list[Path], out: Path) -> Path:
        built.extend([run_dirs, out])
        return out / "index.html"

    monkeypatch.setattr(build, "build", build_html)
    monkeypatch.setattr(runner, "run", lambda *given, **options: runner.Result({}, False))
    result = invoke("book", "--out", "made")
    assert result.exit_code == 0, result.output
    assert built == [[root / "made" / "runs" / "quick"], root / "made" / "html"]
    assert result.stdout.strip() == str(root / "made" / "html" / "index.html")


def test_tasks_are_listed(root: Path) -> None:
    """Each task says where its data are, or how to get them."""
    result = invoke("data")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(data.TASKS)


def test_data_are_fetched_and_copied(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task by name is fetched; with --to its files are copied, where it has any."""
    assert invoke("data", "digits").exit_code == 0
    monkeypatch.setattr(data, "copy", lambda name, to: to / name)
    assert str(tmp_path / "digits") in invoke("data", "digits", "--to", str(tmp_path)).stdout
    monkeypatch.setattr(data, "copy", lambda name, to: None)
    assert "needs no files" in invoke("data", "digits", "--to", str(tmp_path)).stdout


def test_help_imports_nothing_heavy() -> None:
    """``bslib --help`` comes without torch, papermill or pandas, and lists the commands."""
    script = (
        "import sys\nfrom bslib.cli import commands\n"
        "commands(['--help'], standalone_mode=False)\n"
        "print(sorted({'torch', 'papermill', 'pandas', 'sphinx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("run", "build", "book", "claims", "data", "verify"):
        assert f"\n  {name} " in done.stdout


def test_the_module_runs_as_a_command() -> None:
    """``python -m bslib`` is the same command line."""
    command = [sys.executable, "-m", "bslib", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("bslib, version ")
