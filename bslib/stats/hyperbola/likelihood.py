"""The likelihood of the law's c, maximised over its other parameters, with censored rows."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats as distributions

from bslib.stats.hyperbola.law import Flags, Floats

# Beyond this ratio to the range of x, the law is a pure power (or a constant) to 0.01 %.
REACH = 1e4
# Relative noise below which scatter is rounding.
NOISE_FLOOR = 1e-9


def widest_grid(x: Floats, points: int) -> Floats:
    """Return values of c over all that rows at ``x`` can tell apart."""
    return np.linspace(math.log(x.min() / REACH), math.log(x.max() * REACH), points)


@dataclass(frozen=True)
class Profile:
    """Per value of c: the best a, the residual sum of squares, the information on a."""

    a: Floats
    residual: Floats
    information: Floats

    @classmethod
    def over(cls, grid: Floats, x: Floats, log_y: Floats, censored: Flags) -> "Profile":
        """Maximise the likelihood over a and the noise at each c in ``grid``."""
        level = log_y - np.log1p(np.exp(grid)[:, None] / x)  # (grid, rows): what a would be
        known = level[:, ~censored]
        a = known.mean(axis=1)
        residual = ((known - a[:, None]) ** 2).sum(axis=1)
        if not censored.any():
            return cls(a, residual, np.full(len(grid), float(known.shape[1])))
        return cls._censored(a, residual, known, level[:, censored])

    @classmethod
    def _censored(cls, a: Floats, residual: Floats, known: Floats, beyond: Floats) -> "Profile":
        """Maximise over a and the noise by EM, then state it as a sum of squares.

        n ln(residual) is made to differ between values of c as -2 ln(likelihood) does.
        """
        rows, total = known.shape[1], known.shape[1] + beyond.shape[1]
        noise = np.sqrt(residual / rows) + NOISE_FLOOR
        for _ in range(200):
            z = (beyond - a[:, None]) / noise[:, None]
            hazard = _hazard(z)
            expected = a[:, None] + noise[:, None] * hazard
            spread = noise[:, None] ** 2 * (1 + z * hazard - hazard**2)
            new_a = (known.sum(axis=1) + expected.sum(axis=1)) / total
            squares = ((known - new_a[:, None]) ** 2).sum(axis=1)
            squares += ((expected - new_a[:, None]) ** 2 + spread).sum(axis=1)
            change = np.max(np.abs(new_a - a) / noise)
            a, noise = new_a, np.sqrt(squares / total) + NOISE_FLOOR
            if change < 1e-6:
                break
        z = (beyond - a[:, None]) / noise[:, None]
        minus_two_log = 2 * rows * np.log(noise) - 2 * distributions.norm.logsf(z).sum(axis=1)
        minus_two_log += ((known - a[:, None]) ** 2).sum(axis=1) / noise**2
        best = int(np.argmin(minus_two_log))
        growth = np.exp(np.minimum((minus_two_log - minus_two_log[best]) / rows, 50.0))
        hazard = _hazard(z)
        information = rows + (hazard * (hazard - z)).sum(axis=1)
        return cls(a, rows * noise[best] ** 2 * growth, information)


def _hazard(z: Floats) -> Floats:
    """Return the mean of a standard normal beyond ``z`` (the inverse Mills ratio)."""
    return np.asarray(np.exp(distributions.norm.logpdf(z) - distributions.norm.logsf(z)))
