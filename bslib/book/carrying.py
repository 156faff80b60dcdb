"""A run carried between machines: packed into archive parts, and unpacked into a run folder.

A GPU is often elsewhere, and for minutes at a time: what it records comes home in pieces, and
each unpacked piece leaves a run that is valid and goes on growing.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bslib.book import parts
from bslib.book.run_folder import RECORD, Record, RunFolder, file_hash, write_atomically
from bslib.book.runner import admit
from bslib.refusal import Refusal

LIMIT_BYTES = 16_000_000
CACHE = ".cache"
PASSING = (".lock", ".unfinished", ".tmp")  # what the cache holds for a moment only


def pack(
    folder: RunFolder, to: Path, *, limit_bytes: int = LIMIT_BYTES, cache: bool = False
) -> list[Path]:
    """Write what a run holds as parts of fewer than ``limit_bytes`` each; return their paths.

    Args:
        folder: a run, complete or not; nobody may be writing into it.
        to: an empty folder, or a new one.
        cache: take the shared sweeps along too, so that the run can go on elsewhere.

    Raises:
        Refusal: the run's files are not those that it recorded, or ``to`` holds something.
    """
    folder.read()
    with folder.lock():
        files = dict(_files(folder, cache))
    return parts.write(files, to, folder.root.resolve().name, limit_bytes=limit_bytes)


def unpack(paths: Sequence[Path], folder: RunFolder) -> Record:
    """Put a pack's run into ``folder``; return the record that the pack held.

    The parts may come in any order, and nothing is written before all of them are found whole.
    A new folder appears at once. Into one that holds a run, notebooks go one by one: what the
    pack lists as ok replaces, the rest stays. Whatever stops that leaves a valid run, and
    unpacking again completes it.

    Raises:
        Refusal: a part is missing, damaged or another pack's, a file does not belong into a
            run, or the folder holds something else than a run of the same profile.
    """
    files = parts.read(paths)
    folder = RunFolder(folder.root.resolve())
    _refuse_outside(folder.root, files)
    folder.root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.root.parent, prefix=".unpack-") as work:
        stage = RunFolder(Path(work) / "run")
        write_atomically(stage.root / RECORD, files.get(RECORD, b""))
        record = stage.read()
        _refuse_unlisted(record, files)
        admit(folder, record.profile)
        if folder.exists():
            with folder.lock():
                _merge(folder, record, files)
            return record
        for path, content in files.items():
            write_atomically(stage.root / path, content)
        stage.root.replace(folder.root)
    return record


def _files(folder: RunFolder, cache: bool) -> Iterator[tuple[str, bytes]]:
    """Yield a run's files by name, its record first."""
    record = folder.read()
    yield RECORD, (folder.root / RECORD).read_bytes()
    for path, entry in sorted(record.notebooks.items()):
        file = folder.root / path
        whole = file.is_file() and file_hash(file) == entry.file_hash
        if entry.status == "ok" and not whole:
            raise Refusal(
                f"{file} is not the file that was recorded: `bslib verify` tells more, and "
                "`bslib run --resume` records it again"
            )
        if whole:
            yield path, file.read_bytes()
    for file in sorted((folder.root / CACHE).rglob("*")) if cache else ():
        if file.is_file() and file.suffix not in PASSING:
            yield file.relative_to(folder.root).as_posix(), file.read_bytes()


def _refuse_outside(root: Path, files: Iterable[str]) -> None:
    """Refuse names that lead out of the folder, by themselves or through a link that is there."""
    for path in files:
        pure = PurePosixPath(path)
        plain = path == pure.as_posix() and not {"\\", "\0", ":"} & set(path)
        inside = pure.parts and ".." not in pure.parts and not pure.is_absolute()
        if not (plain and inside and (root / path).resolve().is_relative_to(root)):
            raise Refusal(f"the pack holds {path!r}, which leads out of {root}: it is no run")


def _refuse_unlisted(record: Record, files: Mapping[str, bytes]) -> None:
    """Refuse a pack whose files are not those that its record lists."""
    for path in files:
        if path not in (RECORD, *record.notebooks) and not path.startswith(f"{CACHE}/"):
            raise Refusal(f"the pack holds {path!r}, which its {RECORD} does not list")
    for path, entry in record.notebooks.items():
        if entry.status == "ok" and parts.sha256(files.get(path, b"")) != entry.file_hash:
            raise Refusal(f"the pack does not hold {path!r} as its {RECORD} lists it")


def _merge(folder: RunFolder, incoming: Record, files: Mapping[str, bytes]) -> None:
    before = folder.read()
    for path, content in files.items():
        if path.startswith(f"{CACHE}/"):
            write_atomically(folder.root / path, content)
    newer = before if before.started > incoming.started else incoming
    record = replace(newer, notebooks=before.notebooks)
    for path, entry in incoming.notebooks.items():
        if entry.status == "ok" or path not in before.notebooks:
            notebook = files[path].decode() if path in files else None
            record = folder.store(record, path, entry, notebook)
    # Each run knows of its own time only; the notebooks' times tell of both.
    seconds = sum(each.seconds for each in record.notebooks.values())
    folder.write(replace(record, seconds=round(seconds, 2)))
