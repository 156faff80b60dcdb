"""How steps, examples, seconds and learning rates change with the batch size."""

from bslib.scaling import (
    best_rates,
    clocked,
    closed_forms,
    critical_batch_size,
    crossing,
    equal_loss,
    generalisation,
    least_squares,
    local_exponents,
    noisy_quadratic,
    norm_estimates,
    normalized,
    optimum,
    protocol,
    regimes,
    rules,
    stability,
    time_to_target,
    tuned,
)
from bslib.scaling.critical_batch_size import CriticalBatchSize
from bslib.scaling.noisy_quadratic import NoisyQuadratic
from bslib.scaling.protocol import Sweep

__all__ = [
    "CriticalBatchSize",
    "NoisyQuadratic",
    "Sweep",
    "best_rates",
    "clocked",
    "closed_forms",
    "critical_batch_size",
    "crossing",
    "equal_loss",
    "generalisation",
    "least_squares",
    "local_exponents",
    "noisy_quadratic",
    "norm_estimates",
    "normalized",
    "optimum",
    "protocol",
    "regimes",
    "rules",
    "stability",
    "time_to_target",
    "tuned",
]
