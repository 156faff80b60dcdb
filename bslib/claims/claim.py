"""What a claim is: a sentence, the arms it is tried in, and what would count for it."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from bslib.claims import card, plain_card, wording


@dataclass(frozen=True)
class Arm:
    """One condition under which a claim is tried.

    Attributes:
        name: reads well after "supported for".
        quantity: what is estimated, in words.
        low, high: the closed region that counts as support, its margin of practical
            equivalence included; either end may be infinite.
        unit: of the quantity; empty for a pure number.
        reference: what the margin is counted from: the value for no effect at all (0, or 1 for
            a ratio), or what a law predicts where the region lies about that.
    """

    name: str
    quantity: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    reference: float = 0.0

    @property
    def margin(self) -> float:
        """How far the region's nearer edge lies from ``reference``."""
        return abs(self.edge - self.reference)

    @property
    def edge(self) -> float:
        """The region's edge that is nearer to ``reference``."""
        return min(self.low, self.high, key=lambda edge: abs(edge - self.reference))

    @property
    def region(self) -> str:
        """The region of support in words and figures."""
        return wording.region(self.low, self.high, self.unit)


@dataclass(frozen=True)
class Claim:
    """A claim as it stands before any data.

    Attributes:
        key: ``"3.3"``: section and place in it.
        section: ``"1-why"``, ``"2-choosing"`` or ``"3-increasing"``, as the chapters' folder.
        title: the question, short: the page's title.
        statement: the claim in one sentence.
        arms: where it is tried; an arm supported means that the sentence holds there.
        criterion: what decides, as it stands on the page before the data.
        prediction: the outcome that the literature leads one to expect.
        because: why, in one sentence.
        source: authors and years.
        references: keys of the bibliography.
    """

    key: str
    section: str
    title: str
    statement: str
    arms: tuple[Arm, ...]
    criterion: str
    prediction: str
    because: str
    source: str
    references: tuple[str, ...]

    @property
    def criterion_hash(self) -> str:
        """Twelve hex digits that change with the criterion or an arm's name, quantity or region."""
        arms = [
            [arm.name, arm.quantity, repr(arm.low), repr(arm.high), arm.unit] for arm in self.arms
        ]
        text = json.dumps([self.criterion, arms])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": card.claim_html(self), "text/plain": plain_card.claim_text(self)}
