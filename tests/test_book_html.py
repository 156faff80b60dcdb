"""The built book, as it lies in ``_build/html``: whole, offline, and in the promised order."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from bslib import claims
from bslib.book import sphinx_extension
from bslib.book.checkout import Checkout

pytestmark = pytest.mark.book

CHECKOUT = Checkout(Path(__file__).parent.parent)
HTML = CHECKOUT.root / "_build" / "html"
# Attributes by which a browser fetches something without being asked to.
LOADS = {
    ("script", "src"), ("link", "href"), ("img", "src"), ("img", "srcset"), ("iframe", "src"),
    ("source", "src"), ("source", "srcset"), ("video", "src"), ("audio", "src"),
    ("object", "data"), ("embed", "src"), ("input", "src"), ("image", "href"), ("use", "href"),
}  # fmt: skip
CSS_LOAD = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


class _Page(HTMLParser):
    """What a page loads, links to and holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.inline_scripts: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        for name, value in attrs:
            if (tag, name) in LOADS and value and not _only_names(tag, attrs):
                self.loads.append(value)
            elif name == "style" and value:
                self.loads += _css_loads(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if self._in == "style":
            self.loads += _css_loads(data)
        elif self._in == "script":
            self.inline_scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in = ""


def _only_names(tag: str, attrs: list[tuple[str, str | None]]) -> bool:
    """Say whether a <link> names a place without loading it."""
    passive = {"index", "search", "next", "prev", "canonical", "author", "copyright", "license"}
    return tag == "link" and set((dict(attrs).get("rel") or "").split()) <= passive


def _css_loads(text: str) -> list[str]:
    return [first or second for first, second in CSS_LOAD.findall(text)]


def _outside(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data", "javascript", "mailto")


def pages() -> Iterator[tuple[Path, _Page]]:
    """Parse every HTML page of the book."""
    paths = sorted(HTML.rglob("*.html"))
    assert paths, f"no book in {HTML}: run `make book` first"
    for path in paths:
        yield path, _Page(path.read_text(encoding="utf-8"))


def test_no_page_loads_anything_from_outside() -> None:
    """Scripts, styles, images and frames all lie in the book's own folder."""
    found = [(path.name, load) for path, page in pages() for load in page.loads if _outside(load)]
    assert not found


def test_no_inline_script_names_a_remote_script() -> None:
    """A script that would load another one from elsewhere is a request too."""
    remote = re.compile(r"""['"](?:https?:)?//[^'"]+\.(?:m?js|css|woff2?)['"]""")
    scripts = [(path.name, text) for path, page in pages() for text in page.inline_scripts]
    assert not [(name, text) for name, text in scripts if remote.search(text)]


def test_style_sheets_load_only_files_that_are_there() -> None:
    """Fonts and pictures that the style sheets name lie beside them."""
    missing = []
    for path in HTML.rglob("*.css"):
        for load in _css_loads(path.read_text(encoding="utf-8", errors="replace")):
            place = path.parent / unquote(urlsplit(load).path)
            if _outside(load) or (not load.startswith(("data:", "#")) and not place.exists()):
                missing.append((path.name, load))
    assert not missing


def test_every_local_link_leads_somewhere() -> None:
    """No page loads or links a file that the book does not have."""
    missing = []
    for path, page in pages():
        for address in (*page.loads, *page.links):
            parts = urlsplit(address)
            if parts.path and not _outside(address) and not address.startswith("data:"):
                place = (path.parent / unquote(parts.path)).resolve()
                if not place.exists():
                    missing.append((path.relative_to(HTML).as_posix(), address))
    assert not missing


def test_formulas_are_drawn_by_the_books_own_mathjax() -> None:
    """Pages with formulas load MathJax, which lies in the book with its fonts."""
    with_math = [page for path, page in pages() if 'class="math' in path.read_text()]
    assert with_math
    assert all(any("mathjax/tex-mml-chtml.js" in load for load in p.loads) for p in with_math)
    assert list(HTML.glob("_static/mathjax/output/chtml/fonts/woff-v2/*.woff"))


def claim_pages() -> Iterator[tuple[str, str]]:
    """Yield each claim's key and its page's HTML."""
    for page in CHECKOUT.pages:
        if page.claim is not None:
            yield page.claim, (HTML / page.path).with_suffix(".html").read_text(encoding="utf-8")


def test_every_claim_page_gives_the_result_in_the_promised_order() -> None:
    """Question, verdict at a glance, criterion, figure, provenance: all there, in that order."""
    marks = ("<h1", "bslib-glance", "criterion", "bslib-figure", "bslib-provenance")
    for key, text in claim_pages():
        body = text[text.index("<article") :]
        places = [body.lower().find(mark) for mark in marks]
        assert -1 not in places, f"{key}: {dict(zip(marks, places, strict=True))}"
        assert places == sorted(places), f"{key}: {dict(zip(marks, places, strict=True))}"


def test_every_figure_has_a_text_for_those_who_do_not_see_it() -> None:
    """Figures carry an alternative text of their own, not a file's name."""
    figures = [image for _, page in pages() for image in page.images]
    computed = [each for each in figures if "bslib-figure" in (each.get("class") or "")]
    assert computed
    texts = [each.get("alt") or "" for each in computed]
    assert all(len(text.split()) > 3 and "_images" not in text for text in texts)


def test_no_page_shows_a_failure() -> None:
    """No downloaded notebook, and so no page, holds an error."""
    failed = {
        path.name: sphinx_extension.failures(nbformat.read(path, as_version=4))
        for path in HTML.glob("_sources/**/*.ipynb")
    }
    assert failed
    assert not any(failed.values())


def test_every_notebook_can_be_downloaded_and_holds_the_shown_verdict() -> None:
    """Each page links its notebook, which is valid, undressed, and has the verdict's data."""
    for page in CHECKOUT.pages:
        copy = HTML / "_sources" / page.path
        notebook = nbformat.read(copy, as_version=4)
        nbformat.validate(notebook)
        linked = (HTML / page.path).with_suffix(".html").read_text(encoding="utf-8")
        assert f"_sources/{page.path}" in linked
        assert "bslib-provenance" not in copy.read_text(encoding="utf-8")
        if page.claim is not None:
            assert claims.MIME in json.dumps(notebook.cells)


def test_the_ledger_has_a_row_for_every_claim() -> None:
    """All claims of the catalogue stand in the ledger, run or not."""
    text = (HTML / "chapters" / "ledger.html").read_text(encoding="utf-8")
    rows = re.findall(r'<tr id="claim-([\d-]+)"', text)
    assert [row.replace("-", ".") for row in rows] == list(claims.CATALOGUE)


def test_nothing_tells_of_the_machine_it_was_made_on() -> None:
    """No page or source names the folder in which the book was built."""
    places = [*HTML.rglob("*.html"), *HTML.glob("_sources/**/*"), HTML / "searchindex.js"]
    files = [path for path in places if path.is_file()]
    assert not [path.name for path in files if str(CHECKOUT.root) in path.read_text("utf-8")]


def test_the_book_is_small() -> None:
    """Source maps and translations that no page loads are left out."""
    assert not list(HTML.rglob("*.map"))
    assert not list(HTML.glob("_static/locales"))
