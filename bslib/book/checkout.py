"""The book's sources: where they lie, which notebooks there are, and how each is to be run."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

import bslib
from bslib.refusal import Refusal

PACKAGE = Path(bslib.__file__).parent
PROFILES = ("quick", "full")


@dataclass(frozen=True)
class Page:
    """A notebook of the book.

    Attributes:
        path: from the checkout's root, in posix form; the same in every run folder.
        claim: the claim's key; None for the ledger and the capstone.
        cores: how many cores it keeps busy.
        exclusive: whether it measures time, so that nothing may run beside it.
    """

    path: str
    claim: str | None = None
    cores: int = 1
    exclusive: bool = False

    @property
    def name(self) -> str:
        """The file's name without its suffix, by which it may be called on the command line."""
        return Path(self.path).stem

    @property
    def section(self) -> str:
        """The folder below ``chapters``, such as ``3-increasing``; empty for the ledger."""
        parts = Path(self.path).parts
        return parts[1] if len(parts) > 2 else ""

    def __str__(self) -> str:
        return f"{self.claim} {self.name}" if self.claim else self.name


@dataclass(frozen=True)
class Checkout:
    """A working copy of the book's repository."""

    root: Path

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """The notebooks, in the order of ``_toc.yml``."""
        toc = yaml.safe_load((self.root / "_toc.yml").read_text(encoding="utf-8"))
        names = (f"{name}.ipynb" for name in _files(toc))
        return tuple(self._page(name) for name in names if (self.root / name).is_file())

    def _page(self, path: str) -> Page:
        notebook = json.loads((self.root / path).read_text(encoding="utf-8"))
        metadata = notebook["metadata"].get("bslib", {})
        return Page(
            path,
            metadata.get("claim"),
            int(metadata.get("cores", 1)),
            bool(metadata.get("exclusive", False)),
        )

    def select(self, names: Sequence[str]) -> list[Page]:
        """Return the pages that claims' keys, sections or notebooks' names stand for; all for none.

        Raises:
            Refusal: a name stands for no notebook.
        """
        if not names:
            return list(self.pages)
        chosen = {page for name in names for page in self._named(name)}
        return [page for page in self.pages if page in chosen]

    def _named(self, name: str) -> list[Page]:
        found = [page for page in self.pages if name in _names(page)]
        if not found:
            known = {each for page in self.pages for each in _names(page)}
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise Refusal(
                f"{name!r} is no claim, section or notebook that can be run{hint}; there are: "
                f"{', '.join(map(str, self.pages))}"
            )
        return found

    def profile_file(self, page: Page) -> Path:
        """Return the file of what the full profile changes in a notebook."""
        return self.root / "profiles" / "full" / f"{page.name}.yaml"


def find(start: Path | None = None) -> Checkout:
    """Find the checkout that ``start`` (the working directory) lies in, else the package's own.

    Raises:
        Refusal: neither is one.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, PACKAGE.resolve().parent):
        if (folder / "_toc.yml").is_file() and (folder / "chapters").is_dir():
            return Checkout(folder)
    raise Refusal(
        f"no checkout of the book (a folder with _toc.yml and chapters/) at or above {here}; "
        "change to one"
    )


def _names(page: Page) -> set[str]:
    names = {page.name, page.path, page.claim, page.section, page.section.partition("-")[0]}
    return {name for name in names if name}


def _files(toc: Any) -> Iterator[str]:
    """Yield the documents that a table of contents names, depth first."""
    if isinstance(toc, dict):
        for key, value in toc.items():
            if key in ("root", "file"):
                yield str(value)
            else:
                yield from _files(value)
    elif isinstance(toc, list):
        for each in toc:
            yield from _files(each)
