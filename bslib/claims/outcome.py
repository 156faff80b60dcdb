"""From an interval and a region to an outcome: of one arm, and of all arms together."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from bslib.stats.estimate import Estimate, refused
from bslib.stats.samples import t_quantile

SUPPORTED, REFUTED = "supported", "refuted"
CONDITIONAL, INCONCLUSIVE = "conditional", "inconclusive"
OUTCOMES = (SUPPORTED, REFUTED, CONDITIONAL, INCONCLUSIVE)

LEVEL = 0.95
# Bonferroni over all arms of the book's claims, which a test counts.
SIMULTANEOUS_LEVEL = 1 - 0.05 / 78
# Above this many seeds the number is not worth computing: the effect lies at its margin.
MOST_SEEDS = 1_000
# Above this many, which nobody runs, the number is not told.
PRACTICAL_SEEDS = 100


@dataclass(frozen=True)
class ArmVerdict:
    """What was measured in one arm, and what follows.

    Attributes:
        name, quantity, unit, low, high: as in the catalogue when it was judged.
        estimate: at 95 % or above.
        outcome: ``"supported"``, ``"refuted"`` or ``"inconclusive"``.
        reason: why it is inconclusive; else empty.
        seeds_needed: about how many seeds would decide; 1,001 stands for more than 1,000, None
            for not needed or not known.
        simultaneous: the estimate at ``SIMULTANEOUS_LEVEL``, or refused with the reason why not.
        simultaneous_outcome: what follows from that one.
    """

    name: str
    quantity: str
    unit: str
    low: float
    high: float
    estimate: Estimate
    outcome: str
    reason: str
    seeds_needed: int | None
    simultaneous: Estimate
    simultaneous_outcome: str

    @property
    def holds(self) -> bool:
        """Whether it is decided, and the same with all arms of the book judged together."""
        return self.outcome != INCONCLUSIVE and self.simultaneous_outcome == self.outcome


def decide(estimate: Estimate, low: float, high: float) -> str:
    """Supported if the interval lies inside the closed region, refuted if wholly outside it."""
    if not _usable(estimate):
        return INCONCLUSIVE
    if low <= estimate.low and estimate.high <= high:
        return SUPPORTED
    if estimate.high < low or estimate.low > high:
        return REFUTED
    return INCONCLUSIVE


def combine(outcomes: Collection[str]) -> str:
    """Return the claim's outcome from its arms'."""
    found = set(outcomes)
    if {SUPPORTED, REFUTED} <= found:
        return CONDITIONAL
    return found.pop() if len(found) == 1 else INCONCLUSIVE


def at_level(estimate: Estimate, level: float) -> Estimate:
    """Return the estimate at ``level``, refused where its method fails there."""
    try:
        return estimate.at(level)
    # A verdict comes at the end of a long run and must not be lost to an odd estimate.
    except Exception as error:
        return refused(f"its method fails at level {level:.4g}: {error}", level=level)


def why_undecided(estimate: Estimate, needed: int | None) -> str:
    """Say why an interval neither supports nor refutes, and what would decide."""
    if not _usable(estimate):
        return estimate.reason or "the estimate is not a number"
    because = f" ({estimate.reason})" if estimate.reason else ""
    return f"the interval reaches across the region's edge{because}; {enough_words(needed)}"


def enough_words(needed: int | None) -> str:
    """Say how many seeds would decide."""
    if needed is None:
        return "how many seeds would decide cannot be told from it"
    many = f"about {needed}" if needed <= PRACTICAL_SEEDS else "no practical number of"
    return f"{many} seeds would decide"


def seeds_needed(estimate: Estimate, low: float, high: float) -> int | None:
    """Estimate how many seeds would take the interval off the region's edge.

    The half-width at m seeds is taken as t(m - 1) s / sqrt(m), with s from the present
    half-width at n. It has to fit between the value and each edge on its side: both edges
    for a value inside the region, the nearer for one outside. Capped at 1,001: a value on an
    edge is decided by no number of seeds. None where there is no spread to go by. An estimate
    that says itself how many it needs is believed.
    """
    value, count = estimate.value, estimate.n
    if estimate.needed is not None:
        return min(estimate.needed, MOST_SEEDS + 1)
    if value is None or not math.isfinite(value) or count < 2:
        return None
    widths = [value - estimate.low, estimate.high - value]
    if not all(0 <= width < math.inf for width in widths):
        return None
    unit = t_quantile(estimate.level, count - 1) / math.sqrt(count)
    edges = [low, high] if low <= value <= high else [low if value < low else high]
    spreads = [(abs(edge - value), widths[edge > value] / unit) for edge in edges]
    return max(_count(room, spread, estimate.level) for room, spread in spreads)


def _count(room: float, spread: float, level: float) -> int:
    if spread == 0 or math.isinf(room):
        return 2
    if room == 0 or _half(MOST_SEEDS, spread, level) > room:
        return MOST_SEEDS + 1
    few, enough = 1, MOST_SEEDS
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (middle, enough) if _half(middle, spread, level) > room else (few, middle)
    return enough


def _half(count: int, spread: float, level: float) -> float:
    return math.inf if count < 2 else t_quantile(level, count - 1) * spread / math.sqrt(count)


def _usable(estimate: Estimate) -> bool:
    if estimate.value is None or math.isnan(estimate.value):
        return False
    # An interval at one point at infinity is a broken measurement, not "at least".
    return estimate.low < math.inf and estimate.high > -math.inf
