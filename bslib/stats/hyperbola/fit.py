"""The fit itself: outliers, then the likelihood over a grid that zooms in on the optimum."""

import math

import numpy as np
from scipy import stats as distributions

from bslib.stats.hyperbola.law import HIGHEST_LEVEL, Flags, Floats, Hyperbola
from bslib.stats.hyperbola.likelihood import NOISE_FLOOR, Profile, widest_grid
from bslib.stats.hyperbola.outliers import outlying

LACK_OF_FIT_PROBABILITY = 0.05


def fit(x: Floats, y: Floats, censored: Flags | None = None) -> Hyperbola:
    """Fit the law to rows of ``x`` and ``y``, all positive.

    Args:
        x: where y was measured, (rows,).
        y: the measured value, or for a censored row the value that it exceeds.
        censored: which rows are censored; none, by default.

    Raises:
        ValueError: fewer than three distinct x have an uncensored row, or values are not
            positive and finite.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    censored = np.zeros(len(x), bool) if censored is None else np.asarray(censored, bool)
    if not (np.all(np.isfinite(x) & np.isfinite(y)) and np.all(x > 0) and np.all(y > 0)):
        raise ValueError("x and y must be positive and finite")
    if len(np.unique(x[~censored])) < 3:
        raise ValueError("a fit needs uncensored rows at three or more distinct x")
    log_y = np.log(y)
    used = np.ones(len(x), bool)
    used[~censored] = ~outlying(x[~censored], log_y[~censored])
    return _fit_used(x[used], log_y[used], censored[used], used)


def _fit_used(x: Floats, log_y: Floats, censored: Flags, used: Flags) -> Hyperbola:
    rows = int(np.sum(~censored))
    grid = widest_grid(x, 400)
    bounds = grid[0], grid[-1]
    profile = Profile.over(grid, x, log_y, censored)
    for _ in range(5):
        best = int(np.argmin(profile.residual))
        noise, degrees = _noise(x, log_y, censored, profile, best)
        excess = (profile.residual - profile.residual[best]) / noise**2
        widest = distributions.f.ppf(HIGHEST_LEVEL, 1, degrees)
        inside = np.flatnonzero(excess <= widest)
        low, high = max(inside[0] - 1, 0), min(inside[-1] + 1, len(grid) - 1)
        if high - low > len(grid) / 3:
            break
        grid = np.linspace(grid[low], grid[high], 400)
        profile = Profile.over(grid, x, log_y, censored)
    a, c = _refined(grid, profile, best)
    return Hyperbola(
        a, c, noise, degrees, rows, used, grid, profile.a, excess, profile.information,
        open_below=bool(grid[0] == bounds[0]), open_above=bool(grid[-1] == bounds[1]),
    )  # fmt: skip


def _noise(
    x: Floats, log_y: Floats, censored: Flags, profile: Profile, best: int
) -> tuple[float, int]:
    """Return the noise and its degrees of freedom: of all rows, or between values of x."""
    rows = int(np.sum(~censored))
    residual = profile.residual[best]
    _, group, counts = np.unique(x[~censored], return_inverse=True, return_counts=True)
    means = np.bincount(group, log_y[~censored]) / counts
    within = float(np.sum((log_y[~censored] - means[group]) ** 2))
    groups = len(counts)
    noise, degrees = math.sqrt(max(residual / (rows - 2), NOISE_FLOOR**2)), rows - 2
    if rows > groups and residual > within:
        between = (residual - within) / (groups - 2)
        ratio = between / max(within / (rows - groups), NOISE_FLOOR**2)
        if distributions.f.sf(ratio, groups - 2, rows - groups) < LACK_OF_FIT_PROBABILITY:
            return math.sqrt(between), groups - 2
    return noise, degrees


def _refined(grid: Floats, profile: Profile, best: int) -> tuple[float, float]:
    """Return (a, c) at the vertex of the parabola through the best grid point's three."""
    if not 0 < best < len(grid) - 1:
        return float(profile.a[best]), float(grid[best])
    left, middle, right = profile.residual[best - 1 : best + 2]
    curvature = left - 2 * middle + right
    share = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    c = float(grid[best] + share * (grid[1] - grid[0]))
    return float(np.interp(c, grid, profile.a)), c
