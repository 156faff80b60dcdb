"""Which batch size? One table of rules, each chosen by what the arms of claims came out as.

The rows are data, in the modules named for what they are about; here they are answered from a
ledger. A run that measured otherwise shows other sentences and other numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bslib import claims
from bslib.book import ledger
from bslib.book.cheat_sheet import show
from bslib.book.cheat_sheet.answer import DECIDING, Answer, answer, deciding, verdict
from bslib.book.cheat_sheet.calm_rows import JUMPY
from bslib.book.cheat_sheet.comparing_rows import COMPARING, WINNER
from bslib.book.cheat_sheet.generalisation_rows import GENERALISATION
from bslib.book.cheat_sheet.rules import Row
from bslib.book.cheat_sheet.setting_rows import DATA_AND_MODEL, LOADING, WORKERS
from bslib.book.cheat_sheet.size_rows import FASTEST, LARGEST, OUT_OF_MEMORY, SOONER
from bslib.book.cheat_sheet.training_rows import ADAM, BATCH_NORM, LEARNING_RATE
from bslib.claims import wording

# In the order in which somebody with a model would ask.
ROWS = (
    LARGEST,
    OUT_OF_MEMORY,
    SOONER,
    FASTEST,
    LEARNING_RATE,
    ADAM,
    JUMPY,
    WORKERS,
    DATA_AND_MODEL,
    BATCH_NORM,
    GENERALISATION,
    LOADING,
    COMPARING,
    WINNER,
)
# Those whose first rule stands on the front page, in the order in which they lean on each other.
MAIN = (SOONER, FASTEST, LEARNING_RATE, OUT_OF_MEMORY, GENERALISATION)
SCOPE = {"device": "on", "task": "tasks", "model": "models"}
ADVISE = (
    "For a model of your own, `bslib advise package.module:function` measures what of this "
    "applies and recommends a batch size, with its reasons."
)


@dataclass(frozen=True)
class CheatSheet:
    """The rows, answered; a notebook shows them as a table.

    Attributes:
        answers: in the order of the rows.
        notes: below them, a line each: what was read and measured on, and what to do next.
    """

    answers: tuple[Answer, ...]
    notes: tuple[str, ...]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {
            "text/html": show.html(self.answers, self.notes),
            "text/plain": show.plain(self.answers, self.notes),
        }


def sheet(verdicts: ledger.Ledger, rows: tuple[Row, ...] = ROWS) -> CheatSheet:
    """Answer the rows from a ledger: of two runs the full one decides each claim that it has."""
    entries = {row.claim.key: row for row in verdicts.rows}
    keys = sorted({key for row in rows for key in row.keys})
    used = [entries[key] for key in keys if entries[key].verdicts]
    source = f"{_runs(used)} {_scope(used)}" if used else ledger.HOW_TO_MAKE_ONE
    return CheatSheet(tuple(answer(row, entries) for row in rows), (source, ADVISE))


def main_rules(entries: Mapping[str, ledger.Row]) -> tuple[Answer, ...]:
    """Answer the main questions by the first rule of each, from the ledger's rows by claim."""
    return tuple(answer(Row(row.question, row.rules[:1]), entries) for row in MAIN)


def _runs(used: Sequence[ledger.Row]) -> str:
    """Say which run decides, and for which claims the other one stands in."""
    keys = {each: [e.claim.key for e in used if deciding(e) == each] for each in DECIDING}
    full, quick = (keys[each] for each in DECIDING)
    if not full:
        return "Rules, verdicts and numbers are those of the quick run; no full run has them yet."
    besides = f"; where it has none, those of the quick run (claims {', '.join(quick)})"
    return f"Rules, verdicts and numbers are those of the full run{besides if quick else ''}."


def _scope(used: Sequence[ledger.Row]) -> str:
    """Say what was measured on, since numbers do not carry from there as signs do."""
    scopes = [counts.scope for entry in used if (counts := verdict(entry)) is not None]
    told = {name: sorted({str(scope[name]) for scope in scopes if name in scope}) for name in SCOPE}
    words = "; ".join(f"{SCOPE[name]} {', '.join(found)}" for name, found in told.items() if found)
    where = f"Measured {words}; elsewhere expect other numbers. " if words else ""
    return f"{where}In brackets: {wording.level(claims.LEVEL)} intervals."
