"""Estimates as tables: to be shown, and to be drawn."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from bslib.stats.estimate import Estimate
from bslib.stats.means import geometric_mean, mean


def summarize(
    frame: pd.DataFrame, *, y: str, by: Sequence[str], log: bool = False, level: float = 0.95
) -> pd.DataFrame:
    """Average column ``y`` over the rows that share ``by``: over seeds, in a tidy frame.

    Args:
        log: average ln y, and give the geometric mean with its interval: for what is
            positive and spread over orders of magnitude.

    Returns:
        One row a group, in order of appearance: ``by``, ``y``, ``low``, ``high`` (Student's
        t), ``n``, ``reason``. A group that cannot be averaged (not finite; not positive
        under ``log``) keeps its row, with NaN and the reason.
    """
    rows = []
    for key, group in frame.groupby(list(by), sort=False, dropna=False):
        values = group[y].to_numpy(dtype=float)
        found = geometric_mean(values, level) if log else mean(values, level)
        value, low, high = (found.value, found.low, found.high)
        if value is None:
            value = low = high = math.nan
        found_row = {y: value, "low": low, "high": high, "n": found.n, "reason": found.reason}
        rows.append(dict(zip(by, key, strict=True)) | found_row)
    return pd.DataFrame(rows, columns=[*by, y, "low", "high", "n", "reason"])


def table(estimates: Mapping[str, Estimate]) -> pd.DataFrame:
    """Show estimates by name: a row each, with reasons only where there are any."""
    shown = pd.DataFrame(
        {
            "estimate": [
                math.nan if each.value is None else each.value for each in estimates.values()
            ],
            "low": [each.low for each in estimates.values()],
            "high": [each.high for each in estimates.values()],
            "level": [each.level for each in estimates.values()],
            "n": [each.n for each in estimates.values()],
            "reason": [each.reason for each in estimates.values()],
        },
        index=list(estimates),
    )
    return shown if shown["reason"].any() else shown.drop(columns="reason")
