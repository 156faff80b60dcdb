"""What a verdict rests on: the tables that its estimates were made from.

A notebook hands its measured tables and the function that estimates the arms from them to
:func:`arms`. In a run they are kept beside its shared sweeps, so that the same function can be
applied again to some of the seeds: does the verdict depend on which seeds were drawn?
"""

import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bslib import sweeps
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate

Estimator = Callable[..., dict[str, Estimate]]
_FOLDER = "evidence"
_REPEATS = ("seed", "round")


@dataclass(frozen=True)
class Evidence:
    """A claim's tables, and how its arms are estimated from them.

    Attributes:
        key: the claim's.
        estimator: takes the tables by name and the settings; gives an estimate an arm.
        frames: tidy tables by name. A ``seed`` column numbers a table's independent repeats, or
            a ``round`` column where what is repeated is a measurement of time. Rows of one
            repeat belong together, in one table and across tables. A table without either is
            never resampled.
        settings: further arguments of the estimator, plain values.
    """

    key: str
    estimator: Estimator
    frames: Mapping[str, pd.DataFrame]
    settings: Mapping[str, Any]

    def estimates(self) -> dict[str, Estimate]:
        """Return an estimate for each arm."""
        return self.estimator(**self.frames, **self.settings)

    def draw(self, share: float, generator: np.random.Generator) -> "Evidence":
        """Return the evidence of a random ``share`` of the repeats, drawn without replacement.

        Tables with equally many repeats keep the same ones, by rank: pairs stay pairs.
        """
        order: dict[int, np.ndarray] = {}
        frames = {}
        for name, frame in self.frames.items():
            column = next((each for each in _REPEATS if each in frame), None)
            if column is not None:
                repeats = np.sort(frame[column].unique())
                ranks = order.setdefault(len(repeats), generator.permutation(len(repeats)))
                kept = repeats[ranks[: max(2, round(share * len(repeats)))]]
                frame = frame[frame[column].isin(kept)].reset_index(drop=True)
            frames[name] = frame
        return Evidence(self.key, self.estimator, frames, self.settings)


def arms(
    key: str, estimator: Estimator, *, frames: Mapping[str, pd.DataFrame], **settings: Any
) -> dict[str, Estimate]:
    """Estimate a claim's arms, and keep what they were estimated from where a run asks for it.

    Args:
        key: the claim's.
        estimator: a module-level function, deterministic; see :class:`Evidence`.
        frames: the measured tables, by the estimator's argument names.
        settings: its other arguments: numbers, words, lists and mappings of them.
    """
    evidence = Evidence(key, estimator, frames, settings)
    if folder := os.environ.get(sweeps.FOLDER):
        write(evidence, Path(folder))
    return evidence.estimates()


def write(evidence: Evidence, cache: Path) -> None:
    """Keep the evidence in a run's cache folder."""
    function = evidence.estimator
    stored = {
        "estimator": [function.__module__, function.__qualname__],
        "settings": evidence.settings,
        "frames": sweeps.encode(evidence.frames),
    }
    path = _path(cache, evidence.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(stored), encoding="utf-8")
    unfinished.replace(path)


def read(cache: Path, key: str) -> Evidence | None:
    """Return a claim's evidence; None where the run kept none.

    Raises:
        Refusal: what is kept cannot be read by this version of the package.
    """
    path = _path(cache, key)
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        module, name = stored["estimator"]
        estimator = getattr(importlib.import_module(module), name)
        return Evidence(key, estimator, sweeps.decode(stored["frames"]), stored["settings"])
    except (ValueError, KeyError, AttributeError, ImportError) as error:
        raise Refusal(f"{path} cannot be read: {error!r}; run the notebook again") from error


def keys(cache: Path) -> Iterator[str]:
    """Return the claims that the run kept evidence of."""
    yield from sorted(path.stem for path in (cache / _FOLDER).glob("*.json"))


def _path(cache: Path, key: str) -> Path:
    return cache / _FOLDER / f"{key}.json"
