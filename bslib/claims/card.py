"""Claims and verdicts as cards, in HTML that brings its own styles; see also plain_card.

Everything that is not written here is escaped. Text takes the surrounding page's colour, so
that cards read in light and dark, and an outcome is a word and a symbol before it is a colour.
"""

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from bslib.claims import palette, wording
from bslib.claims.interval_picture import picture
from bslib.claims.outcome import SIMULTANEOUS_LEVEL, ArmVerdict

if TYPE_CHECKING:
    from bslib.claims.claim import Claim
    from bslib.claims.verdict import Verdict

_CARD = (
    f"color:{palette.TEXT};background:{palette.GROUND};border:1px solid {palette.EDGE};"
    "border-radius:.4em;padding:.8em 1em;margin:.5em 0;max-width:46em;line-height:1.45;"
    "overflow-wrap:anywhere;text-align:left"
)
_FAINT = "font-size:.88em;opacity:.85"
_PILL = (
    "display:inline-block;color:#fff;padding:.05em .6em;border-radius:1em;font-weight:600;"
    "white-space:nowrap"
)


def badge(outcome: str) -> str:
    """Return an outcome as a coloured word with its symbol."""
    style = f"{_PILL};background:{palette.FILL[outcome]}"
    return f'<span class="bs-badge bs-{outcome}" style="{style}">{_word(outcome)}</span>'


def verdict_html(verdict: "Verdict") -> str:
    """Return a verdict's whole card."""
    color = palette.LINE[verdict.outcome]
    parts = [
        _block(f"{badge(verdict.outcome)} <strong>Claim {escape(verdict.key)}</strong>"),
        _block(escape(verdict.statement), "font-size:1.08em;margin:.5em 0"),
        _block(escape(verdict.summary)),
        *[_arm(arm) for arm in verdict.arms],
        _block(_together(verdict), f"{_FAINT};margin-top:.8em"),
        _block(_prediction(verdict), _FAINT),
        _block(f"<strong>Measured on:</strong> {escape(scope_words(verdict.scope))}", _FAINT),
    ]
    return (
        f'<div class="bs-verdict bs-{verdict.outcome}" role="group" '
        f'aria-label="Verdict on claim {escape(verdict.key)}: {verdict.outcome}" '
        f'style="{_CARD};border-left:.4em solid {color}">{"".join(parts)}</div>'
    )


def claim_html(claim: "Claim") -> str:
    """Return a claim as it stands before any data: what is asked and what would decide."""
    parts = [
        _block(f"<strong>Claim {escape(claim.key)}</strong> before the measurement"),
        _block(escape(claim.statement), "font-size:1.08em;margin:.5em 0"),
        _block(f"<strong>Criterion.</strong> {escape(claim.criterion)}"),
        *[_asked(arm.name, arm.quantity, arm.region) for arm in claim.arms],
        _block(
            f"<strong>Expected from the literature:</strong> {escape(claim.prediction)}: "
            f"{escape(claim.because)} ({escape(claim.source)})",
            f"{_FAINT};margin-top:.8em",
        ),
    ]
    return f'<div class="bs-claim" style="{_CARD}">{"".join(parts)}</div>'


def scope_words(scope: dict[str, Any]) -> str:
    """Write a scope in one line: "task digits, model mlp, ....", without the data's checksum."""
    told = {name: value for name, value in scope.items() if name != "checksum"}
    return ", ".join(f"{name} {_scope_value(value)}" for name, value in told.items()) or "not said"


def together_words(verdict: "Verdict") -> str:
    """Say whether the verdict outlives judging all claims at once."""
    level = wording.level(SIMULTANEOUS_LEVEL)
    if verdict.outcome == "inconclusive":
        return f"Nothing is decided that could hold at {level}, for all claims at once."
    if verdict.holds:
        return f"The verdict also holds at {level}, for all claims at once."
    lost = "; ".join(arm.name for arm in verdict.arms if arm.outcome != arm.simultaneous_outcome)
    return f"The verdict does not hold at {level}, for all claims at once ({lost})."


def prediction_words(verdict: "Verdict") -> str:
    """Set the verdict beside what the literature leads one to expect."""
    said = {
        "agrees": ", as measured here",
        "same word": f"; measured: {verdict.outcome}",
        "differs": f", which differs from what was measured here ({verdict.outcome})",
        "undecided": ", which this measurement does not decide",
    }["same word" if verdict.alike_in_word else verdict.agreement]
    return f"{verdict.prediction}{said}. {verdict.because} ({verdict.source})"


def measured_words(arm: ArmVerdict) -> tuple[str, str]:
    """Write an arm's estimate and interval, and what stands behind it or why there is none."""
    estimate = arm.estimate
    if estimate.value is None:
        return "nothing", f": {estimate.reason}"
    figures = wording.interval(estimate.value, estimate.low, estimate.high)
    unit = f" {arm.unit}" if arm.unit else ""
    level = f" ({wording.level(estimate.level)} interval, n = {estimate.n:,})"
    return f"{figures}{unit}", level if estimate.n else " (exact)"


def _arm(arm: ArmVerdict) -> str:
    color = palette.LINE[arm.outcome]
    undecided = "" if arm.estimate.value is None else arm.reason
    parts = [
        _block(f"<strong>{escape(arm.name)}</strong>: {_word(arm.outcome)}"),
        _block(escape(arm.quantity), _FAINT),
        _block(
            f"measured {_measured(arm)}<br>"
            f"supports the claim: {escape(wording.region(arm.low, arm.high, arm.unit))}"
        ),
        picture(arm),
        _block(f"not decided: {escape(undecided)}", _FAINT) if undecided else "",
    ]
    style = f"border-left:.2em solid {color};padding-left:.7em;margin:.7em 0 0"
    return f'<div class="bs-arm" style="{style}">{"".join(parts)}</div>'


def _measured(arm: ArmVerdict) -> str:
    figures, behind = measured_words(arm)
    return f"<strong>{escape(figures)}</strong>{escape(behind)}"


def _asked(name: str, quantity: str, region: str) -> str:
    style = f"border-left:.2em solid {palette.EDGE};padding-left:.7em;margin:.6em 0 0"
    parts: Iterable[str] = (
        _block(f"<strong>{escape(name)}</strong>"),
        _block(f"{escape(quantity)}: {escape(region)}", _FAINT),
    )
    return f'<div class="bs-arm" style="{style}">{"".join(parts)}</div>'


def _together(verdict: "Verdict") -> str:
    return escape(together_words(verdict))


def _prediction(verdict: "Verdict") -> str:
    return f"<strong>Expected from the literature:</strong> {escape(prediction_words(verdict))}"


def _word(outcome: str) -> str:
    symbol = f'<span aria-hidden="true">{palette.SYMBOL[outcome]}</span>'
    return f'<span style="white-space:nowrap">{symbol} {outcome}</span>'


def _block(content: str, style: str = "") -> str:
    return f'<div style="{style}">{content}</div>' if style else f"<div>{content}</div>"


def _scope_value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_scope_value, value)) + "]"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
