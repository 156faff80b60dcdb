"""An arm's estimate in a sentence: as it is, or, where it is an exponent, what a doubling does."""

import math
from dataclasses import dataclass

from bslib import claims
from bslib.claims import card, wording

DOUBLING, ROUGHLY = "doubling", "roughly"
# A doubling's factor is told up to here: beyond, an exponent is a broken measurement.
MOST_OCTAVES = 60.0


@dataclass(frozen=True)
class Number:
    """An estimate with its interval; ``format`` writes it into a sentence.

    Without a format it is the estimate and its interval with their unit. ``doubling of the NAME``
    reads it as an exponent of NAME: "36 % lower [35, 37] with each doubling of the NAME".
    ``doubling`` leaves out the rest, and ``roughly`` the interval.
    """

    value: float
    low: float
    high: float
    words: str

    def __format__(self, spec: str) -> str:
        """Write it as ``spec`` asks."""
        if not spec:
            return self.words
        if spec == ROUGHLY:
            return f"about {wording.plain(round(self.value, 1))}"
        word, _, name = spec.partition(" of the ")
        if word != DOUBLING:
            raise ValueError(f"a number is written as {DOUBLING!r} or {ROUGHLY!r}, not {spec!r}")
        if self.low == self.high == 0:
            return f"the same at every {name}" if name else "the same"
        return f"{self._changed()} with each {spec}" if name else self._changed()

    def _changed(self) -> str:
        """Say by how many percent a doubling changes what has this exponent."""
        middle, low, high = map(_percent, (self.value, self.low, self.high))
        if low < 0 < high:
            return f"between {-low} % lower and {high} % higher"
        word = "lower" if low < 0 else "higher"
        near, far = sorted((abs(low), abs(high)))
        bounds = "" if near == far else f" [{near}, {far}]"
        return f"{abs(middle)} % {word}{bounds}"

    def nearer_zero(self, other: "Number") -> bool:
        """Say whether all of its interval lies between zero and all of the other's."""
        return _sizes(self)[1] < _sizes(other)[0] and self.value * other.value >= 0


def _sizes(number: Number) -> tuple[float, float]:
    """Return the least and the greatest size that an interval holds."""
    near, far = sorted((abs(number.low), abs(number.high)))
    return (0.0 if number.low < 0 < number.high else near), far


def of(arm: claims.ArmVerdict) -> Number | None:
    """Return an arm's number; None where nothing could be estimated."""
    estimate = arm.estimate
    if estimate.value is None:
        return None
    return Number(estimate.value, estimate.low, estimate.high, card.measured_words(arm)[0])


def _percent(exponent: float) -> int:
    octaves = min(max(exponent, -MOST_OCTAVES), MOST_OCTAVES)
    return round(100 * (math.exp2(octaves) - 1))
