"""Static HTML from recorded runs: stage, execute the ledger, run Jupyter Book, put in place.

Warnings are errors, a notebook that failed is a warning, and the result is moved into place only
when it is whole. The same sources and runs give the same bytes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat

from bslib.book import checkout as checkouts
from bslib.book.assemble import LEDGER, assemble, write
from bslib.book.checkout import Checkout
from bslib.book.execute import Job, execute
from bslib.book.graft import is_injected
from bslib.book.recorded import Run
from bslib.refusal import Refusal

__all__ = ["BuildError", "build"]

LEDGER_TIMEOUT_S = 300.0
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class BuildError(RuntimeError):
    """The book cannot be built as it stands: what Jupyter Book warned of."""


def build(run_dirs: Sequence[Path], out: Path, checkout: Checkout | None = None) -> Path:
    """Build the HTML of the runs into ``out`` and return the page to open.

    Each page comes from the first of ``run_dirs`` that holds it as ok; pages, front matter and
    prose come from the checkout. Takes about ten seconds, most of them Sphinx's.

    Raises:
        Refusal: a folder is no run, or ``out`` holds files that no build made.
        BuildError: with the warnings; ``out`` is then as it was.
    """
    checkout = checkout or checkouts.find()
    runs = [Run.open(Path(each)) for each in run_dirs]
    out = Path(out).resolve()
    _refuse_foreign(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{out.parent} cannot be made ({error.strerror}): name another") from error
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        work = Path(name)
        stage, downloads = work / "stage", work / "downloads"
        assemble(checkout, runs, stage, downloads)
        _execute_ledger(checkout, runs, stage, downloads)
        html = _run_jupyter_book(stage, work)
        shutil.copytree(downloads, html / "_sources", dirs_exist_ok=True)
        _replace(html, out)
    return out / "index.html"


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise Refusal(f"{out} is a file; give a folder for the HTML")
    if out.is_dir() and any(out.iterdir()) and not (out / "searchindex.js").exists():
        raise Refusal(f"{out} holds files that no build made; give an empty or new folder")


def _execute_ledger(checkout: Checkout, runs: Sequence[Run], stage: Path, downloads: Path) -> None:
    """Execute the ledger over the runs, the only notebook that a build executes.

    It runs inside the stage, so that it links to the pages that this book has. Its parameters
    are folders of this machine: neither shown nor carried away.
    """
    job = Job(
        path=LEDGER,
        source=(checkout.root / LEDGER).read_text(encoding="utf-8"),
        parameters=_folders(runs),
        cwd=str((stage / LEDGER).parent),
        env={"OMP_NUM_THREADS": "1"},
        timeout_s=LEDGER_TIMEOUT_S,
    )
    outcome = execute(job)
    if outcome.status != "ok" or outcome.notebook is None:
        raise BuildError(f"{LEDGER}: {outcome.error}")
    ledger = nbformat.reads(outcome.notebook, as_version=4)
    ledger.metadata.pop("papermill", None)
    ledger.cells = [cell for cell in ledger.cells if not is_injected(cell)]
    write(downloads / LEDGER, ledger)
    for output in (output for cell in ledger.cells for output in cell.get("outputs", [])):
        if "text/html" in output.get("data", {}):
            # In Jupyter its links open notebooks, in the book the pages made of them.
            output.data["text/html"] = output.data["text/html"].replace('.ipynb"', '.html"')
    write(stage / LEDGER, ledger)


def _folders(runs: Sequence[Run]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for run in runs:
        name = "full_dir" if run.record.profile == "full" else "quick_dir"
        folders.setdefault(name, str(run.root))
    return folders


def _run_jupyter_book(stage: Path, work: Path) -> Path:
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(stage), "--path-output", str(work)]
    command += ["-n", "-W", "--keep-going", "-q"]
    # A fixed hash seed: the order of sets would otherwise show in the bytes.
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise BuildError(_warnings(done.stderr, stage) or done.stdout)
    return work / "_build" / "html"


def _warnings(log: str, stage: Path) -> str:
    """Return what Sphinx warned of, a line each; all of the log if it broke off otherwise."""
    lines = _TERMINAL_COLOUR.sub("", log).replace(f"{stage}{os.sep}", "").splitlines()
    warned = [line for line in lines if re.search(r"(WARNING|ERROR|CRITICAL): ", line)]
    return "\n".join(warned or lines)


def _replace(html: Path, out: Path) -> None:
    """Put ``html`` where ``out`` was, which is never seen half written."""
    if out.exists():
        out.rename(html.parent / "before")
    html.rename(out)
