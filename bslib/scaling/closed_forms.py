"""Best learning rates that are known without training: two models, one bend."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bslib.scaling import critical_batch_size as law
from bslib.scaling import least_squares, rules
from bslib.scaling.noisy_quadratic import NoisyQuadratic

LEAST_SQUARES = "least squares"
NOISY_QUADRATIC = "noisy quadratic"


def best_rates(
    batch_sizes: Sequence[float], *, dimensions: int = 200, target: float = 0.03
) -> pd.DataFrame:
    """Return the best learning rate and its exponent in both models, at every batch size.

    Isotropic least squares (:mod:`bslib.scaling.least_squares`): eta* = B / (B + d + 1),
    with exponent (d + 1) / (B + d + 1) and B_crit = d + 1. Noisy quadratic with spectrum 1/i
    (:mod:`bslib.scaling.noisy_quadratic`): eta* is found numerically as the rate with the
    fewest steps to ``target`` times the initial risk, its exponent by central differences
    (one-sided at the ends), B_crit by fitting the exact steps.

    Args:
        batch_sizes: three or more, a fixed factor apart, that span both bends.
        dimensions: of both models.
        target: of the noisy quadratic.

    Returns:
        A row a model and batch size: ``model``, ``batch_size``, ``relative_batch_size`` (over
        the model's B_crit), ``learning_rate``, ``relative_learning_rate`` (over its limit at
        endless batches), ``exponent``.
    """
    sizes = np.asarray(batch_sizes, float)
    frames = [
        _frame(LEAST_SQUARES, sizes, *_least_squares(sizes, dimensions)),
        _frame(NOISY_QUADRATIC, sizes, *_noisy_quadratic(sizes, dimensions, target)),
    ]
    return pd.concat(frames, ignore_index=True)


def _least_squares(
    sizes: np.ndarray, dimensions: int
) -> tuple[np.ndarray, np.ndarray, float, float]:
    exponents = np.array([rules.saturating_exponent(dimensions + 1, size) for size in sizes])
    rates = least_squares.best_learning_rate(sizes, dimensions)
    return rates, exponents, 1.0, dimensions + 1.0


def _noisy_quadratic(
    sizes: np.ndarray, dimensions: int, target: float
) -> tuple[np.ndarray, np.ndarray, float, float]:
    model = NoisyQuadratic.power_law(dimensions)
    risk = target * model.initial_risk
    steps, rates = np.transpose([model.fewest_steps(risk, size) for size in sizes])
    _, limit = model.without_noise().fewest_steps(risk, 1)
    exponents = np.gradient(np.log(rates), np.log(sizes))
    runs = pd.DataFrame({"batch_size": sizes, "steps_to_target": steps, "seed": 0})
    critical = law.fit(runs).critical_batch_size.value
    return rates, exponents, limit, float("nan") if critical is None else critical


def _frame(
    model: str,
    sizes: np.ndarray,
    rates: np.ndarray,
    exponents: np.ndarray,
    limit: float,
    critical: float,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": model,
            "batch_size": sizes,
            "relative_batch_size": sizes / critical,
            "learning_rate": rates,
            "relative_learning_rate": rates / limit,
            "exponent": exponents,
        }
    )
