"""Fashion-MNIST's files: small ones in the real format, damaged ones, and the real 60,000."""

import gzip
import os
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from bslib import data
from bslib.data import fashion_mnist, storage
from bslib.refusal import Refusal

RAW = "FashionMNIST/raw"
REAL = Path("/usr/share/datasets/fashion-mnist")
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give an empty cache, no BSLIB_DATA, no Debian package and no network."""
    from bslib.data import vision

    vision.datasets()
    monkeypatch.delenv("BSLIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-package")
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", unreachable)


def unreachable(*args: object, **kwargs: object) -> None:
    raise URLError("no network in tests")


def idx(array: np.ndarray) -> bytes:
    """Encode bytes in the IDX format: two zeros, type 8, dimensions, shape, values."""
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def small_files(train: int = 60, test: int = 12) -> dict[str, bytes]:
    random = np.random.default_rng(0)
    files = {}
    for part, count in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, (count, 28, 28))
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    return files


def write(folder: Path, **changed: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, content in (small_files() | changed).items():
        (folder / name).write_bytes(content)
    return folder


def write_packed(folder: Path) -> Path:
    folder.mkdir()
    for name, content in small_files().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


def test_small_files_load_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a folder that BSLIB_DATA names, pixels and labels come back, scaled and split."""
    write(tmp_path / "data" / RAW)
    monkeypatch.setenv("BSLIB_DATA", str(tmp_path / "data"))
    task = data.load("fashion-mnist", examples=50)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [50, 10, 12]
    assert task.train.inputs.shape == (50, 1, 28, 28)
    assert task.train.inputs.dtype == torch.float32
    assert task.test.targets.tolist() == [i % 10 for i in range(12)]
    pixels = (task.test.inputs * fashion_mnist.DEVIATION + fashion_mnist.MEAN) * 255
    stored = np.frombuffer(small_files()["t10k-images-idx3-ubyte"][16:], np.uint8)
    assert pixels.round().byte().flatten().tolist() == stored.tolist()


def test_a_subset_is_seeded_and_the_split_is_not(tmp_path: Path) -> None:
    """A seed draws the training subset; validation and test stay."""
    write(storage.cache() / RAW)
    one, again, two = (data.load("fashion-mnist", examples=20, seed=seed) for seed in (1, 1, 2))
    assert one.checksum == again.checksum != two.checksum
    assert torch.equal(one.validation.inputs, two.validation.inputs)
    rows = [row.numpy().tobytes() for part in (one.train, one.validation) for row in part.inputs]
    assert len(set(rows)) == 30


def test_the_cache_serves_where_bslib_data_lacks_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """BSLIB_DATA is looked at first, the local cache next."""
    write(storage.cache() / RAW)
    monkeypatch.setenv("BSLIB_DATA", str(tmp_path))
    assert data.availability("fashion-mnist").where == str(storage.cache() / RAW)
    assert len(data.load("fashion-mnist", examples=5).train) == 5


