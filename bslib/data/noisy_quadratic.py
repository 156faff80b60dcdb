"""The noisy quadratic model: a task whose gradient noise is known exactly.

loss_i(theta) = sum_j h_j (theta_j - x_ij)^2 / 2 with h_j = 1/j for j = 1..d, and x_ij ~ N(0, j),
so that the gradients h_j (theta_j - x_ij) of single examples have the variance c_j = 1/j
everywhere (Zhang et al. 2019, "Which Algorithmic Choices Matter at Which Batch Sizes?", section
3). With N examples, the mean gradient and its covariance are those of the examples at hand.
"""

import numpy as np
import torch

from bslib.data.losses import Quadratic
from bslib.data.registry import Availability
from bslib.data.streams import stream
from bslib.data.task import Examples, Task, checksum

DIMENSIONS = 100  # d
VALIDATION, TEST = 2_000, 2_000


def load(examples: int, seed: int) -> Task:
    """Generate the quadratic's examples: inputs x (N, 100); the targets are zeros, unused."""
    train = _examples(examples, "train", seed)
    validation, test = _examples(VALIDATION, "validation"), _examples(TEST, "test")
    return Task(
        name="noisy-quadratic",
        train=train,
        validation=validation,
        test=test,
        loss=Quadratic(curvature()),
        kind="quadratic",
        classes=None,
        model="quadratic",
        checksum=checksum(train, validation, test),
    )


def availability() -> Availability:
    """Say where the examples come from."""
    return Availability("noisy-quadratic", True, "generated here")


def curvature() -> torch.Tensor:
    """Return h_j = 1/j, (d,): the Hessian's eigenvalues."""
    return 1 / torch.arange(1, DIMENSIONS + 1, dtype=torch.float32)


def gradient_variance() -> torch.Tensor:
    """Return c_j = 1/j, (d,): the variance of one example's gradient, over all examples."""
    return 1 / torch.arange(1, DIMENSIONS + 1, dtype=torch.float32)


def _examples(count: int, *key: str | int) -> Examples:
    normal = stream("noisy-quadratic", *key).standard_normal((count, DIMENSIONS))
    inputs = normal * np.sqrt(np.arange(1, DIMENSIONS + 1))
    return Examples(torch.from_numpy(inputs).float(), torch.zeros(count))
