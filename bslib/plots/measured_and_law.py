"""Measured points with the law that they are held against, in one picture."""

import pandas as pd
from matplotlib.axes import Axes

from bslib.plots.references import references
from bslib.plots.series import points


def measured_and_law(
    measured: pd.DataFrame,
    law: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    axes: Axes | None = None,
    log: str = "xy",
) -> Axes:
    """Draw ``measured`` as :func:`points` and ``law`` as :func:`references` behind them.

    Both have the columns ``x``, ``y`` and ``hue``. A law without rows is left out.
    """
    axes = points(measured, x=x, y=y, hue=hue, axes=axes, log=log)
    return references(law, x=x, y=y, hue=hue, axes=axes)
