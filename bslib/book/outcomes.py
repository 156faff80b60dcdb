"""How an outcome looks on a page: one badge, in the ledger, the lists and the sentences."""

from bslib.claims import card

OPEN = (
    "border:1px dashed currentColor;border-radius:1em;display:inline-block;font-weight:400;"
    "opacity:.75;padding:0 .6em;white-space:nowrap"
)


def badge(outcome: str | None, missing: str = "not run yet") -> str:
    """Return an outcome as a coloured word in HTML; None is a claim without a verdict."""
    if outcome is None:
        return f'<span class="bs-badge bs-open" style="{OPEN}">{missing}</span>'
    return card.badge(outcome)
