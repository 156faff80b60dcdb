"""One slope a seed, then Student's t over seeds: the interval of a trend in a tidy frame.

All points of a seed share its weights and its order of examples, so their errors move
together and the residuals of one fit say too little. The seeds are the independent repeats.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from bslib.stats.estimate import Estimate, refused
from bslib.stats.fits import Fit, power_law, straight_line
from bslib.stats.means import mean
from bslib.stats.samples import Floats

Law = Literal["line", "doubling", "power"]


def _doubling(x: Floats, y: Floats) -> Fit:
    if (x <= 0).any():
        return power_law(x, np.ones(len(x)))  # refused there, with its reason
    return straight_line(np.log2(x), y)


_FIT: dict[Law, Callable[[Floats, Floats], Fit]] = {
    "line": straight_line,
    "doubling": _doubling,
    "power": power_law,
}


def slopes_by_seed(
    frame: pd.DataFrame, *, x: str, y: str, seed: str = "seed", law: Law = "line"
) -> pd.DataFrame:
    """Fit each seed's points on their own.

    Args:
        frame: tidy, one row a point; several rows may share a seed and an x.
        law: ``"line"`` (y for one unit of x), ``"doubling"`` (y for each doubling of x) or
            ``"power"`` (ln y on ln x: the exponent).

    Returns:
        One row a seed: ``seed``, ``slope`` (NaN where it was refused), ``points``, ``reason``.
    """
    rows = []
    for each, group in frame.groupby(seed, sort=True, dropna=False):
        fitted = _FIT[law](group[x].to_numpy(dtype=float), group[y].to_numpy(dtype=float)).slope
        value = math.nan if fitted.value is None else fitted.value
        reason = fitted.reason if fitted.value is None else ""
        rows.append({seed: each, "slope": value, "points": len(group), "reason": reason})
    return pd.DataFrame(rows, columns=[seed, "slope", "points", "reason"])


def slope_by_seed(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    seed: str = "seed",
    law: Law = "line",
    level: float = 0.95,
) -> Estimate:
    """Mean over seeds of each seed's slope, with Student's t interval over the seeds.

    A seed whose fit is refused refuses the whole estimate, and is named. Coverage is that of
    :func:`bslib.stats.mean`: a fitted slope is a weighted sum of its points, and so closer to
    normal than they are.
    """
    slopes = slopes_by_seed(frame, x=x, y=y, seed=seed, law=law)
    failed = slopes[slopes["reason"] != ""]
    if len(failed):
        first = failed.iloc[0]
        reason = f"{len(failed)} of {len(slopes)} seeds have no slope; {seed} {first[seed]}: "
        return refused(reason + first["reason"], level=level, n=len(slopes))
    return mean(slopes["slope"].to_numpy(), level)


def exponent(
    frame: pd.DataFrame, *, x: str, y: str, seed: str = "seed", level: float = 0.95
) -> Estimate:
    """Exponent p of y ~ x^p: :func:`slope_by_seed` of ln y on ln x."""
    return slope_by_seed(frame, x=x, y=y, seed=seed, law="power", level=level)


def exponents(
    frame: pd.DataFrame, *, x: str, y: str, by: str, seed: str = "seed", level: float = 0.95
) -> dict[str, Estimate]:
    """Return :func:`exponent` for each value of column ``by``, in order of appearance."""
    groups = frame.groupby(by, sort=False, dropna=False)
    return {str(name): exponent(rows, x=x, y=y, seed=seed, level=level) for name, rows in groups}
