"""MNIST-1D: ten classes of 40-value signals, generated, any number of training examples.

Greydanus and Kobak, "Scaling Down Deep Learning with MNIST-1D" (2020, arXiv:2011.14439). Each
signal is a template of its digit that is padded, dilated, scaled, shifted along a loop, given
correlated and white noise, sheared, and sampled at 40 points. The authors' package ``mnist1d``
(Apache-2.0) makes one signal at a time and sets the global generators; this is the same
computation on whole arrays, ten times faster, with a stream of its own. From one stream and one
order of labels the two agree to rounding.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bslib.data.losses import CrossEntropy
from bslib.data.registry import Availability
from bslib.data.streams import stream
from bslib.data.task import Examples, Task, checksum

Array = NDArray[np.float64]

VALIDATION, TEST = 2_000, 2_000
# Mean and standard deviation of all values, over 10^6 signals.
MEAN, DEVIATION = -0.0061, 0.1547

# The package's defaults, under the names that it gives them.
TEMPLATE_LEN = 12
PADDING = (36, 60)
DILATED_LEN = TEMPLATE_LEN + PADDING[1]
SCALE_COEFF = 0.4
MAX_TRANSLATION = 48
CORR_NOISE_SCALE = 0.25
IID_NOISE_SCALE = 2e-2
SHEAR_SCALE = 0.75
FINAL_LEN = 40
SMOOTHING = 2.0  # standard deviation of the correlated noise's Gaussian filter, in points

OUTLINES: tuple[Sequence[float], ...] = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)


def load(examples: int, seed: int) -> Task:
    """Generate MNIST-1D: inputs (N, 40), every ten in a row holding one of each class.

    Every value is scaled by the same constants whatever N is, unlike in the package, which
    standardises each set by its own mean and deviation.
    """
    train = _examples(examples, "train", seed)
    held_out = _held_out()
    validation, test = held_out.subset(range(VALIDATION)), held_out.subset(range(VALIDATION, 4_000))
    return Task(
        name="mnist1d",
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
    """Say where the signals come from."""
    return Availability("mnist1d", True, "generated here")


@functools.cache
def _held_out() -> Examples:
    """Generate once what every load holds; it is handed out in copies."""
    return _examples(VALIDATION + TEST, "held out")


def _examples(count: int, *key: str | int) -> Examples:
    classes = labels(count, stream("mnist1d", "labels", *key))
    values = (signals(classes, stream("mnist1d", "signals", *key)) - MEAN) / DEVIATION
    return Examples(torch.from_numpy(values).float(), torch.from_numpy(classes))


def labels(count: int, random: np.random.RandomState) -> NDArray[np.int64]:
    """Return class numbers in shuffled blocks of ten, each block one of every class."""
    blocks = [random.permutation(len(OUTLINES)) for _ in range(-(-count // len(OUTLINES)))]
    return np.concatenate(blocks)[:count].astype(np.int64)


def signals(classes: NDArray[np.int64], random: np.random.RandomState) -> Array:
    """Return a signal (N, 40) of each class, not yet standardised.

    The random numbers are drawn one signal after another, as the package draws them; the rest
    is done to all signals at once.
    """
    count = len(classes)
    padding, shift = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    scale, shear = np.empty(count), np.empty(count)
    noise = np.empty((2, count, DILATED_LEN))
    for i in range(count):
        padding[i] = int(random.rand() * (PADDING[1] - PADDING[0] + 1))
        scale[i] = 1 + SCALE_COEFF * (random.rand() - 0.5)
        shift[i] = random.randint(0, MAX_TRANSLATION)
        noise[:, i] = random.randn(2, DILATED_LEN)
        shear[i] = SHEAR_SCALE * (random.rand() - 0.5)
    clean = dilated_templates()[classes, padding] * scale[:, None]
    columns = (np.arange(DILATED_LEN) - shift[:, None]) % DILATED_LEN
    clean = np.take_along_axis(clean, columns, axis=1)
    correlated = CORR_NOISE_SCALE * noise[0] @ smoothing_matrix()
    noisy = np.where(clean != 0, clean, correlated) + IID_NOISE_SCALE * noise[1]
    sheared = noisy - shear[:, None] * np.linspace(-0.5, 0.5, DILATED_LEN)
    return sheared @ interpolation_matrix(DILATED_LEN, FINAL_LEN)


def dilated_templates() -> Array:
    """Return each class's template at each padding: (classes, paddings, dilated length)."""
    outlines = np.asarray(OUTLINES, dtype=np.float64)
    outlines = outlines - outlines.mean(1, keepdims=True)
    outlines = outlines / outlines.std(1, keepdims=True)
    # The package's 1e-8 tells the template's own zeros from padding.
    outlines = (outlines - outlines[:, :1]) / 6 + 1e-8
    paddings = range(PADDING[0], PADDING[1] + 1)
    padded = [np.pad(outlines, ((0, 0), (0, extra))) for extra in paddings]
    return np.stack([p @ interpolation_matrix(p.shape[1], DILATED_LEN) for p in padded], axis=1)


def interpolation_matrix(points: int, new_points: int) -> Array:
    """Return M (points, new_points) such that x @ M is x resampled linearly, ends kept."""
    old, new = np.linspace(0, 1, points), np.linspace(0, 1, new_points)
    return np.stack([np.interp(new, old, unit) for unit in np.eye(points)])


def smoothing_matrix() -> Array:
    """Return M such that x @ M is x under a Gaussian filter cut at 4 sigma, ends mirrored."""
    radius = int(4 * SMOOTHING + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SMOOTHING) ** 2)
    mirrored = np.pad(np.eye(DILATED_LEN), ((0, 0), (radius, radius)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * radius + 1, axis=1)
    return np.asarray(windows @ (weights / weights.sum()))
