"""Every task by name: what is refused, what a seed decides, what stays the same."""

import importlib
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from bslib import data
from bslib.refusal import Refusal

EMBEDDED = ["digits", "mnist1d", "linear-regression", "noisy-quadratic", "teacher-student"]


def same(a: data.Examples, b: data.Examples) -> bool:
    return torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)


def rows(examples: data.Examples) -> set[bytes]:
    return {row.numpy().tobytes() for row in examples.inputs}


def test_importing_data_imports_no_torch() -> None:
    """The registry is there without torch and without any task's module."""
    heavy = "{'torch', 'sklearn', 'torchvision', 'mnist1d', 'pandas', 'bslib.data.digits'}"
    code = f"import sys, bslib.data; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_unknown_task_lists_the_tasks() -> None:
    """An unknown name is refused with the names that there are."""
    with pytest.raises(Refusal, match=r"'imagenet'.*digits, mnist1d, fashion-mnist"):
        data.load("imagenet")


@pytest.mark.parametrize("examples", [0, -1, 2.5, True, "many", 1_201])
def test_impossible_numbers_of_examples_are_refused(examples: object) -> None:
    """Zero, negative, fractional, worded or too many examples are refused by name."""
    with pytest.raises(Refusal, match="examples"):
        data.load("digits", examples=examples)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True])
def test_impossible_seeds_are_refused(seed: object) -> None:
    """A seed outside 0..2^32-1, or no whole number, is refused."""
    with pytest.raises(Refusal, match="seed"):
        data.load("mnist1d", seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", data.TASKS)
def test_every_entry_has_its_module(name: str) -> None:
    """A registered module loads, and says where its own data are without loading them."""
    module = importlib.import_module(data.entry(name).module)
    assert callable(module.load)
    found = data.availability(name)
    assert found.name == name
    assert bool(found.where) == found.available
    assert bool(found.how) != found.available


@pytest.mark.parametrize("name", EMBEDDED)
def test_entry_counts_what_load_gives(name: str) -> None:
    """The registry's count is the loaded task's, by default and on request."""
    assert data.entry(name).count() == len(data.load(name).train)
    assert data.entry(name).count(123) == 123 == len(data.load(name, examples=123).train)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_seed_decides_the_training_examples_only(name: str) -> None:
    """One seed gives equal tasks; two give other training examples and the same held-out ones."""
    first, again, other = (data.load(name, examples=300, seed=seed) for seed in (1, 1, 2))
    assert first.checksum == again.checksum != other.checksum
    assert same(first.train, again.train)
    assert not torch.equal(first.train.inputs, other.train.inputs)
    assert same(first.validation, other.validation)
    assert same(first.test, other.test)


@pytest.mark.parametrize("name", EMBEDDED)
def test_subsets_are_nested(name: str) -> None:
    """For one seed, fewer examples are the first of more."""
    few, more = (data.load(name, examples=count, seed=5) for count in (101, 1_000))
    assert same(few.train, more.train.subset(range(101)))


@pytest.mark.parametrize("name", EMBEDDED)
def test_splits_share_no_example(name: str) -> None:
    """No input is in two of training, validation and test, and none is there twice."""
    task = data.load(name)
    parts = (task.train, task.validation, task.test)
    assert len(set.union(*(rows(part) for part in parts))) == sum(len(part) for part in parts)


@pytest.mark.parametrize("name", EMBEDDED)
def test_global_generators_are_left_alone(name: str) -> None:
    """Loading draws nothing from the generators of Python, numpy and torch."""
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    data.load(name, examples=50)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("name", EMBEDDED)
def test_shapes_types_and_losses_fit(name: str) -> None:
    """Inputs are float32 and finite, classes int64 in range, and nothing needs the network."""
    task = data.load(name, examples=64, device="cpu")
    assert task.name == name
    assert task.train.inputs.dtype == torch.float32
    assert torch.isfinite(task.train.inputs).all()
    assert (task.kind == "classification") == (task.classes is not None)
    if task.classes is not None:
        assert task.train.targets.dtype == torch.int64
        assert set(task.train.targets.tolist()) == set(range(task.classes))


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_tasks_have_nothing_to_fetch_or_copy(name: str, tmp_path: object) -> None:
    """What ships or is generated is there at once, and has no files to carry."""
    assert data.fetch(name).available
    assert data.copy(name, tmp_path) is None  # type: ignore[arg-type]
