"""Files of real data: where they are looked for, and how they get there whole or not at all.

A data set's folder is looked for under ``BSLIB_DATA``, where that is set, then under the local
cache. New files are written beside their place and moved there in one step.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bslib.refusal import Refusal


@dataclass(frozen=True)
class Collection:
    """The files of one data set.

    Attributes:
        task: the task that they serve.
        folder: where they lie under a root, as torchvision wants it.
        files: their names.
        examine: what is wrong with a file, in words; empty where nothing is.
        ways: the ways to get them, in words.
    """

    task: str
    folder: str
    files: tuple[str, ...]
    examine: Callable[[Path], str]
    ways: tuple[str, ...]

    def find(self) -> Path | None:
        """Return the first root that holds any of the files."""
        for root in roots():
            if any((root / self.folder / name).exists() for name in self.files):
                return root
        return None

    def fault(self, root: Path) -> str:
        """Return the first file under ``root`` that is missing or damaged, and how; else ""."""
        for name in self.files:
            path = root / self.folder / name
            trouble = self.examine(path) if path.is_file() else "is missing"
            if trouble:
                return f"{path} {trouble}"
        return ""

    def verify(self, root: Path) -> None:
        """Refuse what is missing or damaged under ``root``, naming the file and the cure."""
        fault = self.fault(root)
        if fault:
            cure = f"remove the folder {root / self.folder}, then get the data again"
            raise Refusal(f"{self.task}: {fault}; {cure}: {self.how()}")

    def how(self) -> str:
        """Return the ways to get the data as one phrase."""
        return "; or ".join(self.ways)

    def copy(self, source: Path, to: Path) -> Path:
        """Copy the files from one root to another, and return their folder there.

        What is there already is verified and left alone.
        """
        self.verify(source)
        if not any((to / self.folder / name).exists() for name in self.files):
            with self.installing(to, str(source)) as incoming:
                target = incoming / self.folder
                target.mkdir(parents=True)
                for name in self.files:
                    shutil.copyfile(source / self.folder / name, target / name)
        self.verify(to)
        return to / self.folder

    @contextmanager
    def installing(self, root: Path, origin: str) -> Iterator[Path]:
        """Give an empty root to fill; move the files under ``root`` once they stand the test.

        Where anything fails there is no trace of them; where another process was faster, its
        files are kept. ``origin`` tells the reader what the files were made from.
        """
        with _writable(self.task, root):
            root.mkdir(parents=True, exist_ok=True)
            incoming = Path(tempfile.mkdtemp(prefix=f".{self.task}-", dir=root))
        try:
            yield incoming
            fault = self.fault(incoming).removeprefix(f"{incoming}{os.sep}")
            if fault:
                raise Refusal(f"{self.task}: {fault} in what came from {origin}; {self.how()}")
            with _writable(self.task, root):
                _move(incoming / self.folder, root / self.folder)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)


def roots() -> list[Path]:
    """Return the folders that are searched for data, in order.

    Raises:
        Refusal: ``BSLIB_DATA`` is set to something that is no folder.
    """
    named = os.environ.get("BSLIB_DATA")
    if not named:
        return [cache()]
    if not Path(named).is_dir():
        raise Refusal(f"BSLIB_DATA is {named!r}, which is not a folder")
    return [Path(named), cache()]


def cache() -> Path:
    """Return the local cache: ``bslib`` under ``XDG_CACHE_HOME``, or under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bslib"


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():  # else another process has put its own there
            raise


@contextmanager
def _writable(task: str, root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        way = "set XDG_CACHE_HOME to a folder that can be written to"
        raise Refusal(f"{task}: cannot write under {root} ({error}); {way}") from error
