"""The catalogue on the pages: lists of claims that cannot drift from what is judged.

``{claims} 3`` lists a section's claims with links to their pages, ``{claim-tiles}`` shows all of
them with their verdicts, ``{main-rules}`` what a few of them come to, ``{claim-count}`` and
``{verdict}`` put the number of claims and an outcome's badge into a sentence.
"""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from bslib import claims
from bslib.book import cheat_sheet, ledger, outcomes, pages
from bslib.book.cheat_sheet.answer import Answer
from bslib.book.outcomes import badge

SECTIONS = {
    "1": "Why batches at all",
    "2": "Choosing the batch size",
    "3": "Increasing the batch size",
}


def register(app: Sphinx) -> None:
    """Add the directives and roles to Sphinx."""
    app.add_directive("claims", ClaimList)
    app.add_directive("claim-tiles", ClaimTiles)
    app.add_directive("main-rules", MainRules)
    app.add_role("claim-count", _claim_count)
    app.add_role("verdict", _verdict)


class _ClaimDirective(SphinxDirective):
    def html(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", self.html(), format="html")]

    def staged(self) -> dict[str, pages.StagedPage]:
        # The staged copies: their outputs hold the verdicts that this build shows.
        return pages.staged_pages(Path(self.env.srcdir))

    def link(self, page: pages.StagedPage, text: str) -> str:
        target = self.env.app.builder.get_relative_uri(self.env.docname, page.docname)
        return f'<a href="{escape(target)}">{text}</a>'


class ClaimList(_ClaimDirective):
    """One section's claims, each with its statement, its outcome and its page."""

    required_arguments = 1

    def html(self) -> str:
        """Return an ordered list of the section's claims."""
        there = self.staged()
        chosen = [each for each in claims.CATALOGUE.values() if each.key[0] == self.arguments[0]]
        items = "".join(self._item(claim, there.get(claim.key)) for claim in chosen)
        return f'<ol class="bslib-claims">{items}</ol>'

    def _item(self, claim: claims.Claim, page: pages.StagedPage | None) -> str:
        title = escape(claim.title)
        outcome, said = _shown(page, outcomes.remarks)
        return (
            f'<li><span class="bslib-key">{claim.key}</span> '
            f"<strong>{title if page is None else self.link(page, title)}</strong> "
            f"{badge(outcome)}<p>{escape(claim.statement)}</p>{said}</li>"
        )


class ClaimTiles(_ClaimDirective):
    """All claims as small tiles, by section, coloured and worded by outcome."""

    def html(self) -> str:
        """Return one group of tiles a section."""
        there = self.staged()
        return "".join(self._section(key, title, there) for key, title in SECTIONS.items())

    def _section(self, section: str, title: str, there: dict[str, pages.StagedPage]) -> str:
        chosen = [each for each in claims.CATALOGUE.values() if each.key[0] == section]
        tiles = "".join(self._tile(claim, there.get(claim.key)) for claim in chosen)
        return f'<p class="bslib-tiles-title">{title}</p><ul class="bslib-tiles">{tiles}</ul>'

    def _tile(self, claim: claims.Claim, page: pages.StagedPage | None) -> str:
        title = escape(claim.title)
        outcome, said = _shown(page, outcomes.glance)
        return (
            f'<li class="bslib-tile bslib-{outcome or "open"}">'
            f'<span class="bslib-key">{claim.key}</span> '
            f"{title if page is None else self.link(page, title)} {badge(outcome)}"
            f"{said}</li>"
        )


class MainRules(_ClaimDirective):
    """The main rules of the cheat sheet, as the verdicts on the pages of this book have them."""

    def html(self) -> str:
        """Return a list, one question a line."""
        there = self.staged()
        entries = {
            key: ledger.Row(claim, _by_profile(there.get(key)), None)
            for key, claim in claims.CATALOGUE.items()
        }
        lines = (self._line(each, there) for each in cheat_sheet.main_rules(entries))
        return f'<ul class="bslib-rules">{"".join(lines)}</ul>'

    def _line(self, found: Answer, there: dict[str, pages.StagedPage]) -> str:
        said = " ".join(found.rules) or "Not settled by the runs of this book."
        links = (
            self.link(there[each.key], each.key) if each.key in there else each.key
            for each in found.supports
        )
        return (
            f"<li><strong>{escape(found.question)}</strong> {escape(said)} "
            f'<span class="bslib-key">{", ".join(links)}</span></li>'
        )


def _by_profile(page: pages.StagedPage | None) -> dict[str, claims.Verdict]:
    if page is None or page.verdict is None:
        return {}
    return {"full" if page.verdict.scope.get("profile") == "full" else "quick": page.verdict}


def _shown(
    page: pages.StagedPage | None, words: Callable[..., list[str]]
) -> tuple[str | None, str]:
    """Return a page's outcome, and in HTML what ``words`` say of its verdict."""
    if page is None or page.verdict is None:
        return None, ""
    said = words(page.verdict, timed=page.timed)
    lines = (f'<p class="bslib-arms">{escape(line)}</p>' for line in said)
    return page.verdict.outcome, "".join(lines)


def _claim_count(
    name: str, rawtext: str, text: str, line: int, inliner: Inliner, *more: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    return [nodes.Text(str(len(claims.CATALOGUE)))], []


def _verdict(
    name: str, rawtext: str, text: str, line: int, inliner: Inliner, *more: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    return [nodes.raw("", badge(text), format="html")], []
