"""Grey lines to hold a measurement against: rules, laws, what somebody recommends."""

import itertools

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from bslib.plots.style import label

DASHES = ["-", "--", ":", "-."]


def references(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    axes: Axes | None = None,
    color: str = "0.45",
) -> Axes:
    """Draw a grey line for each value of ``hue``, told apart by its dashes, under the data.

    The limits of axes that already show data stay as they are: a rule that runs out of the
    picture is cut there, and does not squeeze the measurement.
    """
    axes = plt.gca() if axes is None else axes
    limits = axes.axis() if axes.has_data() else None
    for name, dashes in zip(dict.fromkeys(frame[hue]), itertools.cycle(DASHES), strict=False):
        line = frame[frame[hue] == name]
        axes.plot(
            line[x], line[y], color=color, linestyle=dashes, linewidth=1.3, zorder=1, label=name
        )
    if limits is not None:
        axes.axis(limits)
    label(axes, x=x, y=y)
    return axes
