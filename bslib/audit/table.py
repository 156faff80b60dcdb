"""A table of somebody's trainings in the book's own columns, with what was done to get there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bslib.audit import columns, metrics, reading
from bslib.audit.columns import Columns
from bslib.audit.metrics import Metric
from bslib.refusal import Refusal

_MOST = 1e12  # examples in a batch
_SAME = 0.02  # relative difference below which examples and steps times batch size agree


@dataclass(frozen=True, eq=False)
class SweepTable:
    """Somebody's trainings, a row each.

    Attributes:
        runs: ``batch_size``, ``learning_rate``, ``weight_decay`` (0 where the table has none),
            ``seed`` (repeats numbered where it has none), ``steps``, ``examples`` (both NaN
            where unknown; relative ones where not ``absolute``), ``epochs``, ``told_epochs``
            (whether the table itself gives them), ``seconds``,
            ``steps_to_target``, ``value`` (of the metric; NaN where the training failed),
            ``score`` (the same, more is better, an accuracy in points) and ``line``.
        columns: what was found under which header.
        metric: that sizes are compared by.
        points: whether scores are points of accuracy.
        data_size: examples in the training set; None where it is not told.
        absolute: whether steps and examples are counts: epochs alone give them up to a factor.
        copies: lines that repeat another in everything, and were left out.
        repeated: groups of lines that share settings and seed and differ in the result; each
            became one row, its mean.
        contradictions: lines whose steps and epochs do not fit one data set.
        confounded: settings that differ, one value a batch size.
        varied: settings that differ otherwise.
        optimizer: where the table names one.
    """

    runs: pd.DataFrame
    columns: Columns
    metric: Metric
    points: bool
    data_size: int | None
    absolute: bool
    copies: tuple[int, ...]
    repeated: tuple[tuple[int, ...], ...]
    contradictions: tuple[int, ...]
    confounded: tuple[str, ...]
    varied: tuple[str, ...]
    optimizer: str

    def has(self, name: str) -> bool:
        """Whether the table has this column, and anything in it."""
        return name in self.columns.found and bool(self.runs[name].notna().any())

    @property
    def batch_sizes(self) -> list[int]:
        """All batch sizes, in order."""
        return sorted(int(size) for size in self.runs["batch_size"].unique())

    @property
    def unit(self) -> str:
        """What differences of the score are told in."""
        return "points" if self.points else self.metric.name


def read(
    path: Path,
    *,
    metric: str | None = None,
    maximise: bool | None = None,
    where: Sequence[tuple[str, str]] = (),
) -> SweepTable:
    """Read a sweep table, or say why it cannot be audited.

    Args:
        path: of the CSV file.
        metric: the column to compare sizes by; by default the first known one.
        maximise: whether more of it is better, where its name does not tell.
        where: (column, value) pairs; only the rows that have them are read.

    Raises:
        Refusal: it is no table, columns are missing, a number is none or out of range, runs of
            several problems are mixed, or there are fewer than two batch sizes.
    """
    text = reading.text_table(path)
    headers = [name for name in text.columns if name != reading.LINE]
    found = columns.recognise(headers, reading.empty(text))
    chosen = metrics.choose(
        found.metrics, headers, metric, maximise, found.found.get(metrics.TO_TARGET)
    )
    text = reading.kept(text, where)
    _one_problem(text, found)
    runs, data_size, absolute = _lengths(_numbers(text, found, chosen), text, found)
    if runs["batch_size"].nunique() < 2:
        raise Refusal(
            f"all {len(runs)} rows have {found.found['batch_size']} "
            f"{runs['batch_size'].iloc[0]:,}: a sweep compares two or more; rename the column if "
            "another one holds the batch size"
        )
    confounded, varied = _settings(text, found)
    contradictions = _contradictions(runs, data_size)
    unique, copies, repeated = _repeats(runs, "seed" in found.found)
    scored, points = _scored(unique, chosen)
    named = [each for each in found.problems if columns.is_one_of(each, columns.OPTIMIZERS)]
    optimizer = reading.plain(text[named[0]].iloc[0]) if named else ""
    return SweepTable(
        scored, found, chosen, points, data_size, absolute, copies, repeated, contradictions,
        confounded, varied, optimizer,
    )  # fmt: skip


def _one_problem(text: pd.DataFrame, found: Columns) -> None:
    for header in found.problems:
        values = sorted({reading.plain(each): each for each in text[header]}.values())
        if len(values) > 1:
            raise Refusal(
                f"the table mixes problems: {header} is {', '.join(values[:6])}; audit one at a "
                f"time: --where {header} {values[0]}"
            )


def _numbers(text: pd.DataFrame, found: Columns, metric: Metric) -> pd.DataFrame:
    def column(name: str, **rules: float | bool) -> "pd.Series[float]":
        if name not in found.found:
            return pd.Series(np.nan, index=text.index)
        return reading.numbers(text, found.found[name], **rules)  # type: ignore[arg-type]

    header = found.found[metrics.TO_TARGET] if metric.name == metrics.TO_TARGET else metric.name
    return pd.DataFrame(
        {
            "batch_size": column("batch_size", least=1, most=_MOST, whole=True, needed=True).astype(
                int
            ),
            "learning_rate": column("learning_rate", above=0, needed=True),
            "weight_decay": column("weight_decay", least=0).fillna(0.0),
            "seed": reading.labels(text, found.found["seed"]) if "seed" in found.found else np.nan,
            "steps": column("steps", above=0),
            "epochs": column("epochs", above=0),
            "examples": column("examples_seen", above=0),
            "data_size": column("data_size", least=1, whole=True),
            "seconds": column("seconds", above=0),
            "steps_to_target": column("steps_to_target", above=0, result=True),
            "value": reading.numbers(text, header, result=True),
            "line": text[reading.LINE],
        }
    )


def _lengths(
    runs: pd.DataFrame, text: pd.DataFrame, found: Columns
) -> tuple[pd.DataFrame, int | None, bool]:
    """Complete steps and examples from one another, from epochs and the size of the data."""
    size = runs["batch_size"]
    if found.either:
        either = reading.numbers(text, found.either, above=0)
        seen = (either / (runs["steps"] * size) - 1).abs().max() < _SAME
        unknown = not runs[["steps", "epochs"]].notna().any(axis=None)
        runs["examples" if seen or unknown else "data_size"] = either
    known = runs["data_size"].dropna().unique()
    data_size = float(known[0]) if len(known) == 1 else _implied(runs)
    runs["told_epochs"] = runs["epochs"].notna()
    runs["examples"] = (runs["steps"] * size).fillna(runs["examples"])
    if data_size is not None:
        runs["examples"] = runs["examples"].fillna(runs["epochs"] * data_size)
        runs["epochs"] = runs["epochs"].fillna(runs["examples"] / data_size)
    length = runs["examples"].notna() | runs["epochs"].notna()
    length |= runs[["steps_to_target", "seconds"]].notna().any(axis=1)
    if not length.all():
        line = runs.loc[~length, "line"].iloc[0]
        raise Refusal(f"line {line} says neither steps nor epochs: how long was that training?")
    counted, relative = runs["examples"].notna(), runs["epochs"].notna()
    if relative.any() and not relative.all() and not counted.all():
        raise Refusal(
            "some rows give steps and others epochs, and neither can be turned into the other; "
            "add a column data_size, the number of training examples"
        )
    absolute = bool(counted.all() or not relative.any())
    if not absolute:
        runs["examples"] = runs["epochs"]
    runs["steps"] = runs["steps"].fillna(runs["examples"] / size) if absolute else (
        runs["examples"] / size
    )  # fmt: skip
    return runs, None if data_size is None else round(data_size), absolute


def _implied(runs: pd.DataFrame) -> float | None:
    """Return the examples of an epoch, from the row of most steps that tells steps and epochs."""
    both = runs.dropna(subset=["steps", "epochs"])
    if both.empty:
        return None
    row = both.iloc[int((both["steps"] / both["epochs"]).to_numpy().argmax())]
    return float(row["steps"] * row["batch_size"] / row["epochs"])


def _contradictions(runs: pd.DataFrame, data_size: int | None) -> tuple[int, ...]:
    """Return lines whose steps differ from the epochs' by more than one step an epoch."""
    if data_size is None:
        return ()
    expected = runs["epochs"] * data_size / runs["batch_size"]
    off = (runs["steps"] - expected).abs() > runs["epochs"].clip(lower=1) + _SAME * expected
    return tuple(int(line) for line in runs.loc[off, "line"])


