"""What the run folders given to a build hold of one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from bslib.book import notebook as notebooks
from bslib.book.run_folder import Entry, Record, RunFolder
from bslib.book.sources import source_hash


@dataclass(frozen=True)
class Run:
    """A run folder, opened."""

    root: Path
    record: Record

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Read what was recorded in ``folder``; Refusal if that is no run."""
        root = folder.resolve()
        return cls(root, RunFolder(root).read())


@dataclass(frozen=True)
class Recorded:
    """An executed notebook and where it comes from.

    Attributes:
        changed: the parameters that differ from the page's own defaults, as executed.
        stale: whether code that the page depends on has changed since.
    """

    notebook: NotebookNode
    entry: Entry
    changed: Mapping[str, Any]
    stale: bool


def find(path: Path, name: str, runs: Sequence[Run]) -> Recorded | None:
    """Return the page called ``name`` from the first run that holds it as ok.

    Args:
        path: its source, whose defaults and code the recorded ones are compared with.
        name: its path in the run folders.
        runs: where to look, in order.
    """
    for run in runs:
        entry = run.record.notebooks.get(name)
        if entry is not None and entry.status == "ok" and (run.root / name).is_file():
            now = notebooks.read(path)
            stale = source_hash(now, entry.parameters) != entry.source_hash
            return Recorded(notebooks.read(run.root / name), entry, _changed(path, entry), stale)
    return None


def failure(name: str, runs: Sequence[Run]) -> str:
    """Return how the page called ``name`` ended in the first run that tried it in vain."""
    entries = (run.record.notebooks.get(name) for run in runs)
    return next((each.status for each in entries if each is not None and each.status != "ok"), "")


def _changed(path: Path, entry: Entry) -> dict[str, Any]:
    declared = notebooks.declared(path)
    return {
        name: value
        for name, value in entry.parameters.items()
        if name not in declared or declared[name].default != value
    }
