"""Which of the book's claims a table bears on: each arm's needs, against what the table has."""

from collections.abc import Mapping
from dataclasses import dataclass

from bslib import claims
from bslib.audit.facts import Facts
from bslib.audit.needs import NEEDS, lacks_kind
from bslib.claims import Claim

CAN, IN_PART, COULD, NOTHING = "can support", "can in part", "could", "says nothing"

_POINTS = ("held out", "accuracy", "seeds")
_EPOCHS = ("tuned, equal epochs", *_POINTS)
_STEPS = ("tuned, equal steps", *_POINTS)
_TARGET = ("tuned to target", "seeds")
_TIMED = (*_TARGET, "seconds")
# An arm that is not here asks for what no table of runs holds.
ARMS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("1.2", "throughput at small batches"): ("seconds", "8 to 1,024"),
    ("1.2", "mini-batches against the full batch"): (*_TIMED, "full batch"),
    ("1.3", "a fixed training set, many epochs"): (*_STEPS, "full batch"),
    ("1.4", "a small batch at a large learning rate"): (
        "several rates, equal steps", *_POINTS, "full batch",
    ),
    ("1.4", "a small batch at a small learning rate"): (
        "several rates, equal steps", *_POINTS, "full batch",
    ),
    ("2.2", "one target for every data size"): (*_TARGET, "bend", "several data sizes"),
    ("2.2", "a target relative to each data size's best"): (
        *_TARGET, "bend", "several data sizes",
    ),
    ("2.3", "what training can use"): (*_TARGET, "bend", "several widths"),
    ("2.4", "iterations"): _TARGET,
    ("2.4", "generalisation at equal epochs"): _EPOCHS,
    ("2.4", "generalisation at equal steps"): _STEPS,
    ("2.5", "SGD well below the critical batch size"): ("exponent", "sgd", "seeds"),
    ("2.5", "AdamW well below the critical batch size"): ("exponent", "adamw", "seeds"),
    ("2.5", "SGD well above the critical batch size"): (
        "exponent", "sgd", "seeds", "bend", "far above",
    ),
    ("2.6", "generalisation at equal training loss"): (*_TARGET, "held out", "accuracy"),
    ("2.6", "training time in steps"): _TARGET,
    ("2.6", "training time in examples"): _TARGET,
    ("2.6", "training time in seconds"): _TIMED,
    ("2.7", "a fixed learning rate, equal epochs"): (
        "fixed rate, equal epochs", "weight decay tuned", "held out", "seeds",
    ),
    ("2.7", "a tuned learning rate, equal epochs"): (
        "tuned, equal epochs", "weight decay tuned", "held out", "seeds",
    ),
    ("2.7", "a tuned learning rate, equal steps"): (
        "tuned, equal steps", "weight decay tuned", "held out", "seeds",
    ),
    ("2.8", "batch norm's dependence on the batch"): ("both norms", *_POINTS),
    ("3.1", "steps at small batches"): (*_TARGET, "bend", "far below"),
    ("3.1", "steps at large batches"): (*_TARGET, "bend", "far above"),
    ("3.1", "seconds below the fastest batch size"): _TIMED,
    ("3.1", "seconds above the fastest batch size"): _TIMED,
    ("3.8", "retuning below the critical batch size"): ("crossed", *_POINTS),
    ("3.8", "retuning above the critical batch size"): ("crossed", *_POINTS, "bend"),
    ("3.9", "without weight decay"): _STEPS,
    ("3.9", "with weight decay tuned at each batch size"): ("weight decay tuned", *_POINTS),
}  # fmt: skip
# What the other claims are about.
ABOUT: Mapping[str, str] = {
    "1.1": "memory",
    "1.5": "several workers",
    "1.6": "the loss along trainings",
    "2.1": "memory",
    "2.9": "several workers",
    "3.2": "use of the hardware",
    "3.3": "gradients",
    "3.4": "the loss along trainings",
    "3.5": "several workers",
    "3.6": "the loading of data",
    "3.7": "memory",
}


@dataclass(frozen=True)
class Bearing:
    """What a table can say of one claim.

    Attributes:
        key: of the claim.
        status: :data:`CAN`, :data:`IN_PART`, :data:`COULD` or :data:`NOTHING`.
        arms: names of the arms that it can support or refute.
        lacks: what the nearest of the other arms needs; empty where nothing would do.
        reason: in a few words.
    """

    key: str
    status: str
    arms: tuple[str, ...]
    lacks: tuple[str, ...]
    reason: str


def bear(facts: Facts) -> list[Bearing]:
    """Say of every claim whether the table bears on it, from the needs of its arms."""
    met = {name for name, need in NEEDS.items() if need.met(facts)}
    return [_bearing(claim, met, facts) for claim in claims.CATALOGUE.values()]


def _bearing(claim: Claim, met: set[str], facts: Facts) -> Bearing:
    asked = {arm.name: ARMS[claim.key, arm.name] for arm in claim.arms
             if (claim.key, arm.name) in ARMS}  # fmt: skip
    if not asked:
        about = ABOUT.get(claim.key, "what no table of runs holds")
        return Bearing(claim.key, NOTHING, (), (), f"it is about {about}")
    can = tuple(name for name, needs in asked.items() if met.issuperset(needs))
    if len(can) == len(claim.arms):
        return Bearing(claim.key, CAN, can, (), "all its arms")
    lacking: list[tuple[str, ...]] = [
        tuple(each for each in needs if each not in met) for needs in asked.values()
    ]
    # The nearest: what the table's kind could have first, then what lacks least.
    lacks = min(
        filter(None, lacking), key=lambda each: (lacks_kind(each, facts), len(each)), default=()
    )
    if can:
        return Bearing(claim.key, IN_PART, can, lacks, "; ".join(can))
    return Bearing(claim.key, COULD, (), lacks, "; ".join(NEEDS[each].words for each in lacks))


def needing(needs: set[str], facts: Facts, *, met: bool) -> tuple[str, ...]:
    """Return the claims that hang on some of these needs, as far as the table's kind goes.

    Args:
        needs: names in :data:`bslib.audit.needs.NEEDS`.
        facts: of the table.
        met: count the needs that the table meets, and so what is weakened; else those that it
            does not, and so what is blocked.
    """
    wanted = {each for each in needs if NEEDS[each].met(facts) == met}
    found = {
        key
        for (key, _), asked in ARMS.items()
        if wanted & set(asked) and not lacks_kind(asked, facts)
    }
    return tuple(key for key in claims.CATALOGUE if key in found)