def _settings(text: pd.DataFrame, found: Columns) -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = text[[found.found["batch_size"], *found.settings]].map(reading.plain)
    by_size = text.groupby(found.found["batch_size"])
    varied = [header for header in found.settings if text[header].nunique() > 1]
    confounded = [header for header in varied if (by_size[header].nunique() == 1).all()]
    return tuple(confounded), tuple(each for each in varied if each not in confounded)


def _repeats(
    runs: pd.DataFrame, seeded: bool
) -> tuple[pd.DataFrame, tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Make rows of one setting and seed one row; without seeds, number the repeats."""
    setting = ["batch_size", "learning_rate", "weight_decay", "steps", "examples"]
    if not seeded:
        # In an order of our own: the table's may be that of the results.
        mixed = runs.sample(frac=1, random_state=0)
        seeds = mixed.groupby(setting, dropna=False).cumcount().sort_index()
        return runs.assign(seed=seeds.astype(float)), (), ()
    copies = runs.duplicated([*setting, "seed", "value", "steps_to_target"])
    rest = runs[~copies]
    groups = rest.groupby([*setting, "seed"], dropna=False, sort=False)
    repeated = [tuple(map(int, lines)) for _, lines in groups["line"] if len(lines) > 1]
    first = rest[~rest.duplicated([*setting, "seed"])].copy()
    for name in ("value", "steps_to_target", "seconds"):
        first[name] = groups[name].transform(lambda each: each.mean(skipna=False))
    lines = tuple(int(line) for line in runs.loc[copies, "line"])
    return first.reset_index(drop=True), lines, tuple(repeated)


def _scored(runs: pd.DataFrame, metric: Metric) -> tuple[pd.DataFrame, bool]:
    if runs["value"].isna().all():
        raise Refusal(f"no row has a {metric.name}: there is nothing to compare; --metric COLUMN")
    fraction = metric.share and bool((runs["value"].dropna().abs() <= 1).all())
    scale = (100.0 if fraction else 1.0) * (1 if metric.maximise else -1)
    return runs.assign(score=scale * runs["value"]), metric.share


def mapping(table: SweepTable) -> Mapping[str, str]:
    """Return our names for the table's headers, where they differ."""
    return {name: header for name, header in table.columns.found.items() if name != header}
