"""An advice as plain text, for a terminal of 80 columns."""

import textwrap

from bslib.advise import guidance, tables, words
from bslib.advise.advice import Advice

COLUMNS = 80


def text(advice: Advice) -> str:
    """Return the headline, the reason, what to do, the numbers, and what was not measured."""
    asked = advice.asked
    lines = [
        *_wrapped(words.headline(advice), 0),
        "",
        *(line for sentence in words.reason(advice) for line in _wrapped(sentence)),
        "",
        *_wrapped(f"How sure: {words.sureness(advice)}"),
    ]
    for about, said in guidance.to_do(advice).items():
        lines += _wrapped(f"{about}: {said}")
    lines += ["", *_table(tables.rows(advice))]
    lines += ["", "  Not measured:"]
    lines += [line for each in advice.not_measured for line in _wrapped(f"- {each}", 4, 2)]
    seconds = f"{advice.examples:,} examples in {asked.seconds:.1f} s"
    lines += ["", *_wrapped(f"{asked.target}, on {asked.device}: {seconds}, seed {asked.seed}")]
    return "\n".join(lines)


def _table(rows: list[tables.Row]) -> list[str]:
    name = max(len(row.name) for row in rows)
    value = max(len(row.value) for row in rows)
    lines = []
    for row in rows:
        start = f"  {row.name:<{name}}  {row.value:>{value}}"
        note = textwrap.wrap(row.note, max(20, COLUMNS - len(start) - 2)) or [""]
        lines += [f"{start}  {note[0]}".rstrip()]
        lines += [" " * (len(start) + 2) + more for more in note[1:]]
    return lines


def _wrapped(said: str, indent: int = 2, hanging: int = 0) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        " ".join(said.split()),
        COLUMNS,
        initial_indent=margin,
        subsequent_indent=margin + " " * hanging,
        break_on_hyphens=False,
    )
