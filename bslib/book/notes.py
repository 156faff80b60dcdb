"""The notes that a build adds to a page: where its numbers come from, and what has changed."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from html import escape

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from bslib.book.recorded import Recorded

NOT_RUN = (
    "This experiment has not been run yet: the page shows what will be measured, and no result."
)
OFF_GPU = (
    "This page was not run on a GPU, as others of this book were: what it shows was executed on a "
    "CPU."
)
CHANGED_CODE = (
    "The code of this page has changed since the run that is shown, so that text and code are "
    "those of the run. Run the page again to bring it up to date."
)
CHANGED_CRITERION = (
    "The criterion of this claim has changed since the run that is shown: the verdict below was "
    "computed by the old one."
)


def not_run(failure: str) -> str:
    """Say that there is no result; ``failure`` is how a run that tried ended, if one did."""
    return _with_failure(NOT_RUN, failure)


def off_gpu(failure: str) -> str:
    """Say that the result is a CPU's; ``failure`` is how the GPU's run ended, if there was one."""
    return _with_failure(OFF_GPU, failure)


def _with_failure(text: str, failure: str) -> str:
    return f"{text} The last run of it ended as *{failure}*." if failure else text


def footer(found: Recorded) -> NotebookNode:
    """Return the cell that ends a page."""
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in _rows(found))
    return _html_cell(
        "bslib-provenance",
        '<aside class="bslib-provenance" aria-label="Provenance">'
        f"<p>Where these numbers come from</p><dl>{rows}</dl></aside>",
    )


def _rows(found: Recorded) -> Iterable[tuple[str, str]]:
    entry, made = found.entry, found.entry.provenance
    yield "Run", f"{made.profile} profile, {_minute(made.started)}, {entry.seconds:.1f} s"
    yield "Device", made.device
    yield "Versions", ", ".join(f"{name} {version}" for name, version in made.versions.items())
    differing = ", ".join(f"{name} = {value!r}" for name, value in found.changed.items())
    yield "Parameters", differing or "the page's own defaults"
    if made.data:
        yield "Data", f"SHA-256 {made.data[:12]}"
    if made.commit:
        yield "Commit", made.commit[:12] + ("-dirty" if made.commit.endswith("-dirty") else "")
    yield "Sources", "changed since this run" if found.stale else "unchanged since this run"


def _minute(started: str) -> str:
    when = datetime.fromisoformat(started)
    return f"{when:%Y-%m-%d %H:%M} {'UTC' if when.tzinfo else ''}".strip()


def note(text: str) -> NotebookNode:
    """Return a cell that says something about the page itself."""
    name = hashlib.sha256(text.encode()).hexdigest()[:8]
    return new_markdown_cell(f":::{{note}}\n{text}\n:::", id=f"bslib-note-{name}")


def glance(card: str) -> NotebookNode:
    """Return the cell that shows a verdict's card at the top of its page."""
    return _html_cell(
        "bslib-glance",
        f'<section class="bslib-glance" aria-label="Verdict at a glance">{card}</section>',
    )


def _html_cell(name: str, html: str) -> NotebookNode:
    return new_markdown_cell(f"````{{raw}} html\n{html}\n````", id=name)
