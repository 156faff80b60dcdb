"""From a file to rows of text, and from text to numbers; every complaint names the line."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bslib.refusal import Refusal

LINE = "line in the file"
_MISSING = {"", "nan", "none", "null", "na", "n/a", "-"}
# What people write for the result of a training that did not end well.
_FAILED = {"inf", "+inf", "-inf", "infinity", "failed", "diverged", "crashed", "crash", "oom"}


def text_table(path: Path) -> pd.DataFrame:
    """Read a table of text, a row a line, with the line's number in column :data:`LINE`.

    Commas, semicolons or tabs part the columns: whichever the first line has most of.

    Raises:
        Refusal: there is no such file, it is no text, has no rows, or lines of other lengths.
    """
    if not path.is_file():
        raise Refusal(f"there is no file {path}" + (": it is a folder" if path.is_dir() else ""))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is no text in UTF-8 (byte {error.start}); save it as CSV") from error
    if "\0" in text:
        raise Refusal(f"{path} is a binary file, not CSV")
    head = next((line for line in text.splitlines() if line.strip()), "")
    if not head:
        raise Refusal(f"{path} is empty")
    delimiter = max(",;\t", key=head.count)
    if delimiter not in head:
        raise Refusal(f"{path} is not CSV: its first line, {head[:60]!r}, has one column only")
    reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    header = [cell.strip() for cell in rows[0][1]]
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise Refusal(f"line {line} has {len(row)} cells, and the header {len(header)}")
    if len(rows) == 1:
        raise Refusal(f"{path} has a header and no rows")
    cells = [[cell.strip() for cell in row] for _, row in rows[1:]]
    table = pd.DataFrame(cells, columns=header, dtype=str)
    return table.assign(**{LINE: [line for line, _ in rows[1:]]})


def numbers(
    table: pd.DataFrame,
    header: str,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    whole: bool = False,
    needed: bool = False,
    result: bool = False,
) -> "pd.Series[float]":
    """Return a column as numbers; what is missing is NaN.

    Args:
        table: of :func:`text_table`.
        header: the column.
        above, least, most: bounds, the first not reached itself.
        whole: whether only whole numbers will do.
        needed: whether no row may lack it.
        result: whether it measures a training: then words for failure, and infinity, are NaN.

    Raises:
        Refusal: a cell is no such number; names its line.
    """
    found = np.array([_number(cell, result) for cell in table[header]])
    words = _MISSING | (_FAILED if result else set())
    texts = table[header].str.lower().isin(words).to_numpy()
    _complain(table, header, np.isnan(found) & ~texts, "a number")
    if needed:
        _complain(table, header, np.isnan(found), "a number")
    if not result:
        _complain(table, header, np.isinf(found), "finite")
    with np.errstate(invalid="ignore"):
        _complain(table, header, found <= above, f"above {above:g}")
        _complain(table, header, found < least, f"at least {least:g}")
        _complain(table, header, found > most, f"at most {most:g}")
        if whole:
            _complain(table, header, np.abs(found - np.round(found)) > 0, "a whole number")
    return pd.Series(np.where(np.isfinite(found), found, np.nan), index=table.index)


def labels(table: pd.DataFrame, header: str) -> "pd.Series[float]":
    """Return a column as whole numbers, its own or, where some are none, those of its texts."""
    cells = table[header].str.lower()
    if cells.isin(_MISSING).any() or not any(math.isnan(_number(each, False)) for each in cells):
        return numbers(table, header, whole=True, needed=True)
    codes, _ = pd.factorize(cells, sort=True)
    return pd.Series(codes.astype(float), index=table.index)


def empty(table: pd.DataFrame) -> set[str]:
    """Return the columns without a single value."""
    blank = table.drop(columns=LINE).apply(lambda column: column.str.lower().isin(_MISSING).all())
    return set(blank.index[blank])


def plain(cell: str) -> str:
    """Return what two cells share that say the same: ``SGD`` and ``sgd``, 128 and ``128.0``."""
    try:
        return repr(float(cell))
    except ValueError:
        return cell.lower()


def kept(table: pd.DataFrame, where: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return the rows whose columns have the values asked for, compared by :func:`plain`.

    Raises:
        Refusal: there is no such column, or no such row.
    """
    pairs = [isinstance(pair, tuple | list) and [*map(type, pair)] == [str, str] for pair in where]
    if not all(pairs):
        raise Refusal(f"where takes pairs of texts, such as [('optimizer', 'sgd')], not {where!r}")
    for header, value in where:
        if header not in table or header == LINE:
            names = ", ".join(name for name in table.columns if name != LINE)
            raise Refusal(f"--where: there is no column {header!r}; the columns are {names}")
        same = [plain(cell) == plain(value) for cell in table[header]]
        if not any(same):
            values = ", ".join(sorted(set(table[header]))[:8])
            raise Refusal(f"--where: no row has {header} {value}; its values are {values}")
        table = table[same]
    return table.reset_index(drop=True)


def _number(cell: str, result: bool) -> float:
    lower = cell.lower()
    if lower in _MISSING or (result and lower in _FAILED):
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _complain(table: pd.DataFrame, header: str, bad: NDArray[np.bool_], rule: str) -> None:
    at = np.flatnonzero(bad)
    if not len(at):
        return
    row = table.iloc[at[0]]
    more = f", and {len(at) - 1} more" if len(at) > 1 else ""
    value = repr(row[header]) if row[header] else "empty"
    raise Refusal(
        f"line {row[LINE]}: {header} must be {rule}, and it is {value}{more}{_hint(row[header])}"
    )


def _hint(cell: str) -> str:
    if cell.endswith("%"):
        return "; leave out the %"
    return "; write a decimal point, and nothing between thousands" if "," in cell else ""
