"""The verdicts of a run are read from its executed notebooks, and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook, new_output

from bslib import claims
from bslib.book import verdicts
from bslib.book.run_folder import Entry, Provenance, Record, RunFolder
from bslib.cli import commands
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate

CHECKSUM = "c0ffee"


def verdict(value: float = -1.0, key: str = "3.3") -> claims.Verdict:
    claim = claims.claim(key)
    estimates = {arm.name: Estimate(value, value - 0.01, value + 0.01, n=4) for arm in claim.arms}
    return claims.judge(key, estimates, scope={"task": "digits", "checksum": CHECKSUM})


def text_with(*made: claims.Verdict) -> str:
    bundles = [each._repr_mimebundle_() for each in made]
    outputs = [new_output("execute_result", data=each, execution_count=1) for each in bundles]
    return str(nbformat.writes(new_notebook(cells=[new_code_cell("1", outputs=outputs)])))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return stored(tmp_path / "run", text_with(verdict(5.0), verdict(-1.0)))


def stored(root: Path, text: str, status: str = "ok", key: str = "3.3") -> RunFolder:
    folder = RunFolder(root)
    made = Provenance("CPU", {}, "", "2025-01-01T00:00:00+00:00", "quick")
    record = Record("quick", "CPU", {}, "", made.started)
    folder.store(record, "chapters/a.ipynb", Entry(key, status, 1.0, {}, "", made), text)
    return folder


def test_the_last_verdict_of_a_notebook_counts(folder: RunFolder) -> None:
    """It comes back as it was judged."""
    assert verdicts.read_verdicts(folder.root) == {"3.3": verdict(-1.0)}


@pytest.mark.parametrize("status", ["failed", "timeout", "interrupted"])
def test_only_finished_notebooks_count(tmp_path: Path, status: str) -> None:
    """A notebook that was cut short may hold a verdict; it is not read."""
    run = stored(tmp_path / "run", text_with(verdict()), status)
    assert verdicts.read_verdicts(run.root) == {}


def test_a_notebook_without_a_verdict_has_none(tmp_path: Path) -> None:
    """It is left out."""
    assert verdicts.read_verdicts(stored(tmp_path / "run", text_with()).root) == {}


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """No verdicts are invented for it."""
    with pytest.raises(Refusal):
        verdicts.read_verdicts(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "format"])
def test_a_damaged_notebook_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    """Half a file, or a verdict of another format, is not passed over."""
    text = text_with(verdict())
    text = text[: len(text) // 2] if damage == "cut" else text.replace('"format": 1', '"format": 7')
    with pytest.raises(Refusal, match=r"a\.ipynb cannot be read"):
        verdicts.read_verdicts(stored(tmp_path / "run", text).root)


def test_the_datas_checksum_is_the_verdicts() -> None:
    """It is found where a verdict's scope tells it, else left empty."""
    assert verdicts.data_checksum(text_with(verdict())) == CHECKSUM
    silent = replace(verdict(), scope={"task": "digits"})
    assert verdicts.data_checksum(text_with(silent)) == ""
    assert verdicts.data_checksum("") == ""


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(commands, ["claims", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_catalogue_is_listed() -> None:
    """One line a claim, in order."""
    assert [line.split()[0] for line in listed().splitlines()] == list(claims.CATALOGUE)


def test_a_runs_verdicts_are_listed(folder: RunFolder) -> None:
    """Each claim has its outcome, or says that it was not run."""
    lines = {line.split()[0]: line for line in listed(str(folder.root)).splitlines()}
    assert verdict(-1.0).outcome in lines["3.3"]
    assert "not run" in lines["3.4"]


def test_two_runs_are_compared(folder: RunFolder, tmp_path: Path) -> None:
    """Verdict by verdict, and where they differ is marked."""
    other = stored(tmp_path / "other", text_with(verdict(5.0)))
    same = [line for line in listed(str(folder.root), "--against", str(folder.root)).splitlines()]
    assert not any("differs" in line for line in same)
    lines = listed(str(folder.root), "--against", str(other.root)).splitlines()
    assert [line.split()[0] for line in lines if "differs" in line] == ["3.3"]


def test_json_holds_whole_verdicts(folder: RunFolder) -> None:
    """What is printed can be read back as the verdict."""
    rows = {row["key"]: row for row in json.loads(listed(str(folder.root), "--json"))}
    (stored_verdict,) = rows["3.3"]["verdicts"]
    assert claims.Verdict.from_json(stored_verdict) == verdict(-1.0)
    assert rows["1.1"]["verdicts"] == [None]


@pytest.mark.parametrize("damage", ["changed", "cut", "lost"])
def test_a_verdict_that_is_not_as_recorded_is_refused(folder: RunFolder, damage: str) -> None:
    """A notebook that was edited, cut or lost since is named, with what tells more of it."""
    file = folder.root / "chapters/a.ipynb"
    file.write_text(text_with(verdict(5.0)) if damage == "changed" else "{")
    if damage == "lost":
        file.unlink()
    with pytest.raises(Refusal, match=r"a\.ipynb is .*bslib verify"):
        verdicts.read_verdicts(folder.root)
