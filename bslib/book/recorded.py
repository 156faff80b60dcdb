"""What the run folders given to a build hold of one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
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
        off_full: whether a run of the full profile was given, and none such holds the page.
    """

    notebook: NotebookNode
    entry: Entry
    changed: Mapping[str, Any]
    stale: bool
    off_full: bool = False

    @property
    def off_gpu(self) -> bool:
        """Whether the page is a CPU's, in a book that shows what a GPU found on others."""
        return self.off_full and self.entry.provenance.device.startswith("CPU")


def find(path: Path, name: str, runs: Sequence[Run]) -> Recorded | None:
    """Return the page called ``name`` from the first run that holds it as ok.

    Args:
        path: its source, whose defaults and code the recorded ones are compared with.
        name: its path in the run folders.
        runs: where to look, in order.

    Raises:
        Refusal: that run's file is not the one that it recorded.
    """
    full = [run for run in runs if run.record.profile == "full"]
    off_full = bool(full) and not any(_is_ok(run, name) for run in full)
    for run in runs:
        held = RunFolder(run.root).held(run.record, name)
        if held is not None:
            entry, content = held
            notebook = nbformat.reads(content.decode(), as_version=4)
            stale = source_hash(notebooks.read(path), entry.parameters) != entry.source_hash
            return Recorded(notebook, entry, _changed(path, entry), stale, off_full)
    return None


def _is_ok(run: Run, name: str) -> bool:
    entry = run.record.notebooks.get(name)
    return entry is not None and entry.status == "ok"


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
