"""A sweep that several notebooks need is computed once a run, and read by the others.

The runner names a folder in the environment variable ``BSLIB_CACHE``; without it a result is
kept in memory only, so that a notebook runs alone. A result's key is made of the function,
its arguments, the source of this package and the device: nothing stale can be read.

Stored as JSON text, written by this module alone: numbers keep every bit (Python writes the
shortest text that reads back as the same number), and reading it runs no code. Parallel
processes wait on a lock that the operating system drops when its holder dies, and a result
appears under its name only when whole, so a killed process leaves nothing that is in the way.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pandas as pd
from filelock import FileLock

Frames = Mapping[str, pd.DataFrame]
Progress = Callable[[int, int], None]  # (done, total)

FOLDER = "BSLIB_CACHE"
_KINDS = {"i": "int64", "u": "int64", "f": "float64", "b": "bool"}
_memory: dict[str, str] = {}


def shared(
    function: Callable[..., Frames], *, progress: Progress | None = None, **arguments: Any
) -> dict[str, pd.DataFrame]:
    """Return ``function(**arguments)``, computed by whoever asks first.

    Args:
        function: module-level, deterministic, returns tables by name. Their columns hold
            whole numbers, floats, truth values or words, and come back as int64, float64,
            bool and str; a table's index is not kept.
        progress: handed on to ``function``, where given; not a part of the key.
        **arguments: numbers, words, None, and lists and mappings of them.

    Raises:
        TypeError: an argument, or a column, is of another kind.
    """
    key = _key(function, arguments)
    folder = os.environ.get(FOLDER, "")
    if key not in _memory and folder:
        path = Path(folder) / f"{function.__name__}-{key[:32]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                _write(path, encode(_call(function, arguments, progress)))
            _memory[key] = path.read_text(encoding="utf-8")
    elif key not in _memory:
        _memory[key] = encode(_call(function, arguments, progress))
    return decode(_memory[key])


def forget() -> None:
    """Drop what is kept in this process's memory; the folder keeps what it holds."""
    _memory.clear()


def _call(
    function: Callable[..., Frames], arguments: Mapping[str, Any], progress: Progress | None
) -> Frames:
    return function(**arguments, **({} if progress is None else {"progress": progress}))


def _key(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Hash everything that the result depends on."""
    parts = [function.__module__, function.__qualname__, _canonical(arguments)]
    parts += [source_hash(), _file_hash(function), metadata.version("torch"), platform.machine()]
    if isinstance(arguments.get("device"), str):
        from bslib import device  # imports torch, which reading alone does not need

        parts.append(device.describe(device.resolve(arguments["device"])))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _canonical(arguments: Mapping[str, Any]) -> str:
    # Refuses what JSON does not know: repr() or str() of an object could hide a difference.
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"))


@cache
def source_hash() -> str:
    """Hash the whole package: coarser than what a function imports, and never too fine.

    A change of code between two notebooks of one run is rare, and then costs one sweep.
    """
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _file_hash(function: Callable[..., Any]) -> str:
    path = function.__code__.co_filename
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).exists() else path


def _write(path: Path, text: str) -> None:
    # One writer at a time holds the lock, so a leftover of a killed one is overwritten.
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def encode(frames: Frames) -> str:
    """Write tables as JSON text that :func:`decode` reads back bit by bit."""
    tables = {
        name: {str(column): _encode_column(frame[column]) for column in frame.columns}
        for name, frame in frames.items()
    }
    return json.dumps(tables, separators=(",", ":"))


def _encode_column(column: "pd.Series[Any]") -> dict[str, Any]:
    kind = _KINDS.get(column.dtype.kind)
    if kind is not None:
        return {"type": kind, "values": column.to_numpy().astype(kind).tolist()}
    values = column.tolist()
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"column {column.name!r} holds neither numbers nor words only")
    return {"type": "str", "values": values}


def decode(text: str) -> dict[str, pd.DataFrame]:
    """Read what :func:`encode` wrote."""
    tables = cast(dict[str, dict[str, dict[str, Any]]], json.loads(text))
    return {
        name: pd.DataFrame(
            {key: pd.Series(part["values"], dtype=part["type"]) for key, part in columns.items()}
        )
        for name, columns in tables.items()
    }
