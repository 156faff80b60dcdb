"""A picture as SVG inside a page: it takes the page's colours, and says what it shows."""

import re
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bslib import plots
from bslib.advise import alt
from bslib.advise.advice import Advice
from bslib.advise.pictures import Picture

SIZE_IN = (5.2, 3.6)
# Drawn in these, shown in the page's: no other mark has them.
INK, PALE, FAINT = "#010203", "#040506", "#070809"
VARIABLES = {INK: "var(--ink)", PALE: "var(--pale)", FAINT: "var(--line)"}
_STYLE: Any = {
    "svg.fonttype": "none",
    "savefig.transparent": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.alpha": 1.0,
}


def of(advice: Advice, picture: Picture) -> str:
    """Return an ``svg`` element; the same advice gives the same bytes."""
    with mpl.rc_context():
        plots.use_style()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=SIZE_IN)
        picture.draw(advice, figure.subplots())
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _inside(written.getvalue(), picture, alt.text(advice, picture.name))


def _inside(document: str, picture: Picture, described: str) -> str:
    """Make of a document an element: names of its own, the page's colours and type."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{picture.name}-", body)
    body = re.sub(r"(font-family:|font: )[^;\"]*", _font, body)
    for drawn, shown in VARIABLES.items():
        body = body.replace(drawn, shown)
    box = re.search(r'viewBox="[^"]*"', body)
    assert box is not None
    named = f"{picture.name}-title {picture.name}-desc"
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0]} role="img" aria-labelledby="{named}">'
        f'<title id="{picture.name}-title">{escape(picture.title)}</title>'
        f'<desc id="{picture.name}-desc">{escape(described)}</desc>'
    )
    return (start + body[body.index(">") + 1 :]).strip()


def _font(found: re.Match[str]) -> str:
    """Keep the size of a font, and leave its family to the page."""
    size = re.search(r"[\d.]+px", found[0])
    return f"font: {size[0]} var(--type)" if size else "font-family: var(--type)"
