"""Isotropic Gaussian least squares: the task whose SGD has closed forms.

x ~ N(0, I_d), y = w . x + s n with n ~ N(0, 1); the loss is (f(x) - y)^2 / 2 and the model has
no intercept. With fresh examples and learning rate eta, the squared distance |theta - w|^2 to
the true weights contracts in the mean by 1 - 2 eta + eta^2 (1 + (d + 1) / B) a step, and then
stays at eta s^2 d / (B (2 - eta (1 + (d + 1) / B))).
"""

import torch

from bslib.data.losses import HalfSquaredError
from bslib.data.registry import Availability
from bslib.data.streams import stream
from bslib.data.task import Examples, Task, checksum

DIMENSIONS = 20  # d
NOISE = 0.5  # s, the standard deviation of a target about its mean
VALIDATION, TEST = 2_000, 2_000


def load(examples: int, seed: int, *, noise: float = NOISE) -> Task:
    """Generate least squares: inputs (N, 20), targets (N,) about ``weights()``."""
    train = _examples(examples, noise, "train", seed)
    validation = _examples(VALIDATION, noise, "validation")
    test = _examples(TEST, noise, "test")
    return Task(
        name="linear-regression",
        train=train,
        validation=validation,
        test=test,
        loss=HalfSquaredError(),
        kind="regression",
        classes=None,
        model="linear",
        checksum=checksum(train, validation, test),
    )


def availability() -> Availability:
    """Say where the examples come from."""
    return Availability("linear-regression", True, "generated here")


def weights() -> torch.Tensor:
    """Return the true weights w, (d,), of length 1; they are the same for every seed."""
    drawn = torch.from_numpy(stream("linear-regression", "weights").standard_normal(DIMENSIONS))
    return (drawn / drawn.norm()).float()


def _examples(count: int, noise: float, *key: str | int) -> Examples:
    shape = (count, DIMENSIONS)
    inputs = torch.from_numpy(stream("linear-regression", "inputs", *key).standard_normal(shape))
    errors = torch.from_numpy(stream("linear-regression", "noise", *key).standard_normal(count))
    targets = inputs @ weights().double() + noise * errors
    return Examples(inputs.float(), targets.float())
