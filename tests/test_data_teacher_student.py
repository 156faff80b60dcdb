"""The teacher's labels, and how many of them are wrong; tolerances are five standard errors."""

import numpy as np
import pytest
import torch

from bslib import data
from bslib.data import teacher_student as teacher

N = 20_000


@pytest.fixture(scope="module")
def task() -> data.Task:
    return teacher.load(N, seed=0)


def test_a_share_of_the_training_labels_is_wrong(task: data.Task) -> None:
    """NOISE of the training labels differ from the teacher's; held-out labels are all its own."""
    wrong = task.train.targets != teacher.labels(task.train.inputs)
    error = (teacher.NOISE * (1 - teacher.NOISE) / N) ** 0.5
    assert abs(wrong.double().mean() - teacher.NOISE) < 5 * error
    for part in (task.validation, task.test):
        assert torch.equal(part.targets, teacher.labels(part.inputs))
    clean = teacher.load(100, 0, noise=0.0).train
    assert torch.equal(clean.targets, teacher.labels(clean.inputs))


def test_wrong_labels_are_any_of_the_others(task: data.Task) -> None:
    """A wrong label lies 1 to 9 classes further on, each equally often."""
    shift = (task.train.targets - teacher.labels(task.train.inputs)) % teacher.CLASSES
    counts = np.bincount(shift[shift > 0].numpy(), minlength=10)[1:]
    share = counts / counts.sum()
    assert (abs(share - 1 / 9) < 5 * (8 / 81 / counts.sum()) ** 0.5).all()


def test_labels_are_a_networks(task: data.Task) -> None:
    """The teacher is a ReLU network that torch's own layers, given its weights, reproduce."""
    drawn = data.streams.stream("teacher-student", "teacher")
    first, second = torch.nn.Linear(20, 32).double(), torch.nn.Linear(32, 10).double()
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(drawn.standard_normal((20, 32))).T)
        second.weight.copy_(torch.from_numpy(drawn.standard_normal((32, 10))).T)
        first.bias.zero_()
        norms = first.weight.norm(dim=1)
        second.bias.copy_(-second.weight @ norms / (2 * torch.pi) ** 0.5)
        outputs = second(first(task.test.inputs.double()).relu())
    assert torch.equal(outputs.argmax(1), task.test.targets)


def test_no_class_rules(task: data.Task) -> None:
    """Every class has between a quarter and four times its even share."""
    share = torch.bincount(task.test.targets, minlength=10) / len(task.test)
    assert share.min() > 0.025
    assert share.max() < 0.4


def test_the_teacher_does_not_depend_on_the_seed(task: data.Task) -> None:
    """Seeds draw other examples, with the same held-out ones and the same teacher."""
    other = teacher.load(N, seed=1)
    assert torch.equal(other.test.targets, task.test.targets)
    assert not torch.equal(other.train.inputs, task.train.inputs)
    assert teacher.load(100, 1).checksum == teacher.load(100, 1).checksum
