"""What the book asks of Sphinx beyond configuration: complete offline, and loud when broken.

Loaded through ``_config.yml``. The pages need nothing outside their folder: MathJax is copied
from the package ``sphinx-mathjax-offline`` and what sphinx-thebe would load from elsewhere is
taken out. A notebook that failed is a warning, and the book is built with warnings as errors.
"""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

from bslib.book import claim_directives, figures, tables

__all__ = ["setup"]

STATIC = Path(__file__).parent / "static"
MATHJAX = "mathjax/tex-mml-chtml.js"
MATHJAX_FILES = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2/*", "input/tex/extensions/*")

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    claim_directives.register(app)
    app.connect("config-inited", _configure, priority=900)
    app.connect("config-inited", _drop_thebe, priority=900)
    app.connect("builder-inited", _add_static_files)
    app.connect("doctree-read", _warn_of_failures)
    app.connect("doctree-resolved", _show_outputs)
    app.connect("build-finished", _copy_mathjax)
    app.connect("build-finished", _prune)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _configure(app: Sphinx, config: Config) -> None:
    config.mathjax_path = MATHJAX
    config.mathjax3_config = {"options": {"enableMenu": False}}
    config.html_favicon = str(STATIC / "favicon.svg")
    config.html_logo = str(STATIC / "logo.svg")
    config.suppress_warnings = []  # Jupyter Book's default hides some


def _drop_thebe(app: Sphinx, config: Config) -> None:
    """Take out sphinx-thebe, which Jupyter Book always loads and which names a CDN on each page."""
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if each.handler.__module__ != "sphinx_thebe"]
    css_files = app.registry.css_files
    css_files[:] = [(name, attributes) for name, attributes in css_files if "thebe" not in name]


def _add_static_files(app: Sphinx) -> None:
    # Here and not in the configuration: Jupyter Book would load each file it sees there twice.
    app.config.html_static_path.append(str(STATIC))
    app.add_css_file("book.css", priority=900)


def _warn_of_failures(app: Sphinx, doctree: nodes.document) -> None:
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix == ".ipynb":
        for failure in failures(nbformat.read(path, as_version=4)):
            logger.warning("%s", failure, location=app.env.docname)


def failures(notebook: nbformat.NotebookNode) -> list[str]:
    """Say what went wrong where in an executed notebook; nothing when all of it ran."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"cell {number} failed: {output.ename}: {output.evalue}")
    if notebook.metadata.get("papermill", {}).get("exception") and not found:
        found.append("papermill recorded an exception in this notebook")
    return found


def _show_outputs(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make tables ready for reading, and let the style sheet turn and scroll figures."""
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") == "cell_code":
            first = cell["cell_metadata"].get("bslib", {}).get("first", [])
            for raw in cell.findall(nodes.raw):
                raw.children = [nodes.Text(tables.shown(raw.astext(), first))]
        elif "cell_output" in cell["classes"]:
            for image in list(cell.findall(nodes.image)):
                figures.box(image, Path(app.srcdir, image["uri"]))


def _copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Copy the one script and the fonts that pages with mathematics load, out of 24 MB."""
    source = mathjax_folder()
    target = Path(app.outdir, "_static", "mathjax")
    if exception is None and app.builder.format == "html":
        for pattern in (
            "tex-mml-chtml.js",
            "output/chtml/fonts/woff-v2/*",
            "input/tex/extensions/*",
        ):
            for path in source.glob(pattern):
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def mathjax_folder() -> Path:
    """Return where the package that carries MathJax lies; its name is no identifier."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the book needs the package sphinx-mathjax-offline")
    return Path(spec.origin).parent / "static" / "mathjax"


def _prune(app: Sphinx, exception: Exception | None) -> None:
    """Delete what no page loads: source maps, the themes' templates and translations."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir, "_static")
        for path in [*static.rglob("*.map"), *static.glob("*webpack-macros.html")]:
            path.unlink()
        for folder in (static / "locales", static / "locale"):
            shutil.rmtree(folder, ignore_errors=True)
        Path(app.outdir, ".buildinfo").unlink(missing_ok=True)
