"""The verdicts of a run, read from its executed notebooks: they are recorded nowhere else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bslib import claims
from bslib.book.run_folder import RunFolder
from bslib.refusal import Refusal


def read_verdicts(run_dir: Path) -> dict[str, claims.Verdict]:
    """Return the verdicts of a run by claim's key, in the catalogue's order.

    Only notebooks that the run lists as ok are read; of several verdicts in one, the last.

    Raises:
        Refusal: the folder holds no run, or a notebook of it is not the file that was recorded,
            or cannot be read.
    """
    folder = RunFolder(Path(run_dir))
    found = {}
    record = folder.read()
    for path, entry in record.notebooks.items():
        if entry.claim is not None and (held := folder.held(record, path)) is not None:
            found[entry.claim] = _last_verdict(folder.root / path, held[1])
    return {key: each for key in claims.CATALOGUE if (each := found.get(key)) is not None}


def _last_verdict(file: Path, content: bytes) -> claims.Verdict | None:
    try:
        stored = list(_verdicts(content.decode()))
        return claims.Verdict.from_json(stored[-1]) if stored else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(f"{file} cannot be read: {error}") from error


def data_checksum(notebook: str) -> str:
    """Return the checksum of the data that an executed notebook's verdict tells; else nothing."""
    for stored in _verdicts(notebook):
        checksum = stored.get("scope", {}).get("checksum", "")
        if checksum:
            return str(checksum)
    return ""


def _verdicts(notebook: str) -> Iterator[dict[str, Any]]:
    if claims.MIME not in notebook:
        return
    for cell in json.loads(notebook)["cells"]:
        for output in cell.get("outputs", []):
            if claims.MIME in output.get("data", {}):
                yield output["data"][claims.MIME]
