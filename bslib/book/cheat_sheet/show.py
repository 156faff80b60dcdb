"""The cheat sheet as a table in HTML and as plain text for a terminal of 80 columns."""

import textwrap
from collections.abc import Sequence
from html import escape

from bslib.book import ledger
from bslib.book.cheat_sheet.answer import Answer, Support
from bslib.book.outcomes import badge

HEADS = ("Question", "Rule", "Rests on")
UNSETTLED = "Not settled here:"
MEASURED, FITTED = "Measured:", "By the fitted model:"
NOT_RUN = "Not run."
INDENT = " " * 4
# Beside the ledger's own style, which it narrows: the class is named twice to come first.
STYLE = """
.bslib-ledger.bslib-sheet tbody th { font-weight: 400; }
.bslib-ledger.bslib-sheet p { overflow-wrap: break-word; }
.bslib-ledger.bslib-sheet .bslib-unsettled { opacity: 1; font-style: italic; }
.bslib-sheet ul { list-style: none; margin: 0; padding: 0; }
.bslib-sheet li { margin: 0 0 .3em; }
.bslib-sheet li span.bslib-remark { display: block; font-size: .8em; opacity: .85; }
.bslib-note { font-size: .88em; margin: .8em 0 0; opacity: .85; }
@media (min-width: 701px) {
  .bslib-ledger.bslib-sheet :is(th, td):nth-child(1) { width: 20%; }
  .bslib-ledger.bslib-sheet :is(th, td):nth-child(2) { width: 62%; }
  .bslib-ledger.bslib-sheet :is(th, td):nth-child(3) { width: 18%; }
}
@media (max-width: 700px) {
  .bslib-ledger.bslib-sheet :is(th, td):nth-child(-n+2)::before { content: none; }
  .bslib-sheet ul { display: inline; }
  .bslib-sheet li { display: inline-block; margin: 0 .8em .2em 0; }
  .bslib-sheet li span.bslib-remark { display: inline; }
}
"""


def html(answers: Sequence[Answer], notes: Sequence[str]) -> str:
    """Return a table that brings its own style; everything that is data is escaped."""
    head = "".join(f'<th scope="col">{name}</th>' for name in HEADS)
    body = "".join(_row(answer) for answer in answers)
    below = "".join(f'<p class="bslib-note">{_with_code(note)}</p>' for note in notes)
    return (
        f"<style>{ledger.STYLE}{STYLE}</style>"
        f'<table class="bslib-ledger bslib-sheet"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{below}"
    )


def plain(answers: Sequence[Answer], notes: Sequence[str]) -> str:
    """Return one paragraph a row: the question, its rule indented below it, and what is behind."""
    return "\n".join([*map(_paragraph, answers), *map(_fill, notes)])


def _row(answer: Answer) -> str:
    rules = list(map(escape, answer.rules))
    rules[:1] = [f"<strong>{main}</strong>" for main in rules[:1]]
    parts = [" ".join(rules)]
    if answer.unsettled:
        parts.append(f'<p class="bslib-unsettled">{escape(_unsettled(answer))}</p>')
    parts += [f"<p>{escape(line)}</p>" for line in _numbers(answer)]
    supports = "".join(f"<li>{_support(each)}</li>" for each in answer.supports)
    rule, rests = HEADS[1:]
    return (
        f'<tr><th scope="row">{escape(answer.question)}</th>'
        f'<td data-label="{rule}">{"".join(parts)}</td>'
        f'<td data-label="{rests}"><ul>{supports}</ul></td></tr>'
    )


def _support(support: Support) -> str:
    name = f'<span class="bslib-key">{escape(support.key)}</span>'
    if support.page is not None:
        title = escape(support.title)
        name = f'<a href="{escape(support.page)}" title="{title}">{name}</a>'
    remarks = "".join(
        f' <span class="bslib-remark">{escape(remark)}</span>' for remark in support.remarks
    )
    return f"{name} {badge(support.outcome)}{remarks}"


def _paragraph(answer: Answer) -> str:
    rests = "; ".join(map(_support_words, answer.supports))
    rules = " ".join(answer.rules)
    lines = [rules, _unsettled(answer), *_numbers(answer), f"{HEADS[2]}: {rests}"]
    return "\n".join([answer.question, *[_fill(line, INDENT) for line in lines if line], ""])


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 80, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _support_words(support: Support) -> str:
    remarks = f" ({', '.join(support.remarks)})" if support.remarks else ""
    return f"{support.key} {support.outcome or 'not run'}{remarks}"


def _unsettled(answer: Answer) -> str:
    """Say what is open, or that the row's claims were not run at all."""
    if not answer.unsettled:
        return ""
    if all(support.outcome is None for support in answer.supports):
        return NOT_RUN
    return f"{UNSETTLED} {'; '.join(answer.unsettled)}."


def _numbers(answer: Answer) -> list[str]:
    told = ((MEASURED, answer.measured), (FITTED, answer.fitted))
    return [f"{head} {'; '.join(lines)}." for head, lines in told if lines]


def _with_code(text: str) -> str:
    """Turn text between backticks into code."""
    pieces = [escape(piece) for piece in text.split("`")]
    return "".join(f"<code>{each}</code>" if n % 2 else each for n, each in enumerate(pieces))