def test_bslib_data_that_is_no_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A mistyped BSLIB_DATA is told, not passed over."""
    monkeypatch.setenv("BSLIB_DATA", str(tmp_path / "typo"))
    with pytest.raises(Refusal, match=r"BSLIB_DATA is .*typo"):
        data.load("fashion-mnist")


def test_more_examples_than_the_files_hold_are_refused() -> None:
    """The default of 50,000 is not quietly cut to what small files hold."""
    write(storage.cache() / RAW)
    with pytest.raises(Refusal, match=r"50,000 asked for, but .* holds 50 training"):
        data.load("fashion-mnist")


def test_nothing_at_hand_names_all_three_ways() -> None:
    """With no files, no package and no network the refusal names the three ways, and leaves
    nothing."""
    with pytest.raises(Refusal) as refusal:
        data.load("fashion-mnist")
    for way in ("BSLIB_DATA", "dataset-fashion-mnist", "torchvision", "no network in tests"):
        assert way in str(refusal.value)
    assert leftovers(storage.cache()) == []
    assert list(storage.cache().iterdir()) == []
    found = data.availability("fashion-mnist")
    assert not found.available
    assert "BSLIB_DATA" in found.how


GOOD = small_files()
DAMAGED = {
    "truncated images": ("train-images-idx3-ubyte", GOOD["train-images-idx3-ubyte"][:-1]),
    "truncated header": ("t10k-images-idx3-ubyte", GOOD["t10k-images-idx3-ubyte"][:9]),
    "empty": ("train-labels-idx1-ubyte", b""),
    "bytes to spare": ("t10k-labels-idx1-ubyte", GOOD["t10k-labels-idx1-ubyte"] + b"\0"),
    "wrong magic": ("train-images-idx3-ubyte", b"\1" + GOOD["train-images-idx3-ubyte"][1:]),
    "labels for images": ("t10k-images-idx3-ubyte", GOOD["t10k-labels-idx1-ubyte"]),
    "other image size": ("t10k-images-idx3-ubyte", idx(np.zeros((12, 14, 56)))),
    "label 10": ("train-labels-idx1-ubyte", idx(np.full(60, 10))),
    "not the original": ("t10k-labels-idx1-ubyte", idx(np.zeros(10_000))),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named(kind: str) -> None:
    """A damaged file is refused by name with the ways to get it, and is left as it is."""
    name, content = DAMAGED[kind]
    folder = write(storage.cache() / RAW, **{name: content})
    with pytest.raises(Refusal, match=rf"{name} is damaged.*remove the folder.*BSLIB_DATA"):
        data.load("fashion-mnist", examples=5)
    assert (folder / name).read_bytes() == content


@pytest.mark.parametrize("name", fashion_mnist.ORIGINALS)
def test_a_missing_file_is_named(name: str) -> None:
    """One file of four missing is refused by name: it is not made up for from elsewhere."""
    (write(storage.cache() / RAW) / name).unlink()
    with pytest.raises(Refusal, match=rf"{name} is missing"):
        data.fetch("fashion-mnist")


def test_labels_that_do_not_match_images_are_refused() -> None:
    """Sound files of different lengths are refused, with both counts."""
    write(storage.cache() / RAW, **{"train-labels-idx1-ubyte": idx(np.zeros(59))})
    with pytest.raises(Refusal, match="60 images and 59 labels"):
        data.load("fashion-mnist", examples=5)


def test_debians_package_is_unpacked_into_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The package's gzip files arrive unpacked under the cache, and nothing else does."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", write_packed(tmp_path / "package"))
    assert data.availability("fashion-mnist").available
    assert data.fetch("fashion-mnist").where == str(storage.cache() / RAW)
    found = {path.name: path.read_bytes() for path in leftovers(storage.cache())}
    assert found == small_files()
    assert len(data.load("fashion-mnist", examples=5).train) == 5


@pytest.mark.parametrize("fault", ["truncated", "not gzip", "missing", "damaged inside"])
def test_a_damaged_package_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    """Of a damaged package nothing reaches the cache; the refusal names the file."""
    name = "t10k-images-idx3-ubyte"
    packed = write_packed(tmp_path / "package") / f"{name}.gz"
    contents = {
        "truncated": packed.read_bytes()[:-200],
        "not gzip": b"plain",
        "damaged inside": gzip.compress(GOOD[name][:-5]),
    }
    packed.unlink()
    if fault in contents:
        packed.write_bytes(contents[fault])
    monkeypatch.setattr(fashion_mnist, "DEBIAN", packed.parent)
    with pytest.raises(Refusal, match=rf"{name}.*BSLIB_DATA"):
        data.load("fashion-mnist", examples=5)
    assert list(storage.cache().iterdir()) == []


def test_a_download_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchvision downloads is moved to the cache once it is all there, without archives."""

    def serve(url: str, download_root: str, filename: str, md5: str) -> None:
        content = small_files()[filename.removesuffix(".gz")]
        Path(download_root, filename).write_bytes(gzip.compress(content))
        Path(download_root, filename.removesuffix(".gz")).write_bytes(content)

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", serve)
    assert len(data.load("fashion-mnist", examples=5).train) == 5
    found = {path.name: path.read_bytes() for path in leftovers(storage.cache())}
    assert found == small_files()


