"""Gradient noise, and the noise of what is displayed while training."""

from bslib.noise.batch_variance import (
    batch_gradient_variance,
    batch_weights,
    centred_gram,
    predicted_variance,
)
from bslib.noise.gradient_variance import CHECKPOINTS, gradient_variance, variance_at
from bslib.noise.gradients import backward_difference, per_example_gradients
from bslib.noise.loss_curve import (
    FIXED,
    SCALED,
    LossCurves,
    loss_curves,
    roughness,
    sampling_sd,
    window_means,
)

__all__ = [
    "CHECKPOINTS",
    "FIXED",
    "SCALED",
    "LossCurves",
    "backward_difference",
    "batch_gradient_variance",
    "batch_weights",
    "centred_gram",
    "gradient_variance",
    "loss_curves",
    "per_example_gradients",
    "predicted_variance",
    "roughness",
    "sampling_sd",
    "variance_at",
    "window_means",
]
