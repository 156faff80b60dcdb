"""How an outcome looks on a page: one badge, and in words what of the claim came out how."""

from bslib import claims
from bslib.claims import card
from bslib.claims.outcome import CONDITIONAL, INCONCLUSIVE, REFUTED, SUPPORTED

OPEN = (
    "border:1px dashed currentColor;border-radius:1em;display:inline-block;font-weight:400;"
    "opacity:.75;padding:0 .6em;white-space:nowrap"
)
ARMS = {SUPPORTED: "Supported", REFUTED: "Refuted", INCONCLUSIVE: "Not decided"}


def badge(outcome: str | None, missing: str = "not run yet") -> str:
    """Return an outcome as a coloured word in HTML; None is a claim without a verdict."""
    if outcome is None:
        return f'<span class="bs-badge bs-open" style="{OPEN}">{missing}</span>'
    return card.badge(outcome)


def glance(verdict: claims.Verdict, *, timed: bool) -> list[str]:
    """Say in a few words what a badge leaves out: under which arms, or on which device.

    Of several arms that came out alike the first is named, and the others are counted.

    Args:
        verdict: what the badge is of.
        timed: whether the page measures the device's own time.
    """
    if verdict.outcome == INCONCLUSIVE:
        return [counts(verdict)]
    if verdict.outcome != CONDITIONAL:
        return _device(verdict, timed)
    named = []
    for word, arms in _by_outcome(verdict).items():
        others = f", and {len(arms) - 1} more" if len(arms) > 1 else ""
        named.append(f"{ARMS[word]}: {arms[0].name}{others}.")
    return named


def remarks(verdict: claims.Verdict, *, timed: bool) -> list[str]:
    """Say all of it: every arm by outcome, and for one that is open what would decide it."""
    if verdict.outcome in (SUPPORTED, REFUTED):
        return _device(verdict, timed)
    head = [f"{counts(verdict)}."] if verdict.outcome == INCONCLUSIVE else []
    return [*head, verdict.summary]


def counts(verdict: claims.Verdict) -> str:
    """Count the arms of a claim that is not decided: "2 of 3 arms refuted, 1 open"."""
    found = {word: len(arms) for word, arms in _by_outcome(verdict).items()}
    still_open = found.pop(INCONCLUSIVE, 0)
    total = len(verdict.arms)
    if not found:
        return f"all {total} arms open"
    decided = ", ".join(f"{count} of {total} arms {word}" for word, count in found.items())
    return f"{decided}, {still_open} open"


def _by_outcome(verdict: claims.Verdict) -> dict[str, list[claims.ArmVerdict]]:
    groups = {word: [arm for arm in verdict.arms if arm.outcome == word] for word in ARMS}
    return {word: arms for word, arms in groups.items() if arms}


def _device(verdict: claims.Verdict, timed: bool) -> list[str]:
    """Name the device where the verdict is of its own time: another may have another."""
    return [f"on {verdict.scope['device']}"] if timed and "device" in verdict.scope else []
