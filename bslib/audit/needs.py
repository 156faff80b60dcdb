"""What an arm of a claim may ask of a table, and whether the table has it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bslib.audit.budgets import EPOCHS, STEPS
from bslib.audit.facts import Facts
from bslib.audit.tuning import Tuned
from bslib.scaling import best_batch_size

FEWEST_SEEDS = 3
FAR = 16  # times the critical batch size, or a part of it (claim 3.1)
APART = 8  # times another batch size (claim 3.8)


@dataclass(frozen=True)
class Need:
    """A property of a table.

    Attributes:
        words: what would give it to a table that lacks it; follows "could, with".
        met: whether a table has it.
    """

    words: str
    met: Callable[[Facts], bool]


def _fair(sizes: Sequence[Tuned]) -> bool:
    return len(sizes) > 1 and all(each.tuned for each in sizes)


def _seeds(facts: Facts) -> bool:
    if facts.readable:
        return max(way.seeds for way in facts.readable) >= FEWEST_SEEDS
    target = facts.to_target
    return target is not None and target.runs.groupby("batch_size").size().min() >= FEWEST_SEEDS


def _decayed(facts: Facts) -> bool:
    every = {each.batch_size for each in facts.sizes.get(STEPS, [])}
    return _fair(facts.pairs) and {each.batch_size for each in facts.pairs} == every


def _exponent(facts: Facts) -> bool:
    return any(each.value is not None for each in facts.exponents.values())


def _optimizer(facts: Facts, name: str) -> bool:
    return name in facts.table.optimizer


def _full_batch(facts: Facts) -> bool:
    data, sizes = facts.table.data_size, facts.table.batch_sizes
    return data is not None and sizes[-1] >= data


def _bend(facts: Facts) -> float | None:
    return facts.to_target.critical_batch_size.value if facts.to_target else None


def _rates_of_both(facts: Facts) -> bool:
    """Whether two rates or more were tried at the smallest and the largest size, equal steps."""
    sizes = facts.sizes.get(STEPS, [])
    return len(sizes) > 1 and len(set(sizes[0].rates) & set(sizes[-1].rates)) > 1


def _crossed(facts: Facts) -> bool:
    """Whether a rate that is best for one size was tried at one eight times larger or smaller."""
    return any(
        one.tuned and other.tuned and one.learning_rate in other.rates
        for sizes in facts.sizes.values()
        for one in sizes
        for other in sizes
        if max(one.batch_size, other.batch_size) >= APART * min(one.batch_size, other.batch_size)
    )


def _timed(facts: Facts) -> bool:
    return facts.table.has("seconds")


def _reach(facts: Facts, low: float, high: float) -> bool:
    sizes = facts.table.batch_sizes
    return sizes[0] <= low and sizes[-1] >= high


NEEDS: Mapping[str, Need] = {
    "fixed rate, equal epochs": Need(
        "one rate at all sizes, equal epochs",
        lambda facts: not facts.ways[best_batch_size.FIXED].reason,
    ),
    "tuned, equal epochs": Need(
        "rates tuned at every size, equal epochs",
        lambda facts: _fair(facts.sizes.get(EPOCHS, [])),
    ),
    "tuned, equal steps": Need(
        "rates tuned at every size, equal steps",
        lambda facts: _fair(facts.sizes.get(STEPS, [])),
    ),
    "weight decay tuned": Need(
        "weight decay tuned too, equal steps", _decayed
    ),
    "several rates, equal steps": Need(
        "two rates at all sizes, equal steps", _rates_of_both
    ),
    "tuned to target": Need(
        "steps to a target, rates tuned at three sizes",
        lambda facts: facts.to_target is not None and facts.to_target.tuned,
    ),
    "bend": Need(
        "sizes on both sides of the critical one", lambda facts: _bend(facts) is not None
    ),
    "far below": Need(
        "three sizes below 1/16 of the critical one",
        lambda facts: _count(facts, lambda size, bend: size <= bend / FAR),
    ),
    "far above": Need(
        "three sizes above 16 times the critical one",
        lambda facts: _count(facts, lambda size, bend: size >= bend * FAR),
    ),
    "exponent": Need("rates tuned at three sizes", _exponent),
    "sgd": Need("SGD, in a column optimizer", lambda f: _optimizer(f, "sgd")),
    "adamw": Need("AdamW, in a column optimizer", lambda f: _optimizer(f, "adamw")),
    "held out": Need(
        "a validation or test metric", lambda facts: facts.table.metric.held_out
    ),
    "accuracy": Need("an accuracy", lambda facts: facts.table.points),
    "full batch": Need("the whole data set as a batch (and data_size)", _full_batch),
    "crossed": Need(
        "best rates tried at sizes eight times off too", _crossed
    ),
    "seconds": Need("seconds, on one quiet machine", _timed),
    "8 to 1,024": Need(
        "sizes from 8 to 1,024", lambda facts: _reach(facts, 8, 1024)
    ),
    "seeds": Need("three seeds", _seeds),
    "several data sizes": Need("that at three sizes of the data", lambda facts: False),
    "several widths": Need("that at three widths", lambda facts: False),
    "both norms": Need(
        "this sweep with batch norm and with group norm", lambda facts: False
    ),
}  # fmt: skip


def _count(facts: Facts, there: Callable[[float, float], bool]) -> bool:
    bend = _bend(facts)
    return bend is not None and sum(there(size, bend) for size in facts.table.batch_sizes) >= 3


# What a table of another kind would have to show: no fault of this one.
_OTHER_KINDS = ("several data sizes", "several widths", "both norms", "full batch", "seconds",
                "8 to 1,024")  # fmt: skip
_TO_TARGET = ("tuned to target", "bend", "far below", "far above")


def lacks_kind(needs: Sequence[str], facts: Facts) -> bool:
    """Whether some of these needs call for other experiments than the table holds."""
    other = [*_OTHER_KINDS, *(_TO_TARGET if facts.to_target is None else ())]
    return any(each in other and not NEEDS[each].met(facts) for each in needs)
