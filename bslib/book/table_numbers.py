"""Numbers of a computed table, rounded for reading."""

import re
from collections.abc import Sequence
from decimal import Decimal

from bslib.claims.wording import MINUS

DIGITS = 3
_NUMBER = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?")


def written(cells: Sequence[str]) -> list[str]:
    """Write a column's numbers to three significant digits, and its words as they are.

    A number never gets a digit that pandas did not write. Whole numbers keep all of theirs where
    a column holds no others: they count something.
    """
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    write = _whole if all(map(_is_whole, numbers)) else _rounded
    texts = {cell: write(cell).replace("-", MINUS) for cell in numbers}
    return [texts.get(cell, f"{MINUS}inf" if cell == "-inf" else cell) for cell in cells]


def _is_whole(text: str) -> bool:
    return "e" not in text and Decimal(text) % 1 == 0


def _whole(text: str) -> str:
    value = Decimal(text)
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"


def _rounded(text: str) -> str:
    value = Decimal(text)
    given = max(0, -int(value.as_tuple().exponent))
    if value == 0:
        return "0" if "e" in text else f"{abs(value):.{min(DIGITS - 1, given)}f}"
    if not Decimal("1e-4") <= abs(value) < Decimal("1e9"):
        return f"{value:.{min(DIGITS, len(value.as_tuple().digits)) - 1}e}"
    rounded = Decimal(f"{value:.{DIGITS - 1}e}")
    decimals = min(DIGITS - 1 - rounded.adjusted(), given)
    return f"{rounded:.{decimals}f}" if decimals > 0 else _whole(str(rounded))
