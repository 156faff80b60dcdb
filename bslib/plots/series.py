"""Points with intervals, and the curves that a theory predicts for them."""

import itertools
import math
from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bslib.plots.style import label

MARKERS = ["o", "s", "^", "D", "v", "P"]


def points(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    axes: Axes | None = None,
    log: str = "xy",
) -> Axes:
    """Draw points with intervals, one colour and marker for each value of ``hue``.

    Args:
        frame: one row a point, with columns ``x``, ``y``, ``hue``, and the interval's ends
            ``low`` and ``high``, as :func:`bslib.stats.summarise` gives them.
        log: the axes with a logarithmic scale.
    """
    axes = plt.gca() if axes is None else axes
    for style, name, group in _groups(frame, hue):
        below, above = group[y] - group["low"], group["high"] - group[y]
        # A legend looks for the emptiest corner, and sees the bars' caps but not the bars.
        drawn = {"linestyle": "", "capsize": 1.5, **style}
        axes.errorbar(group[x], group[y], yerr=[below, above], label=name, **drawn)
    return _finish(axes, x, y, log)


def lines(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    axes: Axes | None = None,
    log: str = "xy",
    dashes: str = "-",
    labelled: bool = False,
    color: str | None = None,
) -> Axes:
    """Draw a line for each value of ``hue``, in the colour that :func:`points` gives it.

    Args:
        dashes: matplotlib's line style.
        labelled: whether the lines get their own entries in a legend.
        color: one colour for all, instead.
    """
    axes = plt.gca() if axes is None else axes
    for style, name, group in _groups(frame, hue):
        axes.plot(
            group[x],
            group[y],
            color=color or style["color"],
            linestyle=dashes,
            linewidth=1.3,
            label=name if labelled else None,
        )
    return _finish(axes, x, y, log)


def _groups(frame: pd.DataFrame, hue: str) -> Iterator[tuple[dict, str, pd.DataFrame]]:
    names = list(dict.fromkeys(frame[hue]))
    colors = sns.color_palette(n_colors=len(names))
    for name, color, marker in zip(names, colors, itertools.cycle(MARKERS), strict=False):
        yield {"color": color, "marker": marker}, str(name), frame[frame[hue] == name]


def _finish(axes: Axes, x: str, y: str, log: str) -> Axes:
    # Without a positive value (nothing could be measured) an axis has no logarithmic scale.
    if "x" in log and math.isfinite(axes.dataLim.minposx):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    if "y" in log and math.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
    label(axes, x=x, y=y)
    return axes
