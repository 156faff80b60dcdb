"""Packing a run into parts and unpacking it: whole, safe, and in pieces."""

import contextlib
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from small_checkout import make_checkout, notebook_text

from bslib.book import carrying, parts, run_folder
from bslib.book.carrying import pack, unpack
from bslib.book.checkout import Checkout
from bslib.book.run_folder import Entry, Provenance, Record, RunFolder
from bslib.book.sources import source_hash
from bslib.book.verify import verify
from bslib.cli import commands
from bslib.refusal import Refusal

FIRST, SECOND = "chapters/3-increasing/variance.ipynb", "chapters/3-increasing/curves.ipynb"
STARTED = "2025-01-01T00:00:00+00:00"
LIMIT = parts.LEAST_BYTES


def record(profile: str = "full", started: str = STARTED) -> Record:
    return Record(profile, "a GPU", {"python": "3.12"}, "abc", started, 5.0)


def entry(status: str = "ok", seconds: float = 2.0, source: str = "") -> Entry:
    made = Provenance("a GPU", {"python": "3.12"}, "abc", STARTED, "full")
    return Entry("3.3", status, seconds, {"seeds": 8}, source, made)


def made(root: Path, texts: Mapping[str, str], about: Record | None = None) -> RunFolder:
    """A run of these notebooks, all of them ok."""
    folder, stored = RunFolder(root), about or record()
    folder.write(stored)
    for path, text in texts.items():
        stored = folder.store(stored, path, entry(), text)
    return folder


def held(folder: RunFolder) -> dict[str, bytes]:
    """Every file of a folder, by its path."""
    files = (path for path in folder.root.rglob("*") if path.is_file())
    return {path.relative_to(folder.root).as_posix(): path.read_bytes() for path in files}


