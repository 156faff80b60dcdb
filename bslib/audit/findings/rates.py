"""Findings about the tuning of the learning rate and the weight decay."""

from collections.abc import Iterator, Sequence

from bslib.audit import laws
from bslib.audit.bearing import needing
from bslib.audit.budgets import EPOCHS, STEPS, TARGET
from bslib.audit.facts import Facts
from bslib.audit.findings.finding import BLOCKS, NOTE, WEAKENS, Finding, listed, number
from bslib.audit.tuning import Tuned

# Neighbouring rates further apart than this leave a factor of two or more to luck.
COARSE = 4.0
UNEQUAL = 2.0
_NEEDS = {
    EPOCHS: {"tuned, equal epochs"},
    STEPS: {"tuned, equal steps"},
    TARGET: {"tuned to target", "bend"},
}
_ALWAYS = {"exponent", "crossed"}


def find(facts: Facts) -> Iterator[Finding]:
    """Find rates that were not tuned, winners at an edge, coarse and unequal grids."""
    groups = dict(facts.sizes)
    if facts.to_target:
        groups[TARGET] = list(facts.to_target.sizes)
    for kind, sizes in groups.items():
        yield from _untuned(facts, kind, sizes)
        yield from _edges(facts, kind, sizes)
        yield from _coarse(facts, kind, sizes)
        yield from _unequal(facts, kind, sizes)
    yield from _decay(facts)


def _untuned(facts: Facts, kind: str, sizes: Sequence[Tuned]) -> Iterator[Finding]:
    fixed = [each for each in sizes if not each.tried]
    if not fixed:
        return
    exponent = laws.rule(sizes)
    rates = sorted({each.learning_rate for each in fixed})
    if len(fixed) < len(sizes):
        where = listed(each.batch_size for each in fixed)
        seen = f"batch size {where} has one rate, the others up to {max(map(_count, sizes))}"
    elif exponent is not None:
        seen = (
            f"one rate a batch size, {number(sizes[0].learning_rate)} at "
            f"{sizes[0].batch_size:,} to {number(sizes[-1].learning_rate)} at "
            f"{sizes[-1].batch_size:,}: a scaling rule, about B^{exponent:.2f}"
        )
    else:
        seen = f"every batch size has the one rate {number(rates[0])}"
    middle = number(rates[len(rates) // 2])
    yield Finding(
        "untuned",
        BLOCKS,
        f"The learning rate is not tuned at each batch size ({kind})",
        seen,
        "the best rate moves with the batch size, so that a fixed rate or a fixed rule favours "
        "the sizes that it happens to suit",
        f"at every size, five rates a factor of two apart about {middle}; go on where the best "
        "is at an end",
        needing(_NEEDS[kind] | _ALWAYS, facts, met=False),
    )


def _edges(facts: Facts, kind: str, sizes: Sequence[Tuned]) -> Iterator[Finding]:
    edged = [each for each in sizes if each.side]
    if not edged:
        return
    each = [
        f"{number(one.learning_rate)} at batch size {one.batch_size:,}, the {one.side} of "
        f"{len(one.rates)}"
        for one in edged
    ]
    beyond = [f"{_beyond(one)} at {one.batch_size:,}" for one in edged]
    yield Finding(
        "rate at an edge",
        BLOCKS,
        f"The best learning rate is at an edge of its grid ({kind})",
        listed(each, 4, "; "),
        "the true best lies beyond, so that these sizes are shown worse than they are",
        "there: " + listed(beyond, 4, "; "),
        needing(_NEEDS[kind] | _ALWAYS, facts, met=False),
    )


def _beyond(one: Tuned) -> str:
    # A grid's last gap, but no more than a factor of two that another edge could hide in.
    rates = one.rates if one.side == "highest" else one.rates[::-1]
    factor = min(max(rates[-1] / rates[-2], rates[-2] / rates[-1]), 2.0)
    factor = factor if one.side == "highest" else 1 / factor
    return " and ".join(number(one.learning_rate * factor**power) for power in (1, 2))


def _coarse(facts: Facts, kind: str, sizes: Sequence[Tuned]) -> Iterator[Finding]:
    coarse = [each for each in sizes if each.tuned and each.gap > COARSE * 1.01]
    if coarse:
        yield Finding(
            "coarse grid",
            WEAKENS,
            f"The learning rates are far apart ({kind})",
            f"a factor of {number(max(each.gap for each in coarse))} beside the best rate of "
            f"batch size {listed(each.batch_size for each in coarse)}",
            "the sizes whose optimum falls between two rates lose what the others do not",
            "rates half-way (in the logarithm) on both sides of the best",
            needing(_NEEDS[kind] | _ALWAYS, facts, met=True),
        )


def _unequal(facts: Facts, kind: str, sizes: Sequence[Tuned]) -> Iterator[Finding]:
    counts = {each.batch_size: len(each.rates) for each in sizes if each.tried}
    if len(counts) < 2 or all(each.fresh for each in sizes if each.tried):
        return
    few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[many] >= UNEQUAL * counts[few]:
        yield Finding(
            "unequal grids",
            WEAKENS,
            f"Some batch sizes had more tries than others ({kind})",
            f"{counts[few]} rates at {few:,}, {counts[many]} at {many:,}, and the same runs are "
            "chosen and compared",
            "the best of more tries looks better by luck alone",
            "the same number of rates everywhere, or the winners once more on fresh seeds",
            needing(_NEEDS[kind], facts, met=True),
        )


def _decay(facts: Facts) -> Iterator[Finding]:
    decays = facts.table.runs.groupby("batch_size")["weight_decay"]
    if facts.table.runs["weight_decay"].nunique() > 1 and (decays.nunique() == 1).all():
        firsts = decays.first()
        yield Finding(
            "decay confounded",
            BLOCKS,
            "Weight decay differs from one batch size to the next",
            f"{number(firsts.iloc[0])} at {firsts.index[0]:,}, {number(firsts.iloc[-1])} at "
            f"{firsts.index[-1]:,}, one at each size",
            "what it does cannot be told from what the batch size does",
            "hold it fixed, or try the same decays at every size",
            needing({"weight decay tuned"}, facts, met=False),
        )
    edged = [each for each in facts.pairs if each.decay_side]
    if edged:
        each = [
            f"{number(one.weight_decay)} at batch size {one.batch_size:,}, the {one.decay_side} "
            f"of {len(one.decays)}"
            for one in edged
        ]
        yield Finding(
            "decay at an edge",
            BLOCKS,
            "The best weight decay is at an edge of its grid",
            listed(each, 4, "; "),
            "more (or less) might do better yet, and not by the same at every size",
            "larger decays there" if edged[0].decay_side == "highest" else "smaller ones, and 0",
            needing({"weight decay tuned"}, facts, met=False),
        )
    if facts.table.confounded or facts.table.varied:
        yield _settings(facts)


def _settings(facts: Facts) -> Finding:
    confounded, varied = facts.table.confounded, facts.table.varied
    names = listed([*confounded, *varied])
    return Finding(
        "other settings",
        WEAKENS if confounded or varied else NOTE,
        "Other settings differ between runs",
        f"{names}" + (f" ({listed(confounded)}: one value a batch size)" if confounded else ""),
        "what they do is mixed with what the batch size does",
        "hold them fixed, say why they follow the batch size, or audit one value: "
        f"--where {(*varied, *confounded)[0]} VALUE",
    )


def _count(each: Tuned) -> int:
    return len(each.rates)
