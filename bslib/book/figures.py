"""Computed figures on a page: in a box of their own, which scrolls where the screen is narrow."""

import re
from pathlib import Path

from docutils import nodes

from bslib.book.tables import SCROLLS

WIDE_PT = 550.0  # of matplotlib's SVG: two panels side by side (bslib.plots.side_by_side)
_WIDTH = re.compile(r'<svg[^>]*? width="([\d.]+)pt"')


def box(image: nodes.image, source: Path) -> None:
    """Put a figure's image, drawn in ``source``, into its box, in place.

    The style sheet turns it dark, and keeps it so wide on a phone that its labels can be read.
    """
    image["classes"] = [*image["classes"], "bslib-figure", "dark-light"]
    classes = [SCROLLS, "bslib-picture", *(["bslib-wide"] if is_wide(source) else [])]
    scrolling = nodes.container(classes=classes)
    image.parent.replace(image, scrolling)
    scrolling += image


def is_wide(source: Path) -> bool:
    """Say whether a picture is an SVG of two panels."""
    if source.suffix != ".svg":
        return False
    found = _WIDTH.search(source.read_text(encoding="utf-8"))
    return found is not None and float(found[1]) > WIDE_PT
