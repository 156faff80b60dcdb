"""The verdicts on staged pages, where the catalogue's directives read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from bslib import claims
from bslib.book import notebook as notebooks
from bslib.book.checkout import Checkout


@dataclass(frozen=True)
class StagedPage:
    """A claim's notebook as Sphinx sees it.

    Attributes:
        docname: path from the tree's root without its suffix, as Sphinx names documents.
        verdict: that the page shows; None when it was not executed.
        timed: whether it measures the device's own time.
    """

    docname: str
    verdict: claims.Verdict | None
    timed: bool


def staged_pages(root: Path) -> dict[str, StagedPage]:
    """Read every claim notebook that the table of contents names; keys are claims' keys."""
    found = {}
    for page in Checkout(root).pages:
        if page.claim is not None:
            metadata = notebooks.read(root / page.path).metadata["bslib"]
            docname = page.path.removesuffix(".ipynb")
            stored = metadata.get("verdict")
            verdict = None if stored is None else claims.Verdict.from_json(stored)
            found[page.claim] = StagedPage(docname, verdict, page.exclusive)
    return found


def take_verdict(notebook: NotebookNode) -> dict[str, Any] | None:
    """Move the last verdict's data out of the outputs into the metadata, and return its bundle.

    Sphinx warns of an output's media type that it does not know.
    """
    found = None
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if claims.MIME in output.get("data", {}):
                found = dict(output.data)
                del output.data[claims.MIME]
    if found is not None:
        notebook.metadata["bslib"]["verdict"] = found[claims.MIME]
    return found


def criterion_changed(bundle: dict[str, Any]) -> bool:
    """Say whether the catalogue's criterion is another than the one the verdict was judged by."""
    verdict = bundle[claims.MIME]
    claim = claims.CATALOGUE.get(verdict["key"])
    return claim is not None and claim.criterion_hash != verdict["criterion_hash"]
