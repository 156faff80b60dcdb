"""What the noise scale along a training comes to: a critical batch size, and how it grew."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bslib.stats import Estimate, power_law, refused
from bslib.stats.samples import t_quantile

FEWEST_MICRO_BATCHES = 16


def critical(path: pd.DataFrame, batch_size: int, level: float = 0.95) -> Estimate:
    """Estimate the critical batch size of a training from its noise scale along the way.

    A step of batch B advances as far as 1 / (1 + B_i / B) of a noiseless one (McCandlish et al.
    2018, equation 2.7). Summed over n_i steps at noise B_i, the ratio of the examples to the
    steps that the same way takes at the two ends (their equation 2.11, B_crit = E_min / S_min) is

        1 / B_crit = sum_i w_i / B_i / sum_i w_i,    w_i = n_i / (1 + B / B_i),

    a mean of 1 / B_i, which is close to normal where B_i is not. Each look's error is its
    jackknife's; looks are independent. Where the sum is not told from zero the upper end is
    infinite.

    Args:
        path: of a training at ``batch_size``: ``step``, ``inverse`` (1 / B_i), ``inverse_error``.
    """
    known = path[np.isfinite(path["inverse"]) & np.isfinite(path["inverse_error"])]
    if known.empty:
        return refused("the gradients told no noise from signal", level=level)
    steps = np.diff(np.concatenate([[0.0], known["step"].to_numpy(float)]))
    inverse, error = known["inverse"].to_numpy(float), known["inverse_error"].to_numpy(float)
    value = _mean_inverse(inverse, steps, batch_size)
    nudges = [_mean_inverse(inverse + each, steps, batch_size) - value for each in np.diag(error)]
    half = t_quantile(level, FEWEST_MICRO_BATCHES - 1) * float(np.linalg.norm(nudges))
    low, high = value - half, value + half
    if high <= 0:
        return refused("the signal comes out negative beyond its error", level=level)
    return Estimate(
        1 / value if value > 0 else math.inf,
        1 / high,
        1 / low if low > 0 else math.inf,
        level,
        len(known),
        "" if low > 0 else "the signal is not told from zero",
    )


def _mean_inverse(
    inverse: NDArray[np.float64], steps: NDArray[np.float64], batch_size: int
) -> float:
    weights = steps / (1 + batch_size * np.clip(inverse, 0.0, None))
    return float((weights * inverse).sum() / weights.sum())


def growth(path: pd.DataFrame) -> Estimate:
    """Estimate the exponent of the noise scale in the number of steps."""
    known = path[np.isfinite(path["noise_scale"])]
    if len(known) < 4:
        return refused("too few looks at the noise to tell how it grows")
    return power_law(known["step"].to_numpy(float), known["noise_scale"].to_numpy(float)).slope
