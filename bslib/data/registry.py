"""Which tasks there are: data only, so that a task's module is imported when it is used."""

from __future__ import annotations

from dataclasses import dataclass

from bslib.refusal import Refusal


@dataclass(frozen=True)
class TaskEntry:
    """What is known of a task before it is loaded.

    Attributes:
        module: the module that loads it.
        train_examples: how many training examples there are; None where any number is made.
        default_examples: how many are taken when no number is given.
        summary: the task in a line.
    """

    module: str
    train_examples: int | None
    default_examples: int
    summary: str

    def count(self, examples: int | None = None) -> int:
        """Return how many training examples ``load`` gives for ``examples``, loading nothing.

        Raises:
            Refusal: ``examples`` is not a positive whole number, or more than there are.
        """
        if examples is None:
            return self.default_examples
        if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
            raise Refusal(f"examples must be a whole number of at least 1, not {examples!r}")
        if self.train_examples is not None and examples > self.train_examples:
            limit = f"the task has {self.train_examples:,} training examples"
            raise Refusal(f"examples is {examples:,}, but {limit}")
        return examples


@dataclass(frozen=True)
class Availability:
    """Whether a task's data are at hand.

    Attributes:
        name: the task.
        available: whether ``load`` finds them on this machine, without any network.
        where: the place that they come from; else empty.
        how: the ways to get them; empty where they are at hand.
    """

    name: str
    available: bool
    where: str
    how: str = ""


TASKS: dict[str, TaskEntry] = {
    "digits": TaskEntry(
        module="bslib.data.digits",
        train_examples=1_200,
        default_examples=1_200,
        summary="1,797 real handwritten digits, 8x8, that ship in scikit-learn",
    ),
    "mnist1d": TaskEntry(
        module="bslib.data.mnist1d",
        train_examples=None,
        default_examples=4_000,
        summary="MNIST-1D: ten classes of 40-value signals, generated, any number",
    ),
    "fashion-mnist": TaskEntry(
        module="bslib.data.fashion_mnist",
        train_examples=50_000,
        default_examples=50_000,
        summary="70,000 real images of clothing, 28x28, through torchvision",
    ),
    "cifar10": TaskEntry(
        module="bslib.data.cifar10",
        train_examples=45_000,
        default_examples=45_000,
        summary="60,000 real colour photographs, 32x32, through torchvision",
    ),
    "python-source": TaskEntry(
        module="bslib.data.python_source",
        train_examples=100_000,
        default_examples=20_000,
        summary="windows of bytes of this interpreter's standard library: the next byte each time",
    ),
    "teacher-student": TaskEntry(
        module="bslib.data.teacher_student",
        train_examples=None,
        default_examples=2_000,
        summary="labels of a random network, 15 % of them wrong, any number of examples",
    ),
    "linear-regression": TaskEntry(
        module="bslib.data.linear_regression",
        train_examples=None,
        default_examples=2_000,
        summary="isotropic Gaussian least squares with known weights and noise",
    ),
    "noisy-quadratic": TaskEntry(
        module="bslib.data.noisy_quadratic",
        train_examples=None,
        default_examples=2_000,
        summary="noisy quadratic model: curvature and gradient variance 1/j along axis j",
    ),
}


def entry(name: str) -> TaskEntry:
    """Return the registry's entry for a task.

    Raises:
        Refusal: no task has that name.
    """
    if name not in TASKS:
        raise Refusal(f"task {name!r} is unknown; the tasks are: {', '.join(TASKS)}")
    return TASKS[name]
