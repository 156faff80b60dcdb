"""Files by name as archive parts below a limit, and back: whole, or not at all.

A part is a tar file. Its first member says which part it is of which pack, and lists the pieces of
files that it holds, with their checksums; its own is in its name. So a part that is missing,
damaged or of another pack shows. The same files give the same bytes. A file larger than a part
travels in several pieces. Everything is held in memory at once.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bslib.book.run_folder import write_atomically
from bslib.refusal import Refusal

FORMAT = 1
LISTING = "bslib-part-"  # how the first member's name begins
# No less than a piece, and a part, take beside the files' own bytes: headers, padding, listing.
PIECE_BYTES, PART_BYTES = 4_096, 16_384
LEAST_BYTES = 65_536


@dataclass(frozen=True)
class Piece:
    """Bytes of one file, from ``offset`` on."""

    path: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """What a part says of itself: its number (from 1) among ``parts`` of a pack, its pieces.

    ``pack`` is the checksum of all pieces' checksums: the pack's name.
    """

    pack: str
    part: int
    parts: int
    pieces: tuple[Piece, ...]


def write(files: Mapping[str, bytes], to: Path, name: str, *, limit_bytes: int) -> list[Path]:
    """Write files as parts of fewer than ``limit_bytes`` each; return the parts in order.

    Raises:
        Refusal: the limit is below what a part takes, or ``to`` is no empty folder.
    """
    if limit_bytes < LEAST_BYTES:
        raise Refusal(f"a part takes {LEAST_BYTES:,} bytes or more, not {limit_bytes:,}")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Refusal(f"{to} is no empty folder, and old parts mix with new ones; give another")
    parts = _laid_out(files, limit_bytes)
    pack = sha256(json.dumps([asdict(piece) for part in parts for piece in part]).encode())
    paths = []
    for number, pieces in enumerate(parts, 1):
        paths.append(to / f"{name}-{number:03}-of-{len(parts):03}.tar")
        listing = Listing(pack, number, len(parts), tuple(pieces))
        write_atomically(paths[-1], _archive(listing, files))
    return paths


def read(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return the files that the parts of one pack hold, given in any order.

    Names are returned as they stand there, whatever they are: to be judged before use.

    Raises:
        Refusal: a part is missing, damaged, or another pack's.
    """
    found: dict[int, tuple[Listing, list[bytes]]] = {}
    for path in paths:
        listing, contents = _read_part(path)
        found.setdefault(listing.part, (listing, contents))
        first = next(iter(found.values()))[0]
        if (listing.pack, listing.parts) != (first.pack, first.parts):
            raise Refusal(f"{path} is of another pack than {paths[0]}; unpack them one by one")
    if not found:
        raise Refusal("there is nothing to unpack: give the parts that `bslib pack` wrote")
    missing = [number for number in range(1, first.parts + 1) if number not in found]
    if missing:
        numbers = ", ".join(map(str, missing))
        raise Refusal(f"of {first.parts} parts, number {numbers} is missing: give it too")
    files: dict[str, bytes] = {}
    for _, (listing, contents) in sorted(found.items()):
        for piece, content in zip(listing.pieces, contents, strict=True):
            files[piece.path] = files.get(piece.path, b"") + content
    return files


def sha256(content: bytes) -> str:
    """Return the checksum of some bytes."""
    return hashlib.sha256(content).hexdigest()


def _laid_out(files: Mapping[str, bytes], limit_bytes: int) -> list[list[Piece]]:
    """Lay files out in order; only one that no part could hold is cut."""
    room = limit_bytes - PART_BYTES
    most = room - PIECE_BYTES
    parts: list[list[Piece]] = [[]]
    left = room
    for path, content in files.items():
        for offset in range(0, len(content) or 1, most):
            part = content[offset : offset + most]
            if len(part) + PIECE_BYTES > left:
                parts.append([])
                left = room
            parts[-1].append(Piece(path, offset, len(part), sha256(part)))
            left -= len(part) + PIECE_BYTES
    return parts


def _archive(listing: Listing, files: Mapping[str, bytes]) -> bytes:
    text = json.dumps({"format": FORMAT, **asdict(listing)}, ensure_ascii=False).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, f"{LISTING}{sha256(text)}.json", text)
        for each in listing.pieces:
            _add(tar, _member(each), files[each.path][each.offset : each.offset + each.size])
    return archive.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # A TarInfo of our own: no owner, no time, one mode, so that the bytes tell of the files alone.
    about = tarfile.TarInfo(name)
    about.size = len(content)
    tar.addfile(about, io.BytesIO(content))


def _member(piece: Piece) -> str:
    return piece.path if piece.offset == 0 else f"{piece.path}@{piece.offset}"


def _read_part(path: Path) -> tuple[Listing, list[bytes]]:
    """Read a part, every byte of a file against its checksum."""
    if not path.is_file():
        raise Refusal(f"{path} is no file; give the parts that `bslib pack` wrote")
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
            contents = [_content(tar, each) for each in members]
        listing = _listing(members[0].name, contents[0])
        if [each.name for each in members[1:]] != [_member(each) for each in listing.pieces]:
            raise ValueError("it does not hold what it lists")
        if [sha256(each) for each in contents[1:]] != [each.sha256 for each in listing.pieces]:
            raise ValueError("a checksum differs")
    except (tarfile.TarError, ValueError, LookupError, TypeError, EOFError, OSError) as error:
        raise Refusal(
            f"{path} is no part of a run, or damaged ({error}); carry it again"
        ) from error
    return listing, contents[1:]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() else None
    if file is None:
        raise ValueError(f"{member.name!r} is no plain file")
    return file.read()


def _listing(name: str, text: bytes) -> Listing:
    if name != f"{LISTING}{sha256(text)}.json":
        raise ValueError("its list of contents is not as it was written")
    stored: dict[str, Any] = json.loads(text)
    if stored.pop("format") != FORMAT:
        raise ValueError(f"this bslib reads format {FORMAT}")
    pieces = tuple(Piece(**each) for each in stored.pop("pieces"))
    return Listing(**stored, pieces=pieces)
