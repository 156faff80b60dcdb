"""Computed tables as a page shows them: what varies, to three digits, its key columns first.

The recorded notebook and the copy to take away keep each table as it was computed. Nothing is
hidden here either: a line under the table says which columns were the same in every row.
A page names its key columns in the metadata of the cell: ``{"bslib": {"first": [...]}}``.
"""

import re
from collections.abc import Sequence
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bslib.book.table_numbers import written
from bslib.claims.wording import MINUS

COMPUTED = re.compile(r'<table border="1" class="dataframe">.*?</table>', re.DOTALL)
# What a table of estimates is about, even where all of them are the same.
ESTIMATES = ("estimate", "low", "high")
SCROLLS = "pst-scrollable-table-container"  # the theme makes such boxes reachable by keyboard
NOTHING = {"", "NaN", "None"}
WORDS_CH = 18  # columns of words are wrapped, but get no narrower
FIGURE = re.compile(rf"[{MINUS}\d.,e+]*|NaN|{MINUS}?inf")
PIECE = re.compile(r"[^_]*_+|[^_]+")


def shown(html: str, first: Sequence[str] = ()) -> str:
    """Return an output's HTML with each table of pandas in it made ready for reading.

    Args:
        html: what pandas displayed.
        first: columns to put first and never to drop.
    """
    return COMPUTED.sub(lambda found: _shown(found.group(), first), html)


def _shown(html: str, first: Sequence[str]) -> str:
    table = ElementTree.fromstring(html)
    _name_rows_in_one_head(table)
    heads = table.findall("thead/tr")
    rows = table.findall("tbody/tr")
    count = len(rows[0].findall("td")) if rows else 0
    names = [_text(cell) for cell in heads[0]][-count:] if count else []
    if len(heads) > 1 or not names or len(names) > len(set(names)):
        return _boxed(table, [])
    cells = {name: [_text(row[place - count]) for row in rows] for place, name in enumerate(names)}
    same = {name for name, texts in cells.items() if len(rows) > 1 and len(set(texts)) == 1}
    empty = {name for name, texts in cells.items() if NOTHING.issuperset(texts)}
    dropped = (same | empty) - {*first, *ESTIMATES}
    if dropped == set(names):
        dropped = set()
    order = [name for name in first if name in names]
    order += [name for name in names if name not in {*order, *dropped}]
    texts = {name: written(cells[name]) for name in names}
    for place, row in enumerate(rows):
        for name, cell in zip(names, row[-count:], strict=True):
            cell.text = texts[name][place]
    for row in (*heads, *rows):
        _arrange(row, names, order)
    _drop_numbering(table)
    _let_wrap(table)
    told = [name for name in names if name in dropped]
    constant = [f"{_code(name)} = {escape(texts[name][0])}" for name in told if name not in empty]
    absent = [_code(name) for name in told if name in empty]
    return _boxed(table, [("In every row shown: ", constant), ("Empty: ", absent)])


def _arrange(row: Element, names: Sequence[str], order: Sequence[str]) -> None:
    """Keep a row's cells of the columns in ``order``, after those that name the row."""
    cells = dict(zip(names, list(row)[-len(names) :], strict=True))
    for cell in cells.values():
        row.remove(cell)
    row.extend(cells[name] for name in order)


def _name_rows_in_one_head(table: Element) -> None:
    """Where pandas names what the rows are in a second row of heads, put it into the first."""
    heads = table.findall("thead/tr")
    if len(heads) == 2 and not any(cell.get("colspan") for cell in heads[0]):
        for above, cell in zip(heads[0], heads[1], strict=True):
            above.text = _text(above) or _text(cell)
        table.find("thead").remove(heads[1])  # type: ignore[union-attr]


def _drop_numbering(table: Element) -> None:
    """Take out the row numbers that pandas counts where rows have no names."""
    rows = table.findall("tbody/tr")
    nameless = not _text(table.findall("thead/tr/th")[0])
    if nameless and all(row[1].tag == "td" and _text(row[0]).isdigit() for row in rows):
        for row in table.iter("tr"):
            row.remove(row[0])


def _let_wrap(table: Element) -> None:
    """Let heads break after underscores, and words anywhere, but not into too narrow columns."""
    heads = table.findall("thead/tr/th")
    for head in heads:
        head.text, *others = PIECE.findall(_text(head)) or [""]
        for piece in others:
            ElementTree.SubElement(head, "wbr").tail = piece
    for place, head in enumerate(reversed(heads), 1):
        column = [row[-place] for row in table.iterfind("tbody/tr") if place <= len(row)]
        texts = [_text(cell) for cell in column]
        if not all(map(FIGURE.fullmatch, texts)):
            for cell in (head, *column):
                cell.set("class", "bslib-words")
                cell.set("style", f"min-width: {min(WORDS_CH, 3 + max(map(len, texts)))}ch")


def _boxed(table: Element, notes: Sequence[tuple[str, Sequence[str]]]) -> str:
    text = ElementTree.tostring(table, encoding="unicode", method="html")
    said = " ".join(f"{start}{', '.join(parts)}." for start, parts in notes if parts)
    below = f'<p class="bslib-same">{said}</p>' if said else ""
    return f'<div class="{SCROLLS}">{text}</div>{below}'


def _code(name: str) -> str:
    return f"<code>{escape(name)}</code>"


def _text(cell: Element) -> str:
    return "".join(cell.itertext()).strip()
