"""Rows that the law through all the others excludes."""

import math

import numpy as np
from scipy import stats as distributions

from bslib.stats.hyperbola.law import Flags, Floats
from bslib.stats.hyperbola.likelihood import NOISE_FLOOR, widest_grid

# A row may be set aside only if it is off by more than this factor ...
OUTLIER_FACTOR = 1.25
# ... and if a prediction from the others would miss it this rarely, in any row.
OUTLIER_PROBABILITY = 0.01


def outlying(x: Floats, log_y: Floats) -> Flags:
    """Find rows that the law through the others excludes, worst first, one in seven at most.

    Each row is predicted from a fit without it; its t statistic is compared with
    Student's t at OUTLIER_PROBABILITY over all rows (Bonferroni).
    """
    out = np.zeros(len(x), bool)
    for _ in range(max(1, len(x) // 7)):
        kept = np.flatnonzero(~out)
        if len(kept) < 5 or len(np.unique(x[kept])) < 4:
            break
        miss, statistic = _left_out(x[kept], log_y[kept])
        critical = distributions.t.isf(OUTLIER_PROBABILITY / 2 / len(kept), len(kept) - 3)
        suspect = (np.abs(statistic) > critical) & (np.abs(miss) > math.log(OUTLIER_FACTOR))
        if not suspect.any():
            break
        out[kept[np.argmax(np.where(suspect, np.abs(statistic), 0))]] = True
    return out


def _left_out(x: Floats, log_y: Floats) -> tuple[Floats, Floats]:
    """Return each row's deviation from the fit to the others, and its t statistic."""
    rows = len(x)
    grid = widest_grid(x, 800)
    slope = 1 / (1 + x / np.exp(grid)[:, None])  # d ln y / d c, (grid, rows)
    level = log_y - np.log1p(np.exp(grid)[:, None] / x)
    mean = level.mean(axis=1, keepdims=True)
    residual = ((level - mean) ** 2).sum(axis=1, keepdims=True)
    without = residual - rows / (rows - 1) * (level - mean) ** 2
    best, row = without.argmin(axis=0), np.arange(rows)
    miss = (level - (rows * mean - level) / (rows - 1))[best, row]
    others = slope[best] * (1 - np.eye(rows))  # (left out, rows)
    center = others.sum(axis=1) / (rows - 1)
    square = (others**2).sum(axis=1) - (rows - 1) * center**2
    leverage = 1 / (rows - 1) + (slope[best, row] - center) ** 2 / np.maximum(square, 1e-12)
    variance = np.maximum(without[best, row] / (rows - 3), NOISE_FLOOR**2)
    return miss, miss / np.sqrt(variance * (1 + leverage))
