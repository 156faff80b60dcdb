"""MNIST-1D against the authors' own package, and its labels and scale."""

import random
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import scipy.ndimage

from bslib import data
from bslib.data import mnist1d
from bslib.data.streams import stream


@pytest.fixture
def package() -> Iterator[ModuleType]:
    """Give the package's generator; the global generators that it seeds are put back."""
    from mnist1d import data as generator

    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    yield generator
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002


@pytest.mark.parametrize("seed", [0, 42])
def test_signals_are_the_packages(package: ModuleType, seed: int) -> None:
    """From one seed and its order of labels, signals equal the package's to rounding."""
    arguments = package.get_dataset_args()
    arguments.seed, arguments.num_samples = seed, 500
    theirs = package.make_dataset(arguments)
    stream = np.random.RandomState(seed)
    classes = np.repeat(np.arange(10), 50)
    signals = mnist1d.signals(classes, stream)
    order = stream.permutation(500)
    ours = ((signals - signals.mean()) / signals.std())[order]
    np.testing.assert_allclose(ours, np.concatenate([theirs["x"], theirs["x_test"]]), atol=1e-12)
    np.testing.assert_array_equal(classes[order], np.concatenate([theirs["y"], theirs["y_test"]]))


def test_smoothing_is_scipys_gaussian_filter() -> None:
    """The smoothing matrix filters as scipy does, ends included."""
    noise = np.random.default_rng(0).normal(size=mnist1d.DILATED_LEN)
    expected = scipy.ndimage.gaussian_filter(noise, mnist1d.SMOOTHING)
    np.testing.assert_allclose(noise @ mnist1d.smoothing_matrix(), expected, atol=1e-14)


@pytest.mark.parametrize("count", [10, 95, 4_000])
def test_classes_are_balanced(count: int) -> None:
    """Among any number of labels no class is ahead of another by more than one."""
    numbers = np.bincount(mnist1d.labels(count, stream("test")), minlength=10)
    assert numbers.sum() == count
    assert numbers.max() - numbers.min() <= 1


def test_scale_constants_standardise() -> None:
    """20,000 signals have mean 0 and variance 1, within five standard errors over signals."""
    inputs = data.load("mnist1d", examples=20_000).train.inputs.double()
    for moment, expected in ((inputs, 0.0), (inputs**2, 1.0)):
        means = moment.mean(1)  # a signal's values are correlated, signals are not
        error = means.std() / len(means) ** 0.5
        assert abs(means.mean() - expected) < 5 * error
