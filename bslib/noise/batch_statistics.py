"""How noisy batch norm's statistics are: in law, and as a network's layer sees them.

A batch norm divides by the standard deviation of the m values of a unit in the batch. That of
few values is small by chance, and its inverse, the factor that the unit is multiplied by, large.
"""

import math
from collections.abc import Sequence

import pandas as pd
import torch
from scipy import integrate
from scipy import stats as distributions
from torch import Tensor, nn

from bslib import models
from bslib.data import Task
from bslib.noise.batch_variance import batch_weights
from bslib.refusal import Refusal
from bslib.stats.tables import summarize

EPS = 1e-5  # torch's, added to a variance
MOST = 4096  # examples that a population is made of
LAW, MEASURED = "Gaussian values", "first layer, untrained"


def gaussian(sizes: Sequence[int], eps: float = EPS) -> pd.DataFrame:
    """Return what m independent values N(0, 1) do to their variance, with divisor m.

    m times it is chi-squared with m - 1 degrees of freedom.

    Returns:
        A row a size m (``batch_size``): ``variance_mean``, (m - 1)/m; ``variance_cv``, its
        standard deviation over its mean, sqrt(2 / (m - 1)); ``inverse_sd``, the mean of
        1 / sqrt(variance + eps), which is infinite at m = 2 for eps = 0; ``source``.
    """
    return pd.DataFrame(
        {
            "batch_size": list(sizes),
            "variance_mean": [(size - 1) / size for size in sizes],
            "variance_cv": [math.sqrt(2 / (size - 1)) for size in sizes],
            "inverse_sd": [_inverse_sd(size, eps) for size in sizes],
            "source": LAW,
        }
    )


def curve(largest: int) -> pd.DataFrame:
    """Return :func:`gaussian` from 2 up to ``largest``, at half octaves."""
    sizes = {round(2 ** (half / 2)) for half in range(2, round(2 * math.log2(largest)) + 1)}
    return gaussian(sorted(sizes | {largest}))


def _inverse_sd(size: int, eps: float) -> float:
    """Integrate 1 / sqrt(r^2 / m + eps) over r, the root of a chi-squared."""
    density = distributions.chi(size - 1).pdf

    def integrand(r: float) -> float:
        return float(density(r)) / math.sqrt(r**2 / size + eps)

    width = math.sqrt(size * eps)  # over which the integrand levels off at m = 2
    middle, last = 30 * width, math.sqrt(size) + 12
    parts = [(0.0, width), (width, middle), (middle, last)]
    return sum(integrate.quad(integrand, *ends, limit=200)[0] for ends in parts if ends[0] < last)


def measured(
    values: Tensor, sizes: Sequence[int], *, draws: int, generator: torch.Generator
) -> pd.DataFrame:
    """Draw batches of a layer's values (N, units) and take each unit's variance in them.

    In units of the population's variance; units that do not vary are left out. Batches are
    drawn without replacement, so that sizes near N vary less than the law's.

    Args:
        values: a layer's inputs to its norm.
        sizes: m, 2 or more.
        draws: batches of each size.
        generator: a CPU generator; the batches are its.

    Returns:
        A row a size and unit, with :func:`gaussian`'s columns and ``unit``.
    """
    if min(sizes) < 2 or max(sizes) > len(values):
        count = len(values)
        raise Refusal(f"batch norm has statistics over 2 to {count:,} examples, not {list(sizes)}")
    values = values.double()
    values = (values - values.mean(0)) / values.std(0, correction=0)
    values = values[:, values.isfinite().all(0)]
    orders = torch.rand(draws, len(values), generator=generator).argsort(dim=1)
    frames = [_of_batches(values, orders[:, :size]) for size in sizes]
    return pd.concat(frames, ignore_index=True).assign(source=MEASURED)


def first_layer(task: Task, sizes: Sequence[int], *, draws: int = 400, seed: int) -> pd.DataFrame:
    """Return :func:`measured` for what enters the first norm of an untrained ``mlp``.

    Over the first 4,096 training examples, or as many as the largest size.
    """
    network = models.build("mlp", task, seed=seed, norm="batch", depth=1)
    assert isinstance(network, nn.Sequential)
    first = next(n for n, part in enumerate(network) if isinstance(part, nn.BatchNorm1d))
    with torch.no_grad():
        values = network[:first](task.train.inputs[: max(MOST, *sizes)].float().cpu())
    generator = torch.Generator().manual_seed(seed)
    return measured(values, sizes, draws=draws, generator=generator)


def summary(units: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average :func:`measured` over units: its ``variance_cv``, and its ``inverse_sd``."""
    by = ["source", "batch_size"]
    noise, factor = (summarize(units, y=y, by=by) for y in ("variance_cv", "inverse_sd"))
    return noise, factor


def _of_batches(values: Tensor, batches: Tensor) -> pd.DataFrame:
    weights = batch_weights(batches, len(values)).to(values)
    variances = weights @ values**2 - (weights @ values) ** 2  # (draws, units)
    variances = variances.clamp(min=0)  # rounding
    return pd.DataFrame(
        {
            "batch_size": batches.shape[1],
            "unit": range(values.shape[1]),
            "variance_mean": variances.mean(0).tolist(),
            "variance_cv": (variances.std(0) / variances.mean(0)).tolist(),
            "inverse_sd": (variances + EPS).rsqrt().mean(0).tolist(),
        }
    )
