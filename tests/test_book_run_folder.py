"""The run folder: valid whatever stops its writer."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bslib.book import run_folder
from bslib.book.run_folder import Entry, Provenance, Record, RunFolder
from bslib.refusal import Refusal

PATH = "chapters/a.ipynb"


def record() -> Record:
    return Record("quick", "CPU", {"python": "3.11"}, "abc", "2025-01-01T00:00:00+00:00", 1.5)


def entry(claim: str = "3.3") -> Entry:
    made = Provenance("CPU", {"python": "3.11"}, "abc", "2025-01-01T00:00:00+00:00", "quick")
    return Entry(claim, "ok", 1.0, {"seeds": 3, "batch_sizes": [8]}, "f00", made)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A record survives its file unchanged, the notebook's hash filled in."""
    folder = RunFolder(tmp_path)
    stored = folder.store(record(), PATH, entry(), "{}")
    assert folder.read() == stored
    assert stored.notebooks[PATH].file_hash == run_folder.file_hash(tmp_path / PATH)


def test_unknown_fields_of_a_newer_record_are_left_out(tmp_path: Path) -> None:
    """A field that this version does not know does not make a run unreadable."""
    folder = RunFolder(tmp_path)
    folder.write(record())
    stored = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**stored, "weather": "fair"}))
    assert folder.read() == record()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1, "notebooks": {"a": 1}}']
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    """A damaged or foreign run.json is refused by name."""
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(Refusal, match=r"run\.json"):
        RunFolder(tmp_path).read()


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(Refusal, match="is no run folder"):
        RunFolder(tmp_path / "absent").read()


@pytest.mark.parametrize("after", range(3))
def test_a_kill_between_writes_leaves_no_wrong_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whichever rename is the last, an entry listed as ok is that of the file that is there."""
    folder = RunFolder(tmp_path)
    before = folder.store(record(), PATH, entry(), '{"old": 1}')
    done = 0
    whole = run_folder.write_atomically

    def killed(path: Path, content: bytes) -> None:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        whole(path, content)

    monkeypatch.setattr(run_folder, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.store(before, PATH, replace(entry(), seconds=2.0), '{"new": 1}')
    for path, each in folder.read().notebooks.items():
        assert run_folder.file_hash(tmp_path / path) == each.file_hash


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say, costs neither the old content nor a stray temporary file."""
    path = tmp_path / "file"
    run_folder.write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        run_folder.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_runners_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second is refused while the first runs, and served after it."""
    folder = RunFolder(tmp_path / "run")
    with folder.lock(), pytest.raises(Refusal, match="another run"), folder.lock():
        pass
    with folder.lock():
        pass


def test_leftovers_of_a_killed_runner_are_swept(tmp_path: Path) -> None:
    """Temporary files go, the run's own files stay."""
    folder = RunFolder(tmp_path)
    folder.store(record(), PATH, entry(), "{}")
    (tmp_path / "chapters" / ".a.ipynb.123.tmp").touch()
    folder.sweep()
    assert [path.name for path in (tmp_path / "chapters").iterdir()] == ["a.ipynb"]


@pytest.mark.parametrize("status", ["ok", "failed"])
def test_a_file_that_a_run_has_just_written_is_no_damage(tmp_path: Path, status: str) -> None:
    """Where a run goes on, the entry that it wrote with the file counts, not one read before."""
    folder = RunFolder(tmp_path)
    before = folder.store(record(), PATH, entry(), "{}")
    after = folder.store(before, PATH, replace(entry(), status=status, seconds=2.0), '{"new": 1}')
    listed = (after.notebooks[PATH], b'{"new": 1}') if status == "ok" else None
    assert folder.held(before, PATH) == listed


def test_a_file_whose_entry_is_yet_to_come_is_not_held(tmp_path: Path) -> None:
    """Between the file and its entry, a run holds neither the old notebook nor the new one."""
    folder = RunFolder(tmp_path)
    before = folder.store(record(), PATH, entry(), "{}")
    folder.write(record())
    (tmp_path / PATH).write_text('{"new": 1}')
    assert folder.held(before, PATH) is None


def test_a_folder_that_cannot_be_made_or_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a file, or on a disk that is read only: one message that names the folder."""
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match="file/run"), RunFolder(tmp_path / "file" / "run").lock():
        pass

    def read_only(**options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(run_folder.tempfile, "TemporaryFile", read_only)
    with pytest.raises(Refusal, match="Read-only"), RunFolder(tmp_path).lock():
        pass
