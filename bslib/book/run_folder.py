"""A run on disk: the executed notebooks, and ``run.json`` that says what they are.

Every write is atomic (a temporary file, then a rename), and ``run.json`` never lists as ok a
file that is not there yet, so that whatever stops a run leaves a folder that is valid.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from bslib.refusal import Refusal

RECORD = "run.json"
FORMAT = 1
STATUSES = ("ok", "failed", "timeout", "interrupted")
DISTRIBUTIONS = ("torch", "torchvision", "numpy", "papermill", "bslib")


@dataclass(frozen=True)
class Provenance:
    """What a notebook was executed with.

    Attributes:
        device: the hardware's name.
        versions: of Python and of the packages that matter.
        commit: of the checkout, with ``-dirty`` where it had changes; empty if unknown.
        started: when, ISO 8601 in UTC.
        profile: as in the run.
        data: checksum of the task's data; empty where the notebook tells none.
    """

    device: str
    versions: dict[str, str]
    commit: str
    started: str
    profile: str
    data: str = ""


@dataclass(frozen=True)
class Entry:
    """One notebook of a run.

    Attributes:
        claim: the claim's key; None for notebooks without one.
        status: one of ``STATUSES``.
        seconds: wall-clock time, kernel start included.
        parameters: every effective value, by name.
        source_hash: of what was executed (:mod:`bslib.book.sources`).
        file_hash: SHA-256 of the executed notebook's file; empty where there is none.
        error: why it is not ok, in a line.
    """

    claim: str | None
    status: str
    seconds: float
    parameters: dict[str, Any]
    source_hash: str
    provenance: Provenance
    file_hash: str = ""
    error: str = ""


@dataclass(frozen=True)
class Record:
    """What ``run.json`` holds; ``notebooks`` maps paths in the folder to entries."""

    profile: str
    device: str
    versions: dict[str, str]
    commit: str
    started: str
    seconds: float = 0.0
    notebooks: dict[str, Entry] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds a run, or will."""

    root: Path

    def exists(self) -> bool:
        """Say whether a run was recorded here."""
        return (self.root / RECORD).is_file()

    def read(self) -> Record:
        """Return what was recorded.

        Raises:
            Refusal: the folder holds no run, or one that cannot be read.
        """
        if not self.exists():
            raise Refusal(f"{self.root} is no run folder: it has no {RECORD}")
        try:
            return _record(json.loads((self.root / RECORD).read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refusal(f"{self.root / RECORD} cannot be read as a run: {error}") from error

    def held(self, record: Record, path: str) -> tuple[Entry, bytes] | None:
        """Return the entry and the file of a notebook that is ok; None where it is not.

        A run that goes on may have put a file there since ``record`` was read: its own entry,
        read anew, counts then.

        Raises:
            Refusal: the file is lost, or is not the one that was recorded.
        """
        entry = record.notebooks.get(path)
        if entry is None or entry.status != "ok":
            return None
        file = self.root / path
        content = file.read_bytes() if file.is_file() else None
        if content is not None and hashlib.sha256(content).hexdigest() == entry.file_hash:
            return entry, content
        now = self.read()
        if now.notebooks.get(path) != entry:
            return self.held(now, path)
        wrong = "is missing" if content is None else "is not the file that was recorded"
        raise Refusal(
            f"{file} {wrong}: `bslib verify {self.root}` tells more, and "
            "`bslib run --resume` records it again"
        )

    def write(self, record: Record) -> None:
        """Write ``run.json``."""
        text = json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.root / RECORD, text.encode())

    def store(self, record: Record, path: str, entry: Entry, notebook: str | None) -> Record:
        """Put an executed notebook and its entry into the folder; return the new record."""
        others = {name: each for name, each in record.notebooks.items() if name != path}
        if notebook is not None:
            if path in record.notebooks:
                # A kill between the next two writes must not leave an entry for another file.
                self.write(replace(record, notebooks=others))
            write_atomically(self.root / path, notebook.encode())
            entry = replace(entry, file_hash=file_hash(self.root / path))
        record = replace(record, notebooks=dict(sorted({**others, path: entry}.items())))
        self.write(record)
        return record

    def sweep(self) -> None:
        """Remove what a killed runner was in the middle of writing."""
        for path in self.root.rglob(".*.tmp"):
            path.unlink()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one runner; the lock ends with the process, whatever ends it.

        Raises:
            Refusal: another runner holds it, or nothing can be written there.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.root).close()
            handle = os.open(self.root, os.O_RDONLY)
        except OSError as error:
            raise Refusal(
                f"nothing can be written to {self.root} ({error.strerror}); give another folder"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise Refusal(f"another run is writing into {self.root}; wait for its end") from error
        try:
            yield
        finally:
            os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result may depend on."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _record(stored: dict[str, Any]) -> Record:
    if stored["format"] != FORMAT:
        raise ValueError(f"its format is {stored['format']}, and this bslib reads {FORMAT}")
    notebooks = {path: _entry(each) for path, each in stored["notebooks"].items()}
    return Record(**{**_known(Record, stored), "notebooks": notebooks})


def _entry(stored: dict[str, Any]) -> Entry:
    if stored["status"] not in STATUSES:
        raise ValueError(f"status {stored['status']!r} is none of {', '.join(STATUSES)}")
    provenance = Provenance(**_known(Provenance, stored["provenance"]))
    return Entry(**{**_known(Entry, stored), "provenance": provenance})


def _known(kind: type, stored: dict[str, Any]) -> dict[str, Any]:
    """Keep what ``kind`` has a field for: a newer bslib may have recorded more."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


def commit_of(checkout: Path) -> str:
    """Return the checkout's commit, ``-dirty`` after it where sources differ; empty if unknown.

    Recorded runs are no sources: a run that is written into the checkout changes nothing.
    """
    try:
        head = _git(checkout, "rev-parse", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--", ".", ":!runs")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
