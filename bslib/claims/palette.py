"""How outcomes look: a colour that colour-blind readers tell apart, and a symbol beside it."""

SYMBOL = {"supported": "✓", "refuted": "✗", "conditional": "◐", "inconclusive": "?"}

# Fills under white text: contrast at least 5 to 1. Hues after Okabe and Ito (2008).
FILL = {
    "supported": "#00715a",
    "refuted": "#b34700",
    "conditional": "#1f66a8",
    "inconclusive": "#666666",
}

# Lines on the page's own background: at least 3 to 1 on white and on near-black.
LINE = {
    "supported": "#1a9a78",
    "refuted": "#d9661f",
    "conditional": "#4a8fd1",
    "inconclusive": "#8a8a8a",
}

# The theme's own colours where there is a theme: the book's, Jupyter's, or the page's.
TEXT = "var(--pst-color-text-base,var(--jp-content-font-color1,inherit))"
GROUND = "var(--pst-color-background,var(--jp-layout-color1,transparent))"
EDGE = "rgba(128,128,128,.45)"
