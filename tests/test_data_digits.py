"""The digits are scikit-learn's, all of them, scaled by the constants that are written down."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from bslib import data
from bslib.data import digits


def test_digits_are_scikit_learns() -> None:
    """Unscaled and put together, the three parts are scikit-learn's 1,797 images and labels."""
    task = data.load("digits")
    parts = (task.train, task.validation, task.test)
    assert [len(part) for part in parts] == [1_200, 297, 300]
    inputs = torch.cat([part.inputs for part in parts]).reshape(-1, 64)
    pixels = (inputs * digits.DEVIATION + digits.MEAN).round().int().numpy()
    labels = torch.cat([part.targets for part in parts]).numpy()
    images, targets = load_digits(return_X_y=True)
    ours = np.column_stack([pixels, labels])
    theirs = np.column_stack([images, targets]).astype(int)
    assert sorted(ours.tolist()) == sorted(theirs.tolist())


def test_training_pixels_are_standardised() -> None:
    """Mean 0 and deviation 1 over all training pixels, to the constants' four decimals."""
    inputs = data.load("digits").train.inputs.double()
    assert inputs.shape[1:] == (1, 8, 8)
    rounding = 5e-5 / digits.DEVIATION + 1e-6  # half of the last decimal, and float32
    assert abs(inputs.mean()) < rounding
    assert abs(inputs.std(correction=0) - 1) < rounding
