"""One row a claim: what the literature predicts, what each recorded run found, whether they agree.

The ledger notebook calls this, in Jupyter and in the book alike. Verdicts are read from the
executed notebooks of the run folders and nowhere else; each run that was given has a column.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from bslib import claims
from bslib.book import checkout as checkouts
from bslib.book.outcomes import badge, remarks
from bslib.book.run_folder import RunFolder
from bslib.book.verdicts import read_verdicts
from bslib.refusal import Refusal

PROFILES = ("quick", "full")
MISSING = {"quick": "not run yet", "full": "not run on a GPU"}
WITH_LITERATURE = {
    "agrees": "as the literature predicts",
    "differs": "not as the literature predicts",
    "undecided": "undecided",
}
# Of two that are conditional: other arms may be supported than were expected to be.
SAME_WORD = "the same verdict; see the page for the arms"
ONE_RUN = {
    "quick": "Not run on a GPU: no run of the full profile was given.",
    "full": "No run of the quick profile was given.",
}
HOW_TO_MAKE_ONE = (
    "No run to show. Make one with `bslib run --profile quick --out DIR`, then set `quick_dir` "
    "(or `full_dir`) to that folder and run this page again."
)
STYLE = """
.bslib-ledger { border-collapse: collapse; table-layout: fixed; text-align: left; width: 100%; }
.bslib-ledger th, .bslib-ledger td {
  padding: .55em .7em .55em 0; text-align: left; vertical-align: top; white-space: normal; }
