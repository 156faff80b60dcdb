"""CIFAR-10's files: small ones in the real format, damaged ones, and a download's failure."""

import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from bslib import data
from bslib.data import cifar10, storage, vision
from bslib.refusal import Refusal

FOLDER = "cifar-10-batches-py"
BATCHES = [f"data_batch_{i}" for i in range(1, 6)]


def small_files() -> dict[str, bytes]:
    """Pickle batches of 20 images as the original does: rows of 3,072 bytes, channel by channel."""
    random = np.random.default_rng(0)
    files = {"batches.meta": pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})}
    for name in [*BATCHES, "test_batch"]:
        pixels = random.integers(0, 256, (20, 3072), dtype=np.uint8)
        files[name] = pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]})
    return files


FILES = small_files()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give an empty cache and no network; the small files count as the originals."""
    monkeypatch.delenv("BSLIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(cifar10, "ORIGINALS", sums)
    dataset = vision.datasets().CIFAR10
    monkeypatch.setattr(dataset, "train_list", [[name, sums[name]] for name in BATCHES])
    monkeypatch.setattr(dataset, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": sums["batches.meta"]})
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", unreachable)


def unreachable(*args: object, **kwargs: object) -> None:
    raise URLError("no network in tests")


def write(root: Path) -> Path:
    (root / FOLDER).mkdir(parents=True)
    for name, content in FILES.items():
        (root / FOLDER / name).write_bytes(content)
    return root / FOLDER


def test_small_files_load_as_they_are() -> None:
    """Pixels come back channel by channel, scaled; 100 images split into 90 and 10."""
    write(storage.cache())
    task = data.load("cifar10", examples=90)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [90, 10, 20]
    assert task.train.inputs.dtype == torch.float32
    means = torch.tensor(cifar10.MEANS).reshape(3, 1, 1)
    deviations = torch.tensor(cifar10.DEVIATIONS).reshape(3, 1, 1)
    pixels = ((task.test.inputs * deviations + means) * 255).round().byte()
    stored = pickle.loads(FILES["test_batch"])["data"].reshape(20, 3, 32, 32)
    assert torch.equal(pixels, torch.from_numpy(stored))
    assert task.test.targets.tolist() == [i % 10 for i in range(20)]


def test_the_checksums_are_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The originals' MD5 that stand in this package are those that torchvision holds."""
    monkeypatch.undo()
    dataset = vision.datasets().CIFAR10
    theirs = {name: digest for name, digest in dataset.train_list + dataset.test_list}
    theirs[dataset.meta["filename"]] = dataset.meta["md5"]
    assert theirs == cifar10.ORIGINALS


def test_default_is_not_cut_to_small_files() -> None:
    """The default of 45,000 is refused where the files hold fewer."""
    write(storage.cache())
    with pytest.raises(Refusal, match=r"45,000 asked for, but .* holds 90"):
        data.load("cifar10")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_not_unpickled(name: str) -> None:
    """A changed file is refused by name before it is opened as a pickle."""
    (write(storage.cache()) / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(Refusal, match=rf"{name} is damaged.*BSLIB_DATA"):
        data.load("cifar10", examples=5)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str) -> None:
    """A missing file is refused by name."""
    (write(storage.cache()) / name).unlink()
    with pytest.raises(Refusal, match=rf"{name} is missing"):
        data.fetch("cifar10")


def test_nothing_at_hand_names_the_ways() -> None:
    """Without files and network the refusal names both ways, and nothing is left."""
    assert not data.availability("cifar10").available
    with pytest.raises(Refusal, match=r"no network in tests.*BSLIB_DATA.*torchvision"):
        data.load("cifar10")
    assert list(storage.cache().iterdir()) == []


def test_a_download_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchvision unpacks is moved to the cache, without the archive."""

    def serve(url: str, root: str, filename: str, md5: str) -> None:
        write(Path(root))
        Path(root, filename).write_bytes(b"archive")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", serve)
    assert data.fetch("cifar10").where == str(storage.cache() / FOLDER)
    assert {path.name for path in storage.cache().rglob("*") if path.is_file()} == set(FILES)


def test_a_copied_folder_serves_as_bslib_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What copy writes is what BSLIB_DATA needs on another machine."""
    write(storage.cache())
    before = data.load("cifar10", examples=20).checksum
    data.copy("cifar10", tmp_path / "carried")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("BSLIB_DATA", str(tmp_path / "carried"))
    assert data.load("cifar10", examples=20).checksum == before
