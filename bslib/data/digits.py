"""Handwritten digits: 1,797 real 8x8 images in ten classes, a part of scikit-learn.

The test set of the UCI "Optical Recognition of Handwritten Digits" data (Alpaydin and Kaynak,
1998), 13 writers mixed. 1,200 are for training, 297 for validation and 300 for test; the split
is fixed.
"""

import torch

from bslib.data.losses import CrossEntropy
from bslib.data.registry import Availability
from bslib.data.streams import split, take
from bslib.data.task import Examples, Task, checksum

VALIDATION, TEST = 297, 300
# Mean and standard deviation of the training pixels, which run from 0 to 16.
MEAN, DEVIATION = 4.8866, 6.0243


def load(examples: int, seed: int) -> Task:
    """Load the digits: inputs (N, 1, 8, 8) of zero mean and unit variance, over all pixels."""
    everything = _read()
    rest, test_rows = split("digits", len(everything), TEST)
    train_rows, validation_rows = rest[:-VALIDATION], rest[-VALIDATION:]
    train = take("digits", everything.subset(train_rows), examples, seed)
    validation, test = everything.subset(validation_rows), everything.subset(test_rows)
    return Task(
        name="digits",
        train=train,
        validation=validation,
        test=test,
        loss=CrossEntropy(),
        kind="classification",
        classes=10,
        model="mlp",
        checksum=checksum(train, validation, test),
    )


def availability() -> Availability:
    """Say where the digits come from."""
    return Availability("digits", True, "ships in scikit-learn")


def _read() -> Examples:
    from sklearn.datasets import load_digits  # a second to import

    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(pixels).reshape(-1, 1, 8, 8)
    return Examples(((inputs - MEAN) / DEVIATION).float(), torch.from_numpy(labels).long())
