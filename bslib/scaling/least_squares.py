"""Exact answers for mini-batch SGD on isotropic Gaussian least squares.

Inputs x ~ N(0, I_d), targets y = x'w + s N(0, 1), loss (x'w - y)^2 / 2, fresh examples at
each step (or drawn with replacement from very many). With e the error in the weights,
E|e|^2 contracts by a fixed factor each step, because for Gaussian x the mean of
(xx')^2 is (d + 2) I: the batch corrects the curvature 1 to 1 + (d + 1) / B.

Source: Ma, Bassily and Belkin 2018, whose best rate B / (beta + (B - 1) lambda_1) is this
one with lambda_1 = 1 and E[(xx')^2] = beta E[xx'], so beta = d + 2; the stationary error is
the fixed point of the same recursion.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def contraction(learning_rate: ArrayLike, batch_size: ArrayLike, dimensions: int) -> Floats:
    """Return the factor of E|e|^2 in one step without label noise.

    1 - 2 eta + eta^2 (1 + (d + 1) / B); 1 or more means divergence.
    """
    eta = np.asarray(learning_rate, float)
    return np.asarray(1 - 2 * eta + eta**2 * _curvature(batch_size, dimensions))


def best_learning_rate(batch_size: ArrayLike, dimensions: int) -> Floats:
    """Return eta* = B / (B + d + 1), which contracts E|e|^2 fastest.

    It is the saturating rule of :mod:`bslib.scaling.rules` with noise scale d + 1.
    """
    return np.asarray(1 / _curvature(batch_size, dimensions))


def highest_learning_rate(batch_size: ArrayLike, dimensions: int) -> Floats:
    """Return the rate 2 B / (B + d + 1) above which E|e|^2 diverges."""
    return np.asarray(2 / _curvature(batch_size, dimensions))


def fewest_steps(batch_size: ArrayLike, dimensions: int, tolerance: float) -> Floats:
    """Return the steps that take E|e|^2 to ``tolerance`` times its start, at the best rate.

    S(B) = ln(1 / tolerance) / ln(1 + B / (d + 1)), which is near the law of
    :mod:`bslib.scaling.critical_batch_size` with B_crit about d + 1 only up to B_crit:
    without label noise steps go on falling, as 1 / ln B.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, not {tolerance}")
    ratio = np.asarray(batch_size, float) / (dimensions + 1)
    return np.asarray(math.log(1 / tolerance) / np.log1p(ratio))


def stationary_error(
    learning_rate: ArrayLike, batch_size: ArrayLike, dimensions: int, label_noise: float
) -> Floats:
    """Return E|e|^2 long after the start with label noise of standard deviation ``label_noise``.

    eta s^2 d / (B (2 - eta (1 + (d + 1) / B))); the excess loss is half of it. To first
    order it depends on eta / B alone, so that the linear rule leaves it as it is. Infinite
    where the rate diverges.
    """
    eta, size = np.asarray(learning_rate, float), np.asarray(batch_size, float)
    damping = 2 - eta * _curvature(size, dimensions)
    with np.errstate(divide="ignore"):
        error = eta * label_noise**2 * dimensions / (size * damping)
    return np.where(damping > 0, error, np.inf)


def _curvature(batch_size: ArrayLike, dimensions: int) -> Floats:
    return np.asarray(1 + (dimensions + 1) / np.asarray(batch_size, float))
