"""Figures: they draw what was measured and estimated elsewhere, and compute nothing."""

from bslib.plots.intervals import intervals
from bslib.plots.measured_and_law import measured_and_law
from bslib.plots.references import references
from bslib.plots.series import lines, points
from bslib.plots.style import AXIS_LABELS, label, side_by_side, use_style

__all__ = [
    "AXIS_LABELS",
    "intervals",
    "label",
    "lines",
    "measured_and_law",
    "points",
    "references",
    "side_by_side",
    "use_style",
]
