"""Judging a claim: arms to outcomes to one verdict that carries its evidence and its scope."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bslib.claims import card, encoding, outcome, plain_card
from bslib.claims.claim import Arm, Claim
from bslib.claims.outcome import CONDITIONAL, INCONCLUSIVE, LEVEL, SIMULTANEOUS_LEVEL, ArmVerdict
from bslib.stats.estimate import Estimate

MIME = "application/vnd.bslib.verdict+json"
_FORMAT = 1


@dataclass(frozen=True)
class Verdict:
    """A claim with what was measured and what follows; displays as a card.

    Attributes:
        key, section, title, statement, criterion, criterion_hash, prediction, because,
            source: the claim's, as they stood when it was judged.
        outcome: ``"supported"``, ``"refuted"``, ``"conditional"`` or ``"inconclusive"``.
        summary: the outcome in a sentence that names the arms.
        arms: in the catalogue's order.
        scope: what it was measured on: task, model, device, profile, seeds.
    """

    key: str
    section: str
    title: str
    statement: str
    criterion: str
    criterion_hash: str
    prediction: str
    because: str
    source: str
    outcome: str
    summary: str
    arms: tuple[ArmVerdict, ...]
    scope: dict[str, Any]

    @property
    def holds(self) -> bool:
        """Whether it is decided, and the same with all arms of the book judged together."""
        together = outcome.combine([arm.simultaneous_outcome for arm in self.arms])
        return self.outcome != INCONCLUSIVE and together == self.outcome

    @property
    def agreement(self) -> str:
        """How it compares with the prediction: ``"agrees"``, ``"differs"``, ``"undecided"``."""
        if self.outcome == INCONCLUSIVE:
            return "undecided"
        return "agrees" if self.outcome == self.prediction else "differs"

    @property
    def alike_in_word(self) -> bool:
        """Whether both are conditional: other arms may have come out so than were expected to."""
        return self.agreement == "agrees" and self.outcome == CONDITIONAL

    def to_json(self) -> dict[str, Any]:
        """Return plain data that :mod:`json` writes without NaN or Infinity."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        arms = [_arm_to_json(arm) for arm in self.arms]
        derived = {"holds": self.holds, "agreement": self.agreement}
        return {"format": _FORMAT, **own, "arms": arms, "scope": dict(self.scope), **derived}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Verdict":
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is no verdict, or one of a format that is not known here.
        """
        if data.get("format") != _FORMAT:
            raise ValueError(f"verdict of format {data.get('format')!r}; this reads {_FORMAT}")
        try:
            own = {each.name: data[each.name] for each in fields(cls)}
            arms = tuple(_arm_from_json(arm) for arm in data["arms"])
            return cls(**{**own, "arms": arms, "scope": dict(data["scope"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a verdict: {error!r}") from error

    def html(self) -> str:
        """Return the card as HTML that needs no style sheet."""
        return card.verdict_html(self)

    def text(self) -> str:
        """Return the card for a terminal of 80 columns."""
        return plain_card.verdict_text(self)

    def badge(self) -> str:
        """Return the outcome as one coloured word with its symbol, in HTML."""
        return card.badge(self.outcome)

    def line(self) -> str:
        """Return the verdict as one line of plain text."""
        return plain_card.line(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.html(), "text/plain": self.text(), MIME: self.to_json()}


def judge_claim(
    claim: Claim, estimates: Mapping[str, Estimate], scope: Mapping[str, Any] | None = None
) -> Verdict:
    """Judge a claim by one estimate an arm; :func:`bslib.claims.judge` takes its key.

    An arm is supported when its interval lies inside the arm's region, refuted when wholly
    outside, else inconclusive; a refused estimate is inconclusive. The claim is supported or
    refuted when all its arms are, conditional when at least one of each is, else
    inconclusive. An estimate at a level below 95 % is judged at 95 %.

    Raises:
        ValueError: an arm has no estimate, or an estimate no arm. Nothing else raises.
    """
    wanted = {arm.name for arm in claim.arms}
    if wanted != set(estimates):
        missing, extra = sorted(wanted - set(estimates)), sorted(set(estimates) - wanted)
        raise ValueError(
            f"claim {claim.key} has the arms {sorted(wanted)}; missing {missing}, unknown {extra}"
        )
    arms = tuple(_judge_arm(arm, estimates[arm.name]) for arm in claim.arms)
    result = outcome.combine([arm.outcome for arm in arms])
    return Verdict(
        key=claim.key,
        section=claim.section,
        title=claim.title,
        statement=claim.statement,
        criterion=claim.criterion,
        criterion_hash=claim.criterion_hash,
        prediction=claim.prediction,
        because=claim.because,
        source=claim.source,
        outcome=result,
        summary=_summary(arms, result),
        arms=arms,
        scope={str(name): encoding.plain(value) for name, value in (scope or {}).items()},
    )


def _judge_arm(arm: Arm, given: Estimate) -> ArmVerdict:
    estimate = given if given.level >= LEVEL else outcome.at_level(given, LEVEL)
    wide = outcome.at_level(given, SIMULTANEOUS_LEVEL)
    result = outcome.decide(estimate, arm.low, arm.high)
    needed = None
    if result == INCONCLUSIVE:
        needed = outcome.seeds_needed(estimate, arm.low, arm.high)
    return ArmVerdict(
        name=arm.name,
        quantity=arm.quantity,
        unit=arm.unit,
        low=arm.low,
        high=arm.high,
        estimate=estimate,
        outcome=result,
        reason=outcome.why_undecided(estimate, needed) if result == INCONCLUSIVE else "",
        seeds_needed=needed,
        simultaneous=wide,
        simultaneous_outcome=outcome.decide(wide, arm.low, arm.high),
    )


def _summary(arms: tuple[ArmVerdict, ...], result: str) -> str:
    """Name the arms by outcome; undecided ones with what would decide them."""
    if result not in (CONDITIONAL, INCONCLUSIVE):
        every = {1: "in its one arm", 2: "in both arms"}.get(len(arms), f"in all {len(arms)} arms")
        return f"{result.capitalize()} {every}."
    parts = []
    for word in (outcome.SUPPORTED, outcome.REFUTED):
        names = [arm.name for arm in arms if arm.outcome == word]
        parts += [f"{word.capitalize()}: {'; '.join(names)}."] if names else []
    open_arms = [_open_arm(arm) for arm in arms if arm.outcome == INCONCLUSIVE]
    parts += [f"Not decided: {'; '.join(open_arms)}."] if open_arms else []
    return " ".join(parts)


def _open_arm(arm: ArmVerdict) -> str:
    missing = arm.estimate.value is None
    return f"{arm.name} ({'no estimate' if missing else outcome.enough_words(arm.seeds_needed)})"


def _arm_to_json(arm: ArmVerdict) -> dict[str, Any]:
    own = {each.name: getattr(arm, each.name) for each in fields(arm)}
    return own | {
        "low": encoding.number(arm.low),
        "high": encoding.number(arm.high),
        "estimate": encoding.estimate(arm.estimate),
        "simultaneous": encoding.estimate(arm.simultaneous),
        "holds": arm.holds,
    }


def _arm_from_json(data: Mapping[str, Any]) -> ArmVerdict:
    own = {each.name: data[each.name] for each in fields(ArmVerdict)}
    own |= {"low": float(data["low"]), "high": float(data["high"])}
    own["estimate"] = encoding.read_estimate(data["estimate"])
    own["simultaneous"] = encoding.read_estimate(data["simultaneous"])
    return ArmVerdict(**own)