def noise(size: int, seed: int = 0) -> str:
    """Text of ``size`` characters that no piece of it repeats."""
    return random.Random(seed).randbytes(size // 2).hex()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two notebooks, one of them larger than a part of ``LIMIT`` bytes, and one that failed."""
    run = made(tmp_path / "run", {FIRST: '{"small": "ü"}', SECOND: noise(150_000)})
    run.store(run.read(), "chapters/failed.ipynb", entry("failed"), None)
    return run


def test_a_run_comes_back_as_it_was(run: RunFolder, tmp_path: Path) -> None:
    """Through several parts, given in any order, every file returns byte by byte."""
    paths = pack(run, tmp_path / "parts", limit_bytes=LIMIT)
    assert len(paths) > 2
    unpack(paths[::-1], RunFolder(tmp_path / "back"))
    assert held(RunFolder(tmp_path / "back")) == held(run)
    assert not list(tmp_path.glob(".unpack-*"))


@pytest.mark.parametrize("limit", [LIMIT, LIMIT + 1, 100_000, 1_000_000])
def test_parts_stay_below_the_limit(tmp_path: Path, limit: int) -> None:
    """However many files there are, however long their names, each part is smaller than asked."""
    texts = {f"chapters/{'n' * 180}/{i}.ipynb": noise(200 * i, i) for i in range(60)}
    run = made(tmp_path / "run", texts)
    paths = pack(run, tmp_path / "parts", limit_bytes=limit)
    assert all(path.stat().st_size < limit for path in paths)
    unpack(paths, RunFolder(tmp_path / "back"))
    assert held(RunFolder(tmp_path / "back")) == held(run)


def test_only_a_file_that_no_part_could_hold_is_cut(run: RunFolder, tmp_path: Path) -> None:
    """A file that fits a part stands in it under its own name, readable by any tar."""
    paths = pack(run, tmp_path / "parts", limit_bytes=LIMIT)
    names = []
    for path in paths:
        with tarfile.open(path) as tar:
            names += tar.getnames()
    assert names.count(FIRST) == 1
    assert [name.partition("@")[0] for name in names if "@" in name] == [SECOND] * 3


def test_the_same_run_gives_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    """Times, owners and the order of a folder's listing do not show."""
    first = pack(run, tmp_path / "a", limit_bytes=LIMIT)
    (run.root / FIRST).touch()
    (run.root / FIRST).chmod(0o600)
    second = pack(run, tmp_path / "b", limit_bytes=LIMIT)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_cache_travels_only_when_asked(run: RunFolder, tmp_path: Path) -> None:
    """Shared sweeps go with ``cache``; locks and half-written files never."""
    (run.root / ".cache" / "evidence").mkdir(parents=True)
    for name in ("sweep.json", "sweep.lock", "other.unfinished", "evidence/3.3.json"):
        (run.root / ".cache" / name).write_text(name)
    unpack(pack(run, tmp_path / "without"), RunFolder(tmp_path / "a"))
    assert not (tmp_path / "a" / ".cache").exists()
    unpack(pack(run, tmp_path / "with", cache=True), RunFolder(tmp_path / "a"))
    kept = [path for path in held(RunFolder(tmp_path / "a")) if path.startswith(".cache")]
    assert sorted(kept) == [".cache/evidence/3.3.json", ".cache/sweep.json"]


def test_a_run_verifies_after_its_journey(tmp_path: Path) -> None:
    """Verifying finds the unpacked folder as it finds the packed one: sound, nothing stale."""
    texts = {path: notebook_text([path], claim="3.3") for path in (FIRST, SECOND)}
    book = Checkout(make_checkout(tmp_path / "book", texts))
    run, stored = RunFolder(tmp_path / "run"), record()
    for path, text in texts.items():
        source = source_hash(nbformat.reads(text, as_version=4), {"seeds": 8})
        stored = run.store(stored, path, entry(source=source), text)
    unpack(pack(run, tmp_path / "parts"), RunFolder(tmp_path / "back"))
    found = verify(RunFolder(tmp_path / "back"), book, ["3.3"])
    assert found == verify(run, book, ["3.3"])
    assert (found.ok, found.broken, found.stale) == (2, [], [])


def test_pieces_of_a_run_come_home_one_by_one(tmp_path: Path) -> None:
    """What a pack lists as ok replaces; what it lacks, and what failed there, changes nothing."""
    home = made(tmp_path / "home", {FIRST: "old", "chapters/kept.ipynb": "kept"})
    away = made(tmp_path / "away", {FIRST: "new", SECOND: "second"})
    away.store(away.read(), "chapters/kept.ipynb", entry("failed"), "broken")
    away.store(away.read(), "chapters/tried.ipynb", entry("timeout"), None)
    unpack(pack(away, tmp_path / "parts"), home)
    texts = {FIRST: b"new", SECOND: b"second", "chapters/kept.ipynb": b"kept"}
    assert {path: text for path, text in held(home).items() if path != "run.json"} == texts
    statuses = {path: each.status for path, each in home.read().notebooks.items()}
    assert statuses == dict.fromkeys(texts, "ok") | {"chapters/tried.ipynb": "timeout"}
    for path, each in home.read().notebooks.items():
        assert each.status != "ok" or each.file_hash == run_folder.file_hash(home.root / path)


@pytest.mark.parametrize("started", [STARTED, "2024-01-01", "2026-01-01"])
def test_unpacking_twice_changes_nothing_more(tmp_path: Path, started: str) -> None:
    """A run of two packs took what its notebooks took, and says of itself what the later does."""
    home = made(tmp_path / "home", {FIRST: "first"})
    away = made(tmp_path / "away", {SECOND: "second"}, record(started=started))
    paths = pack(away, tmp_path / "parts")
    unpack(paths, home)
    once = held(home)
    unpack(paths, home)
    assert held(home) == once
    assert home.read().seconds == 4.0
    assert home.read().started == max(started, STARTED)


@pytest.mark.parametrize("after", range(5))
def test_a_kill_while_unpacking_leaves_a_valid_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whichever write is the last, what is listed as ok is there; unpacking again completes it."""
    home = made(tmp_path / "home", {FIRST: "old"})
    paths = pack(made(tmp_path / "away", {FIRST: "new", SECOND: "2"}), tmp_path / "parts")
    whole, done = run_folder.write_atomically, 0

    def killed(path: Path, content: bytes) -> None:
        nonlocal done
        if home.root in path.parents and (done := done + 1) > after:
            raise KeyboardInterrupt
        whole(path, content)

    monkeypatch.setattr(run_folder, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        unpack(paths, home)
    monkeypatch.setattr(run_folder, "write_atomically", whole)
    for path, each in home.read().notebooks.items():
        assert each.file_hash == run_folder.file_hash(home.root / path)
    unpack(paths, home)
    assert (home.root / FIRST).read_text() == "new"
    assert set(home.read().notebooks) == {FIRST, SECOND}


def refused(paths: list[Path], to: Path, says: str) -> None:
    """Unpacking is refused, and leaves no trace."""
    with pytest.raises(Refusal, match=says):
        unpack(paths, RunFolder(to))
    assert not to.exists()
    assert not list(to.parent.glob(".unpack-*"))


def test_a_missing_part_is_refused_by_its_number(run: RunFolder, tmp_path: Path) -> None:
    """Any one of the parts left out, and none at all."""
    paths = pack(run, tmp_path / "parts", limit_bytes=LIMIT)
    for number in range(1, len(paths) + 1):
        rest = [path for place, path in enumerate(paths, 1) if place != number]
        refused(rest, tmp_path / "back", f"number {number} is missing")
    refused([], tmp_path / "back", "nothing to unpack")
    refused([tmp_path / "absent.tar"], tmp_path / "back", "no file")


def test_a_part_of_another_pack_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """Parts of two runs, or of one run in two sizes, do not mix."""
    paths = pack(run, tmp_path / "parts", limit_bytes=LIMIT)
    other = pack(run, tmp_path / "others", limit_bytes=LIMIT + 10_000)
    refused([other[0], *paths[1:]], tmp_path / "back", "another pack")
    refused([*paths, other[0]], tmp_path / "back", "another pack")


def readable(path: Path) -> bool:
    """Whether a part can be read at all."""
    with contextlib.suppress(Refusal):
        return bool(parts.read([path]))
    return False


def test_damage_anywhere_is_refused(tmp_path: Path) -> None:
    """One byte changed, or the end cut off: refused by the part's name, but in the padding."""
    run = made(tmp_path / "run", {FIRST: noise(2_000)})
    (path,) = pack(run, tmp_path / "parts")
    whole = path.read_bytes()
    used = len(whole.rstrip(b"\0"))
    for at in range(0, used, 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        if whole[at] == 0 and readable(path):
            assert parts.read([path]) == held(run)
        else:
            refused([path], tmp_path / "back", str(path))
    for end in range(0, used, 97):
        path.write_bytes(whole[:end])
        refused([path], tmp_path / "back", str(path))


def forged(files: Mapping[str, bytes], to: Path) -> list[Path]:
    """Parts as `pack` would never write them, with every checksum right."""
    return parts.write(files, to, "forged", limit_bytes=carrying.LIMIT_BYTES)


def listing(*names: str) -> bytes:
    """A record that lists these files as ok, with the hash of ``x``."""
    listed = {name: replace(entry(), file_hash=parts.sha256(b"x")) for name in names}
    return json.dumps(asdict(replace(record(), notebooks=listed))).encode()


@pytest.mark.parametrize(
    "name", ["../out", "/out", "chapters/../../out", "a\\..\\out", "C:/out", "./a", "a//b", "", "."]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Even where the record lists it, and the checksums are right."""
    paths = forged({"run.json": listing(name), name: b"x"}, tmp_path / "parts")
    refused(paths, tmp_path / "a" / "back", "leads out|damaged")
    assert not (tmp_path / "a" / "out").exists()


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    """A run folder whose subfolder is a link elsewhere takes nothing in."""
    home = made(tmp_path / "home", {})
    (tmp_path / "elsewhere").mkdir()
    (home.root / "chapters").symlink_to(tmp_path / "elsewhere")
    paths = forged({"run.json": listing(FIRST), FIRST: b"x"}, tmp_path / "parts")
    with pytest.raises(Refusal, match="leads out"):
        unpack(paths, home)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_member_that_is_no_file_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """A link inside an archive is never made."""
    (path,) = pack(run, tmp_path / "parts")
    about = tarfile.TarInfo("chapters/link")
    about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "a") as tar:
        tar.addfile(about)
    refused([path], tmp_path / "back", "no plain file")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({FIRST: b"x"}, "cannot be read"),
        ({"run.json": b"{}"}, "cannot be read"),
        ({"run.json": listing(), FIRST: b"x"}, "does not list"),
        ({"run.json": listing(FIRST)}, "as its run.json lists"),
        ({"run.json": listing(FIRST), FIRST: b"y"}, "as its run.json lists"),
    ],
)
def test_a_pack_that_is_no_run_is_refused(
    tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    """The record and the files of a pack must tell of each other."""
    refused(forged(files, tmp_path / "parts"), tmp_path / "back", says)


def test_another_profiles_folder_takes_nothing_in(run: RunFolder, tmp_path: Path) -> None:
    """Full results do not end in a quick run, nor in a folder of something else."""
    paths = pack(run, tmp_path / "parts")
    quick = made(tmp_path / "quick", {FIRST: "quick"}, record("quick"))
    before = held(quick)
    with pytest.raises(Refusal, match="profile 'quick', not 'full'"):
        unpack(paths, quick)
    assert held(quick) == before
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(Refusal, match="another folder"):
        unpack(paths, RunFolder(tmp_path / "used"))


def change(run: RunFolder) -> None:
    (run.root / FIRST).write_text("changed")


def lose(run: RunFolder) -> None:
    (run.root / FIRST).unlink()


@pytest.mark.parametrize("damage", [change, lose])
def test_a_damaged_run_is_not_packed(
    run: RunFolder, tmp_path: Path, damage: Callable[[RunFolder], None]
) -> None:
    """What is not as it was recorded stays where it is, and the message says how to mend it."""
    damage(run)
    with pytest.raises(Refusal, match=r"variance.*--resume"):
        pack(run, tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_what_cannot_be_packed_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """No run, a run in progress, a used folder, a limit that no part could keep."""
    with pytest.raises(Refusal, match="no run folder"):
        pack(RunFolder(tmp_path / "absent"), tmp_path / "parts")
    with run.lock(), pytest.raises(Refusal, match="another run"):
        pack(run, tmp_path / "parts")
    with pytest.raises(Refusal, match="no empty folder"):
        pack(run, run.root)
    with pytest.raises(Refusal, match="65,536 bytes or more"):
        pack(run, tmp_path / "parts", limit_bytes=LIMIT - 1)
    assert not (tmp_path / "absent").exists()
    assert not (tmp_path / "parts").exists()


def test_the_commands(run: RunFolder, tmp_path: Path) -> None:
    """`pack` prints the parts and `unpack` the folder; what is refused is exit status 2."""

    def invoke(*arguments: object) -> tuple[int, list[str], str]:
        result = CliRunner().invoke(commands, [str(each) for each in arguments])
        return result.exit_code, result.stdout.splitlines(), result.stderr

    status, paths, _ = invoke("pack", run.root, "--to", tmp_path / "parts", "--limit", 0.1)
    assert status == 0
    assert len(paths) == 3
    status, _, error = invoke("unpack", *paths[1:], "--to", tmp_path / "back")
    assert (status, error) == (2, "Error: of 3 parts, number 1 is missing: give it too\n")
    status, where, said = invoke("unpack", *paths, "--to", tmp_path / "back")
    assert (status, where) == (0, [str(tmp_path / "back")])
    assert said == "2 notebooks of the full profile, from a GPU\n"
    assert invoke("pack", run.root, "--to", tmp_path / "parts")[0] == 2
    assert held(RunFolder(tmp_path / "back")) == held(run)
