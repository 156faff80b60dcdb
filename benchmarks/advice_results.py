"""Where bench_advice.py keeps what it has measured: a file a problem and stage, with a key."""

import hashlib
import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from advice_problems import Workload

from bslib import advise

FOLDER = Path(__file__).parent / "results" / "advice"


def path(workload: Workload, stage: str) -> Path:
    """Return the file of a problem's stage."""
    return FOLDER / f"{workload.name}.{stage}.json"


def read(workload: Workload, stage: str, key: str) -> dict[str, Any] | None:
    """Return what was measured under this key; None where nothing was, or under another."""
    file = path(workload, stage)
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found if found["key"] == key else None


def kept(
    workload: Workload, stage: str, key: str, measure: Callable[[], dict[str, Any]], again: bool
) -> dict[str, Any]:
    """Return what was measured under this key, or measure it and write it down."""
    found = None if again else read(workload, stage, key)
    if found is None:
        found = {"key": key, **measure()}
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished = path(workload, stage).with_suffix(".part")
        unfinished.write_text(json.dumps(found) + "\n")
        unfinished.replace(path(workload, stage))
    return found


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a table as columns of rounded values, what is not finite None: for writing down."""
    return {str(name): [_rounded(each) for each in column] for name, column in frame.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, str | bool):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.5g}")


def sources() -> str:
    """Return a hash of the advice's own source: another version is asked again."""
    folder = Path(inspect.getfile(advise)).parent
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
