"""Windows of the interpreter's own source: what is read, how it is cut and shared out."""

import re
import sys
from pathlib import Path

import pytest
import torch

from bslib import data
from bslib.data import python_source
from bslib.refusal import Refusal

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("python-source", examples=500)


def text(windows: torch.Tensor) -> str:
    return bytes(windows.byte().flatten().tolist()).decode("ascii")


def library(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: bytes) -> None:
    """A standard library of these files, in the place of the interpreter's."""
    for name, content in files.items():
        (folder / f"{name}.py").write_bytes(content)
    monkeypatch.setattr(python_source, "folder", lambda: folder)
    monkeypatch.setattr(python_source, "VALIDATION", 1)
    monkeypatch.setattr(python_source, "TEST", 1)
    monkeypatch.setattr(python_source, "part_of", lambda name: name.stem)
    monkeypatch.setattr(sys, "stdlib_module_names", frozenset(files))


def test_a_target_is_the_next_byte(task: data.Task) -> None:
    """Within a window every target is the next position's input; numbers are ASCII's."""
    for part in (task.train, task.validation, task.test):
        assert part.inputs.shape == part.targets.shape == (len(part), 64)
        assert torch.equal(part.inputs[:, 1:], part.targets[:, :-1].float())
        assert 0 <= part.targets.min() <= part.targets.max() < 128
    assert len(task.validation) == len(task.test) == 1_000


def test_windows_are_source_text(task: data.Task) -> None:
    """The words of the language are there, as they are in no random bytes."""
    assert len(re.findall(r"\b(?:def|return|self|import)\b", text(task.train.inputs))) > 100


def test_load_is_the_same_twice_and_seeds_choose_windows(task: data.Task) -> None:
    """One seed gives equal tasks, another other training windows and the same held-out ones."""
    assert data.load("python-source", examples=500).checksum == task.checksum
    other = data.load("python-source", examples=500, seed=1)
    assert not torch.equal(other.train.inputs, task.train.inputs)
    assert torch.equal(other.validation.inputs, task.validation.inputs)
    more = data.load("python-source", examples=800)
    assert torch.equal(more.train.inputs[:500], task.train.inputs)


def test_files_are_the_librarys_sorted_and_without_tests() -> None:
    """Every file is a source of the standard library; tests and installed packages are not read."""
    files = list(python_source.files())
    assert len(files) == len(set(files)) > 100
    assert files == sorted(files, key=lambda name: (name.parts[0], name))
    assert Path("argparse.py") in files
    skipped = {"site-packages", "test", "tests", "encodings", "lib2to3"}
    assert not [name for name in files if skipped & set(name.parts)]


def test_parts_share_no_file() -> None:
    """Each part has files, and a file's name alone decides which part it is in."""
    assert {python_source.part_of(name) for name in python_source.files()} == set(PARTS)
    assert python_source.part_of(Path("argparse.py")) == python_source.part_of(Path("argparse.py"))


def test_windows_follow_on_within_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three windows of one file continue each other; a rest, and a file too short, are left."""
    content = bytes(range(32, 127)) * 3  # 285 bytes: four windows of 64 and a byte to end the last
    library(
        tmp_path, monkeypatch, train=content, validation=content, test=content + b"x", short=b"x"
    )
    monkeypatch.setattr(
        python_source, "part_of", lambda name: "train" if name.stem == "short" else name.stem
    )
    train = data.load("python-source", examples=4).train
    assert text(train.inputs) == content[:256].decode()
    assert text(train.targets) == content[1:257].decode()


def test_bytes_above_ascii_become_one_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies above ASCII is 127, byte by byte."""
    content = "é".encode() * 40
    library(tmp_path, monkeypatch, train=content, validation=content, test=content)
    assert set(data.load("python-source", examples=1).train.inputs.unique().tolist()) == {127.0}


def test_more_than_there_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many examples, and an interpreter without sources, are refused with a way out."""
    with pytest.raises(Refusal, match="100,000 training examples"):
        data.load("python-source", examples=100_001)
    library(tmp_path, monkeypatch, train=b"x" * 100, validation=b"x" * 100, test=b"x" * 100)
    with pytest.raises(Refusal, match=r"2 train examples asked for, and .* has 1; ask for fewer"):
        data.load("python-source", examples=2)
    (tmp_path / "train.py").unlink()
    with pytest.raises(Refusal, match="has 0"):
        data.load("python-source", examples=1)
    monkeypatch.setattr(sys, "stdlib_module_names", frozenset())
    assert not data.availability("python-source").available


def test_the_loss_is_the_mean_over_positions() -> None:
    """One number an example, for one model or several: the mean of its positions' own."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 2, 5, 7, generator=generator, dtype=torch.float64)
    targets = torch.randint(7, (2, 5), generator=generator)
    losses = data.NextTokenCrossEntropy()(outputs, targets)
    each = torch.nn.functional.cross_entropy(outputs[1, 0], targets[0])
    assert losses.shape == (3, 2)
    torch.testing.assert_close(losses[1, 0], each)