@pytest.mark.parametrize("error", [URLError("gone"), TimeoutError("gone"), RuntimeError("gone")])
def test_a_broken_download_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A download that stops after a file is refused with its reason, and that file is removed."""

    def serve(url: str, download_root: str, filename: str, md5: str) -> None:
        if "t10k" in filename:
            raise error
        name = filename.removesuffix(".gz")
        Path(download_root, name).write_bytes(small_files()[name])

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", serve)
    with pytest.raises(Refusal, match=r"gone.*BSLIB_DATA"):
        data.fetch("fashion-mnist")
    assert list(storage.cache().iterdir()) == []


def test_an_interrupted_unpacking_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C in the middle of unpacking leaves no file behind."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", write_packed(tmp_path / "package"))

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fashion_mnist.shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.fetch("fashion-mnist")
    assert list(storage.cache().iterdir()) == []


def test_a_faster_process_keeps_its_files(tmp_path: Path) -> None:
    """Where the files appear while others are being unpacked, the first ones stay."""
    with fashion_mnist.FILES.installing(tmp_path, "a test") as incoming:
        write(incoming / RAW)
        first = write(tmp_path / RAW, **{"t10k-labels-idx1-ubyte": idx(np.ones(12))})
    assert (first / "t10k-labels-idx1-ubyte").read_bytes() == idx(np.ones(12))
    assert len(leftovers(tmp_path)) == 4


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_cache_that_cannot_be_written_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cache under a plain file is refused, with the variable that moves it."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", write_packed(tmp_path / "package"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(Refusal, match=r"cannot write under .*XDG_CACHE_HOME"):
        data.fetch("fashion-mnist")


def test_a_copied_folder_serves_as_bslib_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What copy writes is what BSLIB_DATA needs on another machine; twice does no harm."""
    write(storage.cache() / RAW)
    before = data.load("fashion-mnist", examples=20).checksum
    carried = tmp_path / "carried"
    assert data.copy("fashion-mnist", carried) == carried / RAW
    assert data.copy("fashion-mnist", carried) == carried / RAW
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("BSLIB_DATA", str(carried))
    assert data.load("fashion-mnist", examples=20).checksum == before
    assert len(leftovers(carried)) == 4


def test_copying_onto_damaged_files_is_refused(tmp_path: Path) -> None:
    """Damaged files in the destination are named, not overwritten."""
    write(storage.cache() / RAW)
    write(tmp_path / "to" / RAW, **{"t10k-labels-idx1-ubyte": b"mine"})
    with pytest.raises(Refusal, match=r"to.*t10k-labels-idx1-ubyte is damaged"):
        data.copy("fashion-mnist", tmp_path / "to")


@needs_real
def test_the_real_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's package gives the 60,000 + 10,000 images, split 50,000 / 10,000, standardised."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", REAL)
    task = data.load("fashion-mnist")
    assert [len(part) for part in (task.train, task.validation, task.test)] == [
        50_000,
        10_000,
        10_000,
    ]
    labels = torch.cat([task.train.targets, task.validation.targets])
    assert labels.bincount().tolist() == [6_000] * 10
    assert task.test.targets.bincount().tolist() == [1_000] * 10
    sums = [part.inputs.sum(dtype=torch.float64) for part in (task.train, task.validation)]
    squares = [part.inputs.double().square().sum() for part in (task.train, task.validation)]
    mean, square = (sum(each) / (60_000 * 784) for each in (sums, squares))
    rounding = 5e-5 / fashion_mnist.DEVIATION + 1e-6  # half of the constants' last decimal
    assert abs(mean) < rounding
    assert abs((square - mean**2).sqrt() - 1) < rounding


@needs_real
def test_a_flipped_bit_in_the_real_images_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the right size whose content is not the original's is refused."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", REAL)
    data.fetch("fashion-mnist")
    path = storage.cache() / RAW / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[1_000_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"t10k-images-idx3-ubyte is damaged: its SHA-256"):
        data.load("fashion-mnist", examples=5)
