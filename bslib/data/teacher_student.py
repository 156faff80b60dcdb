"""Teacher and student: a random network's labels, some of them wrong, on any number of examples.

x ~ N(0, I_20); the label is the largest of ten outputs of a fixed random network, 20-32-10 with
one ReLU layer. In the training set a share of the labels is replaced by another class at random;
validation and test labels are the teacher's own, so that nothing but the student limits the
accuracy.

Fresh examples at every step need no second mechanism: ask for as many as the steps will take
(batch size times steps), and train for one epoch at most. Without replacement, none is seen twice.
"""

import numpy as np
import torch

from bslib.data.losses import CrossEntropy
from bslib.data.registry import Availability
from bslib.data.streams import stream
from bslib.data.task import Examples, Task, checksum

DIMENSIONS, HIDDEN, CLASSES = 20, 32, 10
NOISE = 0.15  # share of the training labels that are wrong
VALIDATION, TEST = 2_000, 4_000


def load(examples: int, seed: int, *, noise: float = NOISE) -> Task:
    """Generate inputs (N, 20) and labels of ten classes, a share ``noise`` of them wrong.

    The teacher is the same whatever ``seed`` is; the seed draws the training examples.
    """
    clean = _examples(examples, "train", seed)
    train = Examples(clean.inputs, _spoilt(clean.targets, noise, seed))
    validation, test = _examples(VALIDATION, "validation"), _examples(TEST, "test")
    return Task(
        name="teacher-student",
        train=train,
        validation=validation,
        test=test,
        loss=CrossEntropy(),
        kind="classification",
        classes=CLASSES,
        model="mlp",
        checksum=checksum(train, validation, test),
    )


def availability() -> Availability:
    """Say where the examples come from."""
    return Availability("teacher-student", True, "generated here")


def labels(inputs: torch.Tensor) -> torch.Tensor:
    """Return the teacher's classes (N,) of inputs (N, 20), computed in float64."""
    weights = stream("teacher-student", "teacher")
    first = torch.from_numpy(weights.standard_normal((DIMENSIONS, HIDDEN)))
    second = torch.from_numpy(weights.standard_normal((HIDDEN, CLASSES)))
    hidden = (inputs.double() @ first).relu_()
    # Centred over the hidden units' means, E relu = |row| / sqrt(2 pi), so that no class rules.
    mean = first.norm(dim=0) / (2 * torch.pi) ** 0.5
    return ((hidden - mean) @ second).argmax(1)


def _examples(count: int, *key: str | int) -> Examples:
    drawn = stream("teacher-student", "inputs", *key).standard_normal((count, DIMENSIONS))
    inputs = torch.from_numpy(drawn).float()
    return Examples(inputs, labels(inputs))


def _spoilt(targets: torch.Tensor, noise: float, seed: int) -> torch.Tensor:
    """Replace a share of the classes by one of the nine others; two streams, so that sets nest."""
    wrong = stream("teacher-student", "wrong", seed).random_sample(len(targets)) < noise
    others = stream("teacher-student", "others", seed).randint(1, CLASSES, len(targets))
    shift = np.where(wrong, others, 0)
    return (targets + torch.from_numpy(shift)) % CLASSES
