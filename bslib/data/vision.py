"""torchvision's data sets: importing it anywhere, downloading, and making tasks of images."""

import importlib
import importlib.util
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from bslib.data.losses import CrossEntropy
from bslib.data.storage import Collection, cache
from bslib.data.streams import split, take
from bslib.data.task import Examples, Task, checksum
from bslib.refusal import Refusal

PATIENCE_S = 20.0  # how long a download may stall before it is given up

_declared: list[torch.library.Library] = []  # a declaration lasts as long as its library


def datasets() -> Any:
    """Import ``torchvision.datasets``, also where torchvision was built for another torch.

    The package index's torchvision is built for CUDA. Beside a CPU-only torch its compiled
    operators cannot be loaded, and its import fails on the two whose schemas it looks up in
    Python; the data sets need neither, so the schemas are declared in their place.
    """
    if "torchvision" not in sys.modules and not operators_load():
        declare_operators()
    with warnings.catch_warnings():
        # Older torchvisions warn so where the extension for reading image files is missing.
        warnings.filterwarnings("ignore", "Failed to load image Python extension", UserWarning)
        return importlib.import_module("torchvision.datasets")


def operators_load() -> bool:
    """Say whether torchvision's compiled operators can be loaded into this torch."""
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    libraries = [path for folder in folders or [] for path in Path(folder).glob("_C.*")]
    try:
        for library in libraries:
            torch.ops.load_library(library)
    except OSError:
        return False
    return bool(libraries)


def declare_operators() -> None:
    """Declare the schemas of ``torchvision::nms`` and ``qnms``, without an implementation."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


def download(collection: Collection, construct: Callable[[Path], object]) -> Path:
    """Download into the cache through a torchvision data set, and return the cache.

    Args:
        collection: the files that are wanted.
        construct: makes the data set under a root that it is given, with ``download=True``.

    Raises:
        Refusal: the download failed; nothing of it is kept.
    """
    with collection.installing(cache(), "torchvision's download") as incoming:
        try:
            with _patience():
                construct(incoming)
        except (OSError, RuntimeError, HTTPException) as error:
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            trouble = f"no data here, and torchvision's download failed ({reason[0]})"
            raise Refusal(f"{collection.task}: {trouble}; {collection.how()}") from error
    return cache()


def task(
    name: str,
    train: Examples,
    test: Examples,
    *,
    validation: int,
    examples: int,
    seed: int,
    scale: Callable[[torch.Tensor], torch.Tensor],
    model: str,
) -> Task:
    """Make a task of ten classes of images, stored as bytes and scaled once they are chosen."""
    train_rows, validation_rows = split(name, len(train), validation)
    chosen = take(name, train.subset(train_rows), examples, seed)
    parts = [
        Examples(scale(part.inputs), part.targets)
        for part in (chosen, train.subset(validation_rows), test)
    ]
    return Task(
        name=name,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        loss=CrossEntropy(),
        kind="classification",
        classes=10,
        model=model,
        checksum=checksum(*parts),
    )


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
