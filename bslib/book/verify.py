"""Whether a run folder is what its record says, and what of it is out of date."""

from collections.abc import Iterator
from dataclasses import dataclass

import nbformat

from bslib.book import notebook as notebooks
from bslib.book.checkout import Checkout
from bslib.book.run_folder import Entry, Record, RunFolder, file_hash
from bslib.book.sources import Sources


@dataclass(frozen=True)
class Findings:
    """What was found in a run folder, a line each.

    Attributes:
        broken: notebooks listed as ok whose file is missing, unreadable or another.
        unfinished: notebooks that were executed and are not ok.
        stale: notebooks whose sources have changed since.
        absent: notebooks of the checkout that the run does not hold.
        unclaimed: claims of the catalogue without a notebook that is ok.
        ok: how many notebooks are listed as ok and are not broken.
    """

    broken: list[str]
    unfinished: list[str]
    stale: list[str]
    absent: list[str]
    unclaimed: list[str]
    ok: int


def verify(folder: RunFolder, checkout: Checkout, claims: list[str]) -> Findings:
    """Compare a run folder with its record and with the checkout.

    Args:
        folder: to be verified.
        checkout: with whose sources the recorded hashes are compared.
        claims: keys that a complete run has.

    Raises:
        Refusal: the folder holds no run.
    """
    record = folder.read()
    listed = {path: each for path, each in record.notebooks.items() if each.status == "ok"}
    damage = {path: _damage(folder, path, entry) for path, entry in listed.items()}
    sound = [path for path in listed if not damage[path]]
    held = {listed[path].claim for path in sound}
    return Findings(
        broken=[f"{path}: {problem}" for path, problem in damage.items() if problem],
        unfinished=list(_unfinished(record)),
        stale=[path for path in sound if _is_stale(checkout, path, listed[path])],
        absent=[each.path for each in checkout.pages if each.path not in record.notebooks],
        unclaimed=[key for key in claims if key not in held],
        ok=len(sound),
    )


def _damage(folder: RunFolder, path: str, entry: Entry) -> str:
    file = folder.root / path
    if not file.is_file():
        return "the file is missing"
    if file_hash(file) != entry.file_hash:
        return "the file is not the one that was recorded (its hash differs)"
    try:
        nbformat.validate(notebooks.read(file))
    except Exception as error:  # nbformat raises what its parser, and jsonschema, raise
        return f"the file is no valid notebook: {type(error).__name__}"
    return ""


def _unfinished(record: Record) -> Iterator[str]:
    for path, entry in record.notebooks.items():
        if entry.status != "ok":
            yield f"{path}: {entry.status}: {entry.error}"


def _is_stale(checkout: Checkout, path: str, entry: Entry) -> bool:
    source = checkout.root / path
    if not source.is_file():
        return True
    return Sources().digest(notebooks.read(source), entry.parameters) != entry.source_hash
