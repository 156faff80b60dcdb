"""CIFAR-10: 50,000 + 10,000 real colour photographs, 32x32, through torchvision.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). Of the 50,000, 45,000
are for training and 5,000 for validation, a fixed split at random.
"""

import hashlib
from pathlib import Path

import torch

from bslib.data import vision
from bslib.data.registry import Availability
from bslib.data.storage import Collection
from bslib.data.task import Examples, Task
from bslib.refusal import Refusal

# Mean and standard deviation of each channel over the 50,000 images, as fractions of white.
MEANS, DEVIATIONS = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

# MD5 of the original files, as torchvision has them; they are pickles: checked, then opened.
ORIGINALS = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
WAYS = (
    "on a machine that has it run `bslib data cifar10 --to DIR`, carry DIR here and set "
    "BSLIB_DATA to it",
    "with a network, `bslib data cifar10` downloads it through torchvision",
)


def load(examples: int, seed: int) -> Task:
    """Load CIFAR-10: inputs (N, 3, 32, 32), standardised channel by channel."""
    root = fetch()
    train, test = _read(root, train=True), _read(root, train=False)
    validation = len(train) // 10
    if examples > len(train) - validation:
        count = f"{len(train) - validation:,} training examples"
        raise Refusal(f"cifar10: {examples:,} asked for, but {root} holds {count}")
    return vision.task(
        "cifar10",
        train,
        test,
        validation=validation,
        examples=examples,
        seed=seed,
        scale=_scale,
        model="cnn",
    )


def availability() -> Availability:
    """Say where the images are, or how to get them."""
    root = FILES.find()
    if root is None:
        return Availability("cifar10", False, "", FILES.how())
    return Availability("cifar10", True, str(root / FILES.folder))


def fetch() -> Path:
    """Return the root that holds the files, verified; download them where needed."""
    root = FILES.find()
    if root is not None:
        FILES.verify(root)
        return root
    return vision.download(FILES, _download)


def copy(to: Path) -> Path:
    """Copy the files under ``to``, and return their folder."""
    return FILES.copy(fetch(), to)


def examine(path: Path) -> str:
    """Say what is wrong with a file; "" where it is the original."""
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if digest != ORIGINALS[path.name]:
        return "is damaged: its MD5 is not that of the original"
    return ""


FILES = Collection("cifar10", "cifar-10-batches-py", tuple(ORIGINALS), examine, WAYS)


def _download(root: Path) -> None:
    vision.datasets().CIFAR10(root, download=True)


def _read(root: Path, *, train: bool) -> Examples:
    images = vision.datasets().CIFAR10(root, train=train)
    pixels = torch.from_numpy(images.data).permute(0, 3, 1, 2)  # torchvision gives (N, 32, 32, 3)
    return Examples(pixels, torch.tensor(images.targets))


def _scale(pixels: torch.Tensor) -> torch.Tensor:
    means = torch.tensor(MEANS).reshape(3, 1, 1)
    return (pixels / 255 - means) / torch.tensor(DEVIATIONS).reshape(3, 1, 1)
