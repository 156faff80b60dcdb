"""What a row of the cheat sheet is: a worry, and rules that the outcomes of named arms choose.

A rule is data: for each combination of outcomes of its arms one sentence. Which of them is shown
is read from a run's verdicts, and so is every number beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from bslib import claims
from bslib.book.cheat_sheet import numbers
from bslib.book.cheat_sheet.numbers import Number

YES, NO, OPEN, ANY = "supported", "refuted", "inconclusive", "any outcome, or none"
DECIDED = (YES, NO)


@dataclass(frozen=True)
class Basis:
    """An arm of a claim that a rule rests on.

    Attributes:
        key, arm: of the claim, and the arm's name in it.
        asks: what stays open where the arm is not decided; reads well after "Not settled here:".
    """

    key: str
    arm: str
    asks: str


@dataclass(frozen=True)
class Found:
    """What a run says of an arm.

    Attributes:
        outcome: the arm's; None where it was not run, or judged by a criterion that has changed.
        number: its estimate and interval with their unit; None without an estimate.
        why: why it is not decided; else empty.
    """

    outcome: str | None
    number: Number | None = None
    why: str = ""

    @property
    def decided(self) -> bool:
        """Whether the arm came out one way or the other."""
        return self.outcome in DECIDED


@dataclass(frozen=True)
class Rule:
    """Arms, and the sentence that each combination of their outcomes leads to.

    Attributes:
        bases: the arms, in the order of the words in ``says`` and of the numbers in ``shows``.
        says: of its entries the first that fits is taken: ``ANY`` fits every outcome and a
            missing one, and the other words fit themselves. Where none fits, nothing is said.
        shows: what was measured, in words that fit whatever came out, with ``{}`` or ``{0}``
            where an arm's number belongs, or ``{:doubling of the NAME}`` where that is an
            exponent; empty where numbers would tell a reader little.
        nearer: sentences in place of those of ``says`` where the last arm's interval lies
            wholly between zero and the first one's.
        fitted: whether the numbers come out of a fitted model, and were not measured.
    """

    bases: tuple[Basis, ...]
    says: Mapping[tuple[str, ...], str]
    shows: str = ""
    nearer: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    fitted: bool = False

    def sentence(self, found: Sequence[Found]) -> str:
        """Return what follows from what was found of the arms; or nothing."""
        first, last = found[0].number, found[-1].number
        is_nearer = first is not None and last is not None and last.nearer_zero(first)
        nearer = self.nearer.items() if is_nearer else ()
        for pattern, text in (*nearer, *self.says.items()):
            fits = [want in (ANY, got.outcome) for want, got in zip(pattern, found, strict=True)]
            if all(fits):
                return text
        return ""

    def measured(self, found: Sequence[Found]) -> str:
        """Fill in the numbers; nothing where no arm has one."""
        if not self.shows or not any(each.number for each in found):
            return ""
        return self.shows.format(*[each.number or _Missing() for each in found])


class _Missing:
    """Stands where an arm has no number, whatever the format."""

    def __format__(self, spec: str) -> str:
        return "(not measured)"


@dataclass(frozen=True)
class Row:
    """A decision or a worry, and the rules that answer it, read one after the other."""

    question: str
    rules: tuple[Rule, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The claims that the row rests on, each once."""
        return tuple(dict.fromkeys(basis.key for rule in self.rules for basis in rule.bases))


def alike(count: int, *, yes: str, no: str, mixed: str) -> dict[tuple[str, ...], str]:
    """Return the sentences of arms that try one thing: all supported, all refuted, some of each."""
    sentences = {(YES,) * count: yes, (NO,) * count: no}
    return {each: sentences.get(each, mixed) for each in product(DECIDED, repeat=count)}


def find(basis: Basis, verdict: claims.Verdict | None) -> Found:
    """Read an arm's outcome and number from the verdict on its claim; None is one not run."""
    if verdict is None:
        return Found(None, why="not run")
    if verdict.criterion_hash != claims.claim(basis.key).criterion_hash:
        return Found(None, why="judged by an older criterion")
    (arm,) = [each for each in verdict.arms if each.name == basis.arm]
    return Found(arm.outcome, numbers.of(arm), arm.reason)
