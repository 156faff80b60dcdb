"""What a row of the cheat sheet comes to over the verdicts of a ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bslib import claims
from bslib.book import ledger
from bslib.book.cheat_sheet.rules import Found, Row, Rule, find

# Of two runs the first of these that has a claim decides it.
DECIDING = ("full", "quick")


@dataclass(frozen=True)
class Support:
    """A claim that an answer rests on.

    Attributes:
        key, title: the claim's.
        page: its notebook, relative to the ledger's folder; None where there is none.
        outcome: of the verdict that decides; None where it was not run.
        remarks: where the literature or the other run has it otherwise.
    """

    key: str
    title: str
    page: str | None
    outcome: str | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A row of the sheet.

    Attributes:
        question: the decision or worry.
        rules: the sentences that the outcomes lead to, the main one first.
        unsettled: what is not decided, each with its reason.
        measured: what was measured, with numbers and intervals.
        supports: the claims behind it.
        fitted: what a fitted model gives, with numbers and intervals.
    """

    question: str
    rules: tuple[str, ...]
    unsettled: tuple[str, ...]
    measured: tuple[str, ...]
    supports: tuple[Support, ...]
    fitted: tuple[str, ...] = ()


def answer(row: Row, entries: Mapping[str, ledger.Row]) -> Answer:
    """Answer a row from the ledger's rows, by claim's key."""
    read = [(rule, _find(rule, entries)) for rule in row.rules]
    unsettled = [
        f"{basis.asks} ({found.why})"
        for rule, all_found in read
        for basis, found in zip(rule.bases, all_found, strict=True)
        if not found.decided
    ]
    return Answer(
        question=row.question,
        rules=tuple(filter(None, (rule.sentence(found) for rule, found in read))),
        unsettled=tuple(unsettled),
        measured=_numbers(read, fitted=False),
        supports=tuple(_support(entries[key]) for key in row.keys),
        fitted=_numbers(read, fitted=True),
    )


def deciding(entry: ledger.Row) -> str | None:
    """Return the profile whose verdict on a claim counts; None where no run has the claim."""
    return next((profile for profile in DECIDING if profile in entry.verdicts), None)


def verdict(entry: ledger.Row) -> claims.Verdict | None:
    """Return the verdict on a claim that counts."""
    profile = deciding(entry)
    return None if profile is None else entry.verdicts[profile]


def _numbers(read: Sequence[tuple[Rule, Sequence[Found]]], *, fitted: bool) -> tuple[str, ...]:
    told = (rule.measured(found) for rule, found in read if rule.fitted == fitted)
    return tuple(filter(None, told))


def _find(rule: Rule, entries: Mapping[str, ledger.Row]) -> list[Found]:
    return [find(basis, verdict(entries[basis.key])) for basis in rule.bases]


def _support(entry: ledger.Row) -> Support:
    counts = verdict(entry)
    remarks = []
    if counts is not None:
        if counts.agreement == "differs":
            remarks.append(f"literature: {counts.prediction}")
        remarks += [
            f"{profile} run: {other.outcome}"
            for profile, other in entry.verdicts.items()
            if other.outcome != counts.outcome
        ]
    return Support(
        key=entry.claim.key,
        title=entry.claim.title,
        page=entry.page,
        outcome=None if counts is None else counts.outcome,
        remarks=tuple(remarks),
    )