.bslib-ledger :is(th, td):nth-child(-n+2) { width: 30%; }
.bslib-ledger tr { border-bottom: 1px solid #8886; background: none; }
.bslib-ledger tbody th { font-weight: 600; }
.bslib-ledger p { font-size: .88em; font-weight: 400; line-height: 1.4; margin: .25em 0 0;
  opacity: .85; }
.bslib-ledger .bs-badge { font-size: .85em; }
@media (max-width: 700px) {
  .bslib-ledger, .bslib-ledger tbody, .bslib-ledger tr, .bslib-ledger th, .bslib-ledger td {
    display: block; }
  .bslib-ledger thead { display: none; }
  .bslib-ledger tr { padding: .6em 0; }
  .bslib-ledger :is(th, td):nth-child(n) { padding: .2em 0; width: auto; }
  .bslib-ledger td::before { content: attr(data-label) ": "; font-size: .85em; opacity: .8; }
}
"""


@dataclass(frozen=True)
class Row:
    """A claim, and the verdicts that the runs hold of it, by profile.

    Attributes:
        page: its notebook, relative to the ledger's folder; None where there is none.
        timed: whether that measures the device's own time.
    """

    claim: claims.Claim
    verdicts: Mapping[str, claims.Verdict]
    page: str | None
    timed: bool = False

    @property
    def agreement(self) -> str:
        """Say in words whether the runs agree with each other and with the literature."""
        if not self.verdicts:
            return ""
        if len({verdict.outcome for verdict in self.verdicts.values()}) > 1:
            return "quick and full differ"
        first = next(iter(self.verdicts.values()))
        with_literature = SAME_WORD if first.alike_in_word else WITH_LITERATURE[first.agreement]
        both = len(self.verdicts) == len(PROFILES)
        return f"quick and full agree; {with_literature}" if both else with_literature


@dataclass(frozen=True)
class Ledger:
    """Every claim of the catalogue with its verdicts; a notebook shows it as a table."""

    rows: tuple[Row, ...]
    profiles: tuple[str, ...]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": _table(self), "text/plain": _plain(self)}


@dataclass(frozen=True)
class Summary:
    """How many claims came out how, by profile."""

    counts: Mapping[str, Mapping[str, int]]
    claims: int

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        lines = [self._line(profile) for profile in self.counts] or [HOW_TO_MAKE_ONE]
        html = "".join(f"<p>{escape(line)}</p>" for line in lines).replace("`", "")
        return {"text/html": html, "text/plain": "\n".join(lines)}

    def _line(self, profile: str) -> str:
        counts = self.counts[profile]
        found = ", ".join(f"{counts[each]} {each}" for each in claims.OUTCOMES if counts[each])
        missing = self.claims - sum(counts.values())
        rest = f"; {missing} of {self.claims} claims not run" if missing else ""
        return f"{profile.capitalize()} profile: {found or 'no verdict'}{rest}."


def read(quick_dir: str = "", full_dir: str = "") -> Ledger:
    """Read the verdicts of the runs; an empty name stands for no run.

    Raises:
        Refusal: a folder is no run, or holds one of the other profile.
    """
    folders = {"quick": quick_dir, "full": full_dir}
    found = {name: _verdicts(name, folder) for name, folder in folders.items() if folder}
    pages = _pages()
    rows = [
        Row(claim, _of(claim.key, found), *pages.get(claim.key, (None, False)))
        for claim in claims.CATALOGUE.values()
    ]
    return Ledger(tuple(rows), tuple(found))


def summary(ledger: Ledger) -> Summary:
    """Count the outcomes."""
    counts = {
        profile: Counter(
            row.verdicts[profile].outcome for row in ledger.rows if profile in row.verdicts
        )
        for profile in ledger.profiles
    }
    return Summary(counts, len(ledger.rows))


def _of(key: str, found: Mapping[str, Mapping[str, claims.Verdict]]) -> dict[str, claims.Verdict]:
    return {profile: held[key] for profile, held in found.items() if key in held}


def _verdicts(profile: str, folder: str) -> dict[str, claims.Verdict]:
    recorded = RunFolder(Path(folder)).read().profile
    if (recorded == "full") != (profile == "full"):
        raise Refusal(f"{profile}_dir: {folder} was recorded with the {recorded} profile")
    return read_verdicts(Path(folder))


def _pages() -> dict[str, tuple[str, bool]]:
    """Return the notebooks of claims, relative to the ledger's folder, and whether they time.

    Away from a checkout there is nothing to link to, and the verdicts are the same.
    """
    try:
        pages = checkouts.find().pages
    except Refusal:
        return {}
    return {
        page.claim: (
            PurePosixPath(page.path).relative_to("chapters").as_posix(),
            page.exclusive,
        )
        for page in pages
        if page.claim is not None
    }


def _plain(ledger: Ledger) -> str:
    lines = []
    for row in ledger.rows:
        found = (f"{name}: {verdict.outcome}" for name, verdict in row.verdicts.items())
        lines.append(
            f"{row.claim.key}  {row.claim.title}  literature: {row.claim.prediction}; "
            f"{', '.join(found) or 'not run'}"
        )
    return "\n".join(lines)


def _table(ledger: Ledger) -> str:
    shown = ledger.profiles or PROFILES[:1]
    heads = ("Claim", "Literature", *map(str.capitalize, shown))
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(_row(row, shown) for row in ledger.rows)
    alone = f"<p>{ONE_RUN[shown[0]]}</p>" if len(ledger.profiles) == 1 else ""
    return (
        f"<style>{STYLE}</style>{alone}"
        f'<table class="bslib-ledger"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _row(row: Row, shown: Sequence[str]) -> str:
    claim = row.claim
    title = escape(claim.title)
    if row.page is not None:
        title = f'<a href="{escape(row.page)}">{title}</a>'
    found = "".join(
        f'<td data-label="{name.capitalize()}">{_verdict(row, name)}</td>' for name in shown
    )
    return (
        f'<tr id="claim-{claim.key.replace(".", "-")}"><th scope="row">'
        f'<span class="bslib-key">{claim.key}</span> {title}<p>{escape(claim.statement)}</p></th>'
        f'<td data-label="Literature">{badge(claim.prediction)} {_measured(row)}'
        f"<p>{escape(claim.because)} <span>({escape(claim.source)})</span></p></td>"
        f"{found}</tr>"
    )


def _measured(row: Row) -> str:
    """Say below the prediction how what was measured compares."""
    return f"<p>Measured: {row.agreement}.</p>" if row.agreement else ""


def _verdict(row: Row, profile: str) -> str:
    claim, verdict = row.claim, row.verdicts.get(profile)
    if verdict is None:
        return badge(None, MISSING[profile])
    said = remarks(verdict, timed=row.timed)
    if verdict.holds:
        said.append("holds jointly")
    if verdict.criterion_hash != claim.criterion_hash:
        said.append("judged by an older criterion")
    return badge(verdict.outcome) + "".join(f"<p>{escape(text)}</p>" for text in said)
