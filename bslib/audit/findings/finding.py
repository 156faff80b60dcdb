"""One thing that was found, and the words that findings share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bslib.claims import wording

BLOCKS, WEAKENS, NOTE = "blocks", "weakens", "note"
SEVERITIES = (BLOCKS, WEAKENS, NOTE)
_SHOWN = 6


@dataclass(frozen=True)
class Finding:
    """Something about a table that its owner should know.

    Attributes:
        kind: short name, for programs.
        severity: ``"blocks"`` (the claims cannot be told from this table), ``"weakens"`` (they
            can, with less right) or ``"note"``.
        title: in a few words.
        seen: what the table shows, with its numbers.
        why: why it matters.
        mend: what to run, or to say.
        claims: keys of the claims that it blocks or weakens.
    """

    kind: str
    severity: str
    title: str
    seen: str
    why: str
    mend: str
    claims: tuple[str, ...] = ()


def number(value: float) -> str:
    """Write a number: thousands parted from four digits on, four significant ones."""
    return f"{value:,.0f}" if value >= 1000 else wording.plain(value)


def listed(items: Iterable[object], most: int = _SHOWN, between: str = ", ") -> str:
    """List items, and how many more there are."""
    names = [f"{each:,}" if isinstance(each, int) else str(each) for each in items]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def lines(numbers: Sequence[int]) -> str:
    """Name lines of the file."""
    return f"line{'s' if len(numbers) > 1 else ''} {listed(map(str, numbers))}"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"
