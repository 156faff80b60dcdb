"""Computed figures in their boxes."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from docutils import nodes

from bslib import plots
from bslib.book import figures

pytestmark = pytest.mark.usefixtures("closed_figures")


def drawn(path: Path, panels: int) -> Path:
    """Draw an empty figure of the book."""
    plots.use_style()
    if panels == 2:
        plots.side_by_side("left", "right")
    else:
        plt.figure().add_subplot()
    plt.savefig(path, bbox_inches="tight")
    return path


@pytest.mark.parametrize("panels", [1, 2])
def test_two_panels_are_wide(tmp_path: Path, panels: int) -> None:
    """The style sheet can tell a picture of two panels from one of one."""
    assert figures.is_wide(drawn(tmp_path / "a.svg", panels)) == (panels == 2)


def test_a_picture_is_boxed_where_it_stood(tmp_path: Path) -> None:
    """The image lies in a box that the theme lets the keyboard scroll, before its caption."""
    image, caption = nodes.image(uri="a.svg"), nodes.caption()
    figure = nodes.figure("", image, caption)
    figures.box(image, drawn(tmp_path / "a.svg", 2))
    box, after = figure.children
    assert (box.children, after) == ([image], caption)
    assert {"pst-scrollable-table-container", "bslib-picture", "bslib-wide"} <= set(box["classes"])


def test_a_picture_that_is_no_svg_is_not_wide(tmp_path: Path) -> None:
    """A bitmap is boxed too, without being read as text."""
    bitmap = tmp_path / "a.png"
    bitmap.write_bytes(b"\x89PNG\xff")
    assert not figures.is_wide(bitmap)
