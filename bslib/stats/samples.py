"""What every producer of estimates asks of its input, and the quantile that most of them use."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]


def t_quantile(level: float, degrees: float) -> float:
    """Return the half-width, in standard errors, of Student's t interval at ``level``."""
    return float(stdtrit(degrees, (1 + level) / 2))


def flat(values: ArrayLike, name: str = "values") -> Floats:
    """Return a private copy of ``values`` as a vector of float64.

    Raises:
        ValueError: it has more than one dimension.
    """
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, not of shape {array.shape}")
    return array


def non_finite(array: NDArray[Any], name: str = "values") -> str:
    """Say which entries are not finite; empty if all are. They are never dropped."""
    bad = np.argwhere(~np.isfinite(array))
    if not len(bad):
        return ""
    where = ", ".join(
        str(index[0] if len(index) == 1 else tuple(index)) for index in bad[:3].tolist()
    )
    more = ", ..." if len(bad) > 3 else ""
    return f"{len(bad)} of {array.size} {name} not finite (at {where}{more})"
