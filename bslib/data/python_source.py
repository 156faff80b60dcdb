"""Python's own source: windows of bytes of the running interpreter's standard library.

A text corpus of several megabytes that every machine has. An example is a window of ``CONTEXT``
bytes; its targets are the byte that follows, at every position. The corpus is that of the
interpreter at hand, so a task's checksum tells versions of Python apart.
"""

import sys
import sysconfig
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bslib.data.losses import NextTokenCrossEntropy
from bslib.data.registry import Availability
from bslib.data.streams import take
from bslib.data.task import Examples, Task, checksum
from bslib.refusal import Refusal

CONTEXT = 64
# ASCII. One byte in several thousand lies above; all of these become 127, which does not occur.
TOKENS = 128
VALIDATION, TEST = 1_000, 1_000

# Folders of tests and their data, of tables that are near copies of each other, and of prose.
SKIPPED = {"test", "tests", "idle_test", "lib2to3", "_bundled", "encodings", "pydoc_data"}
HOW = "use an interpreter whose standard library is installed as source files"


def load(examples: int, seed: int) -> Task:
    """Load windows: inputs (N, 64) hold byte numbers as floats, targets (N, 64) as int64.

    Nine parts in ten of the files, told apart by a hash of their names, are for training;
    the others' windows are shared out between validation and test, file by file. No window
    overlaps another but for the byte that ends one's targets and begins the next one's inputs.
    """
    cut: dict[str, list[torch.Tensor]] = {"train": [], "validation": [], "test": []}
    for name in files():
        cut[part_of(name)].append(_windows(folder() / name))
    train = _examples("train", cut["train"], examples, seed)
    validation = _examples("validation", cut["validation"], VALIDATION)
    test = _examples("test", cut["test"], TEST)
    return Task(
        name="python-source",
        train=train,
        validation=validation,
        test=test,
        loss=NextTokenCrossEntropy(),
        kind="classification",
        classes=TOKENS,
        model="transformer",
        checksum=checksum(train, validation, test),
    )


def availability() -> Availability:
    """Say where the source files are."""
    if next(files(), None) is None:
        return Availability("python-source", False, "", HOW)
    return Availability("python-source", True, f"this interpreter's source, {folder()}")


def folder() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def files() -> Iterator[Path]:
    """Yield the files that are read, relative to the folder, in the order of their names."""
    for top in sorted(folder().glob("*")):
        if top.name.removesuffix(".py") in sys.stdlib_module_names:
            for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
                name = path.relative_to(folder())
                if not SKIPPED & set(name.parts):
                    yield name


def part_of(name: Path) -> str:
    """Return the part that a file belongs to; it depends on nothing but the file's name."""
    share = zlib.crc32(name.as_posix().encode()) % 20
    return {0: "validation", 1: "test"}.get(share, "train")


def _windows(path: Path) -> torch.Tensor:
    """Cut a file into windows (W, CONTEXT + 1) of bytes; what is left over at its end is lost."""
    tokens = np.minimum(np.fromfile(path, np.uint8), TOKENS - 1)
    if len(tokens) <= CONTEXT:
        return torch.empty(0, CONTEXT + 1, dtype=torch.uint8)
    return torch.from_numpy(tokens).unfold(0, CONTEXT + 1, CONTEXT)


def _examples(part: str, cut: list[torch.Tensor], count: int, seed: int = 0) -> Examples:
    """Return ``count`` of a part's windows at random, as inputs and targets."""
    windows = torch.cat([torch.empty(0, CONTEXT + 1, dtype=torch.uint8), *cut])
    if len(windows) < count:
        counts = f"{count:,} {part} examples asked for, and {folder()} has {len(windows):,}"
        raise Refusal(f"python-source: {counts}; ask for fewer, or {HOW}")
    chosen = take("python-source", Examples(windows[:, :-1], windows[:, 1:]), count, seed)
    return Examples(chosen.inputs.float(), chosen.targets.long())
