"""Gradient noise, and the noise of what is displayed while training."""

from bslib.noise import batch_statistics, oscillation
from bslib.noise.batch_variance import (
    batch_gradient_variance,
    batch_weights,
    centred_gram,
    predicted_variance,
)
from bslib.noise.exact_noise_scale import exact_noise_scale
from bslib.noise.gradient_variance import CHECKPOINTS, gradient_variance, variance_at
from bslib.noise.gradients import backward_difference, per_example_gradients
from bslib.noise.loss_curve import (
    FIXED,
    SCALED,
    LossCurves,
    loss_curves,
    rates,
    roughness,
    sampling_sd,
    window_means,
)
from bslib.noise.mean_of_ratios import mean_of_ratios
from bslib.noise.micro_batches import MicroBatches, flat_gradient, layer_sizes
from bslib.noise.noise_meter import NoiseScale, measure_noise_scale, sample_noise_scale
from bslib.noise.noise_scale import Moments, noise_scale, of_gram, pooled, two_batch
from bslib.noise.preconditioned import adam_metric
from bslib.noise.sketch import CountSketch

__all__ = [
    "CHECKPOINTS",
    "FIXED",
    "SCALED",
    "CountSketch",
    "LossCurves",
    "MicroBatches",
    "Moments",
    "NoiseScale",
    "adam_metric",
    "backward_difference",
    "batch_gradient_variance",
    "batch_statistics",
    "batch_weights",
    "centred_gram",
    "exact_noise_scale",
    "flat_gradient",
    "gradient_variance",
    "layer_sizes",
    "loss_curves",
    "mean_of_ratios",
    "measure_noise_scale",
    "noise_scale",
    "of_gram",
    "oscillation",
    "per_example_gradients",
    "pooled",
    "predicted_variance",
    "rates",
    "roughness",
    "sample_noise_scale",
    "sampling_sd",
    "two_batch",
    "variance_at",
    "window_means",
]
