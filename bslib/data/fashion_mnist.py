"""Fashion-MNIST: 60,000 + 10,000 real images of clothing, 28x28, through torchvision.

Xiao, Rasul and Vollgraf (2017, arXiv:1708.07747). Of the 60,000, 50,000 are for training and
10,000 for validation, a fixed split at random.
"""

import gzip
import hashlib
import shutil
import zlib
from pathlib import Path

import torch

from bslib.data import vision
from bslib.data.registry import Availability
from bslib.data.storage import Collection, cache
from bslib.data.task import Examples, Task
from bslib.refusal import Refusal

MEAN, DEVIATION = 0.2860, 0.3530  # of the 60,000 images' pixels, as fractions of white
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

# SHA-256 of the original files, unpacked.
ORIGINALS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
WAYS = (
    "on a machine that has it run `bslib data fashion-mnist --to DIR`, carry DIR here and set "
    "BSLIB_DATA to it",
    "install Debian's package dataset-fashion-mnist",
    "with a network, `bslib data fashion-mnist` downloads it through torchvision",
)


def load(examples: int, seed: int) -> Task:
    """Load Fashion-MNIST: inputs (N, 1, 28, 28), standardised over all pixels."""
    root = fetch()
    train, test = _read(root, train=True), _read(root, train=False)
    validation = len(train) // 6
    if examples > len(train) - validation:
        count = f"{len(train) - validation:,} training examples"
        raise Refusal(f"fashion-mnist: {examples:,} asked for, but {root} holds {count}")
    return vision.task(
        "fashion-mnist",
        train,
        test,
        validation=validation,
        examples=examples,
        seed=seed,
        scale=lambda pixels: (pixels.unsqueeze(1) / 255 - MEAN) / DEVIATION,
        model="mlp",
    )


def availability() -> Availability:
    """Say where the images are, or how to get them."""
    root = FILES.find()
    if root is not None:
        return Availability("fashion-mnist", True, str(root / FILES.folder))
    if DEBIAN.is_dir():
        return Availability("fashion-mnist", True, f"Debian's package, {DEBIAN}")
    return Availability("fashion-mnist", False, "", FILES.how())


def fetch() -> Path:
    """Return the root that holds the files, verified; unpack or download them where needed."""
    root = FILES.find()
    if root is not None:
        FILES.verify(root)
        return root
    return _unpack() if DEBIAN.is_dir() else vision.download(FILES, _download)


def copy(to: Path) -> Path:
    """Copy the files under ``to``, and return their folder."""
    return FILES.copy(fetch(), to)


def examine(path: Path) -> str:
    """Say what is wrong with a file in the IDX format; "" where nothing is.

    The header gives the shape, and the shape the size. A file with as many examples as the
    original has to be the original.
    """
    content = path.read_bytes()
    dimensions = 3 if "idx3" in path.name else 1
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < header:
        return "is damaged: it does not start as an IDX file of bytes does"
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    size = header + torch.Size(shape).numel()
    if len(content) != size:
        return f"is damaged: {len(content):,} bytes, where its header asks for {size:,}"
    if dimensions == 3 and shape[1:] != [28, 28]:
        return f"is damaged: its images are {shape[1]}x{shape[2]}, not 28x28"
    if dimensions == 1 and max(content[header:], default=0) > 9:
        return "is damaged: a label is above 9"
    original = 60_000 if path.name.startswith("train") else 10_000
    if shape[0] == original and hashlib.sha256(content).hexdigest() != ORIGINALS[path.name]:
        return "is damaged: its SHA-256 is not that of the original"
    return ""


FILES = Collection("fashion-mnist", "FashionMNIST/raw", tuple(ORIGINALS), examine, WAYS)


def _unpack() -> Path:
    with FILES.installing(cache(), str(DEBIAN)) as incoming:
        folder = incoming / FILES.folder
        folder.mkdir(parents=True)
        for name in FILES.files:
            packed = DEBIAN / f"{name}.gz"
            try:
                with gzip.open(packed) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            except (OSError, EOFError, zlib.error) as error:
                fault = f"{packed} is missing or damaged ({error})"
                cure = "reinstall Debian's package dataset-fashion-mnist"
                raise Refusal(f"fashion-mnist: {fault}; {cure}; or {FILES.how()}") from error
    return cache()


def _download(root: Path) -> None:
    vision.datasets().FashionMNIST(root, download=True)
    for packed in (root / FILES.folder).glob("*.gz"):
        packed.unlink()


def _read(root: Path, *, train: bool) -> Examples:
    images = vision.datasets().FashionMNIST(root, train=train)
    if len(images.data) != len(images.targets):
        part = "train" if train else "t10k"
        counts = f"{len(images.data):,} images and {len(images.targets):,} labels"
        fault = f"the {part} files under {root / FILES.folder} hold {counts}"
        raise Refusal(f"fashion-mnist: {fault}; {FILES.how()}")
    return Examples(images.data, images.targets)
