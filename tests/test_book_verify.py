"""Verifying a run folder, and reading its verdicts."""

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from small_checkout import make_checkout, notebook_text

from bslib.book.checkout import Checkout
from bslib.book.run_folder import Entry, Provenance, Record, RunFolder, file_hash
from bslib.book.sources import source_hash
from bslib.book.verify import Findings, verify
from bslib.cli import commands

PATHS = {"3.3": "chapters/3-increasing/variance.ipynb", "3.4": "chapters/3-increasing/curves.ipynb"}
CLAIMS = list(PATHS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    notebooks = {path: notebook_text(["1"], claim=claim) for claim, path in PATHS.items()}
    return make_checkout(tmp_path / "book", {**notebooks, "chapters/ledger.ipynb": notebook_text()})


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> RunFolder:
    """A run of both claims' notebooks, without the ledger."""
    made = Provenance("CPU", {}, "", "2025-01-01T00:00:00+00:00", "quick")
    run, record = RunFolder(tmp_path / "run"), Record("quick", "CPU", {}, "", made.started)
    for claim, path in PATHS.items():
        text = (root / path).read_text()
        source = source_hash(nbformat.reads(text, as_version=4), {})
        record = run.store(record, path, Entry(claim, "ok", 1.0, {}, source, made), text)
    return run


def found(folder: RunFolder, root: Path) -> Findings:
    return verify(folder, Checkout(root), CLAIMS)


def test_a_sound_run(folder: RunFolder, root: Path) -> None:
    """Nothing is broken or stale; what the run does not hold is listed."""
    assert found(folder, root) == Findings([], [], [], ["chapters/ledger.ipynb"], [], 2)


def test_a_changed_file_is_broken(folder: RunFolder, root: Path) -> None:
    """One byte more than was recorded is found."""
    path = folder.root / PATHS["3.3"]
    path.write_text(path.read_text() + "\n")
    (line,) = found(folder, root).broken
    assert PATHS["3.3"] in line
    assert "hash" in line


def test_a_missing_file_is_broken(folder: RunFolder, root: Path) -> None:
    """A notebook listed as ok has to be there, and its claim does not count as held."""
    (folder.root / PATHS["3.3"]).unlink()
    findings = found(folder, root)
    assert "missing" in findings.broken[0]
    assert findings.unclaimed == ["3.3"]
    assert findings.ok == 1


@pytest.mark.parametrize("content", ["", "{", "{}", '{"cells": 1}', "[]"])
def test_a_file_that_is_no_notebook_is_broken(folder: RunFolder, root: Path, content: str) -> None:
    """Even where the hash is right, the file has to parse."""
    path = PATHS["3.3"]
    (folder.root / path).write_text(content)
    record = folder.read()
    entry = replace(record.notebooks[path], file_hash=file_hash(folder.root / path))
    folder.write(replace(record, notebooks={**record.notebooks, path: entry}))
    assert "no valid notebook" in found(folder, root).broken[0]


def test_changed_sources_are_stale_and_not_broken(folder: RunFolder, root: Path) -> None:
    """Code that was changed since makes its notebook stale, and only that."""
    source = root / PATHS["3.4"]
    source.write_text(source.read_text().replace('"1"', '"2"'))
    findings = found(folder, root)
    assert (findings.broken, findings.stale) == ([], [PATHS["3.4"]])


def test_a_notebook_that_left_the_book_is_stale(folder: RunFolder, root: Path) -> None:
    """What no longer has a source cannot be up to date."""
    (root / PATHS["3.4"]).unlink()
    assert found(folder, root).stale == [PATHS["3.4"]]


def test_failures_are_listed_with_their_reason(folder: RunFolder, root: Path) -> None:
    """A notebook that failed is no damage to the folder, and its claim is not held."""
    record, path = folder.read(), PATHS["3.3"]
    entry = replace(record.notebooks[path], status="failed", error="ZeroDivisionError")
    folder.write(replace(record, notebooks={**record.notebooks, path: entry}))
    findings = found(folder, root)
    assert findings.unfinished == [f"{path}: failed: ZeroDivisionError"]
    assert (findings.broken, findings.unclaimed) == ([], ["3.3"])


def invoke(root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    monkeypatch.chdir(root)
    result = CliRunner().invoke(commands, ["verify", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_the_commands_exit_status(
    folder: RunFolder, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 for a sound run, stale or not; 1 for a broken or (asked for) incomplete one; 2 for none."""
    run = str(folder.root)
    source = root / PATHS["3.4"]
    source.write_text(source.read_text().replace('"1"', '"2"'))
    status, text = invoke(root, monkeypatch, run)
    assert status == 0
    assert "stale" in text
    status, text = invoke(root, monkeypatch, run, "--complete")
    assert status == 1
    assert "claim 1.1" in text
    (folder.root / PATHS["3.3"]).unlink()
    assert invoke(root, monkeypatch, run)[0] == 1
    status, text = invoke(root, monkeypatch, str(tmp_path / "absent"))
    assert status == 2
    assert "is no run folder" in text
