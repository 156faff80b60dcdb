"""Estimates one below the other, on one scale."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bslib.plots.style import WIDTH_IN, label


def intervals(table: pd.DataFrame, *, x: str, marks: Mapping[str, float] | None = None) -> Axes:
    """Draw the rows of :func:`bslib.stats.table` as points with horizontal intervals.

    A row without an estimate keeps its place, and says so.

    Args:
        x: key of what is estimated, in the table of axis labels.
        marks: positions of dashed vertical lines, by what is written above them.
    """
    axes = plt.figure(figsize=(1.2 * WIDTH_IN, 0.9 + 0.45 * len(table))).add_subplot()
    for name, place in (marks or {}).items():
        axes.axvline(place, color="0.45", linestyle="--", linewidth=1.1, zorder=1)
        axes.text(place, -0.6, name, ha="center", va="bottom")
    color = sns.color_palette()[0]
    ends = table[["low", "estimate", "high"]].to_numpy(float)
    for height, (low, value, high) in enumerate(ends):
        if np.isfinite([low, value, high]).all():
            axes.hlines(height, low, high, color=color)
            axes.plot(value, height, color=color, marker="o")
        else:
            middle = sum(axes.get_xlim()) / 2
            axes.text(middle, height, "no estimate", ha="center", va="center", style="italic")
    axes.set_yticks(range(len(table)), [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.5, -0.6)
    axes.grid(visible=False, axis="y")
    label(axes, x=x, y="")
    return axes
