"""The tree of sources that Sphinx builds: the checkout's pages, the runs' notebooks."""

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from nbformat import NotebookNode

from bslib import claims
from bslib.book import notebook as notebooks
from bslib.book import notes, pages, recorded
from bslib.book.checkout import Checkout
from bslib.book.graft import cleaned, for_download, graft, same_code
from bslib.book.recorded import Recorded, Run

LEDGER = "chapters/ledger.ipynb"


def assemble(checkout: Checkout, runs: Sequence[Run], stage: Path, downloads: Path) -> None:
    """Write into ``stage`` what Sphinx builds, and into ``downloads`` what readers take away.

    A page comes from the first run that holds it as ok. The ledger is no page of a run: it is
    computed over the runs (:mod:`bslib.book.build`).
    """
    stage.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkout.root / "_config.yml", stage / "_config.yml")
    (stage / "_toc.yml").write_text(numbered(checkout), encoding="utf-8")
    for path in sorted(checkout.root.glob("chapters/**/*")):
        name = path.relative_to(checkout.root).as_posix()
        if path.suffix in {".md", ".bib", ".svg", ".png"}:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, stage / name)
        elif path.suffix == ".ipynb" and "/." not in name and name != LEDGER:
            found = recorded.find(path, name, runs)
            source = notebooks.read(path)
            bare = undressed(source, found)
            write(stage / name, dressed(bare, source, found, recorded.failure(name, runs)))
            write(downloads / name, for_download(bare))


def numbered(checkout: Checkout) -> str:
    """Return the table of contents with each claim's number before its title."""
    toc = yaml.safe_load((checkout.root / "_toc.yml").read_text(encoding="utf-8"))
    keys = {page.path.removesuffix(".ipynb"): page.claim for page in checkout.pages}

    def number(node: Any) -> None:
        for each in node.values() if isinstance(node, dict) else node:
            if isinstance(each, dict | list):
                number(each)
        claim = claims.CATALOGUE.get(keys.get(node.get("file")) or "") if "file" in node else None
        if claim is not None:
            node["title"] = f"{claim.key} {claim.title}"

    number(toc)
    return yaml.safe_dump(toc, sort_keys=False)


def undressed(source: NotebookNode, found: Recorded | None) -> NotebookNode:
    """Return a page's own cells, with the outputs of the run if there is one."""
    if found is None:
        return cleaned(source)
    if same_code(source, found.notebook):
        return graft(source, found.notebook)
    return cleaned(found.notebook)


def dressed(
    bare: NotebookNode, source: NotebookNode, found: Recorded | None, failure: str = ""
) -> NotebookNode:
    """Add the verdict's card after the title, notes above it, and the provenance at the end.

    Args:
        bare: the page's own cells.
        source: its notebook in the checkout.
        found: what a run holds of it; None where none does.
        failure: how a run that tried it in vain ended.
    """
    page = copy.deepcopy(bare)
    if found is None:
        page.cells.insert(1, notes.note(notes.not_run(failure)))
        return page
    head = [notes.note(notes.off_gpu(failure))] if found.off_gpu else []
    if not same_code(source, found.notebook):
        head.append(notes.note(notes.CHANGED_CODE))
    bundle = pages.take_verdict(page)
    if bundle is not None:
        if pages.criterion_changed(bundle):
            head.append(notes.note(notes.CHANGED_CRITERION))
        head.append(notes.glance(bundle["text/html"]))
    page.cells[1:1] = head
    page.cells.append(notes.footer(found))
    return page


def write(path: Path, notebook: NotebookNode) -> None:
    """Write a notebook, with the folders on its way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebooks.text_of(notebook), encoding="utf-8")
