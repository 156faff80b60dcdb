"""Claims and verdicts as plain text, for a terminal of 80 columns."""

import textwrap
from typing import TYPE_CHECKING

from bslib.claims import card, palette, wording

if TYPE_CHECKING:
    from bslib.claims.claim import Claim
    from bslib.claims.verdict import Verdict

COLUMNS = 80


def verdict_text(verdict: "Verdict") -> str:
    """Return a verdict's whole card."""
    lines = [
        f"{_marked(verdict.outcome).upper()}  claim {verdict.key}",
        *_wrapped(verdict.statement),
        *_wrapped(verdict.summary),
    ]
    for arm in verdict.arms:
        lines += ["", *_wrapped(f"{_marked(arm.outcome)}: {arm.name}")]
        lines += _wrapped(arm.quantity, 4)
        lines += _wrapped(f"measured {''.join(card.measured_words(arm))}", 4)
        lines += _wrapped(f"supports the claim: {wording.region(arm.low, arm.high, arm.unit)}", 4)
        if arm.reason and arm.estimate.value is not None:
            lines += _wrapped(f"not decided: {arm.reason}", 4)
    lines += ["", *_wrapped(card.together_words(verdict))]
    lines += _wrapped(f"Expected from the literature: {card.prediction_words(verdict)}")
    lines += _wrapped(f"Measured on: {card.scope_words(verdict.scope)}")
    return "\n".join(lines)


def claim_text(claim: "Claim") -> str:
    """Return a claim as it stands before any data."""
    lines = [f"Claim {claim.key} before the measurement", *_wrapped(claim.statement)]
    lines += ["", *_wrapped(f"Criterion. {claim.criterion}")]
    for arm in claim.arms:
        lines += ["", *_wrapped(arm.name), *_wrapped(f"{arm.quantity}: {arm.region}", 4)]
    expected = f"{claim.prediction}: {claim.because} ({claim.source})"
    return "\n".join([*lines, "", *_wrapped(f"Expected from the literature: {expected}")])


def line(verdict: "Verdict") -> str:
    """Return a verdict in one line: symbol, outcome, key and question."""
    return f"{_marked(verdict.outcome):<14}  {verdict.key}  {verdict.title}"


def _marked(outcome: str) -> str:
    return f"{palette.SYMBOL[outcome]} {outcome}"


def _wrapped(text: str, indent: int = 2) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text, COLUMNS, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
