"""Findings about how long trainings were, and at which batch sizes."""

from collections.abc import Iterator

from bslib.audit import budgets
from bslib.audit.bearing import needing
from bslib.audit.budgets import Budget
from bslib.audit.facts import Facts
from bslib.audit.findings.finding import (
    BLOCKS,
    NOTE,
    WEAKENS,
    Finding,
    counted,
    lines,
    listed,
    number,
)

# Half and twice an unknown critical batch size lie at least so far apart.
NARROWEST = 4.0
_EPOCHS = {"tuned, equal epochs", "fixed rate, equal epochs"}
_STEPS = {"tuned, equal steps", "weight decay tuned", "several rates, equal steps"}


def find(facts: Facts) -> Iterator[Finding]:
    """Find confounds of budget and batch size, stray runs, and too narrow a range of sizes."""
    found = facts.budgets
    if found.logged:
        yield _logged()
    elif found.epochs and not found.steps:
        yield _epochs_only(facts, found.epochs)
    elif found.steps and not found.epochs:
        yield _steps_only(facts, found.steps)
    elif found.clock:
        yield _clock(facts, found.clock)
    elif not found.kinds:
        yield _none(facts)
    if found.alone and found.kinds and not found.logged:
        yield _stray(found.alone, len(facts.table.runs))
    yield from _range(facts)
    yield from _disagreement(facts)


def _epochs_only(facts: Facts, budget: Budget) -> Finding:
    steps = budget.steps
    small, large = budget.batch_sizes[0], budget.batch_sizes[-1]
    fall = steps.loc[small] / steps.loc[large]
    counts = ""
    if facts.table.absolute:
        counts = f", from {number(steps.loc[small])} to {number(steps.loc[large])}"
    second = budget.batch_sizes[1 if len(budget.batch_sizes) > 2 else 0]
    want = f" ({number(steps.loc[second])})" if facts.table.absolute else ""
    return Finding(
        "epochs only",
        BLOCKS,
        "Batch size is confounded with the number of steps",
        f"all sizes see the same examples; steps fall {fall:.3g}-fold{counts}, as the batch "
        f"grows from {small:,} to {large:,}",
        "a larger batch that does worse may only be trained too little; equal epochs show who "
        "is still in perfect scaling, not who generalises",
        f"train every size for the same steps too, such as those of {second:,}{want}, with the "
        "rate tuned again",
        needing(_STEPS, facts, met=False),
    )


def _steps_only(facts: Facts, budget: Budget) -> Finding:
    small, large = budget.batch_sizes[0], budget.batch_sizes[-1]
    return Finding(
        "steps only",
        WEAKENS,
        "Larger batches see more data",
        f"all sizes take the same steps; batch {large:,} sees {number(large / small)} times the "
        f"examples of {small:,}",
        "a larger batch may look better for the computation it was given",
        "train every size for the same epochs too, with the rate tuned again",
        needing(_EPOCHS, facts, met=False),
    )


def _clock(facts: Facts, budget: Budget) -> Finding:
    return Finding(
        "clock",
        BLOCKS,
        "The budget is seconds, so the machine is part of the answer",
        f"runs share neither steps nor epochs, but about "
        f"{number(budget.runs['seconds'].median())} seconds",
        "which size is best then hangs on this machine's throughput, and nothing follows "
        "for generalisation",
        "keep it for the choice on this machine; for anything else add equal steps and epochs",
        needing(_EPOCHS | _STEPS, facts, met=False),
    )


def _none(facts: Facts) -> Finding:
    return Finding(
        "no budget",
        BLOCKS,
        "No two batch sizes share a budget",
        "neither steps nor examples are the same for two sizes"
        + (": every run stopped at a length of its own" if facts.budgets.own else ""),
        "a difference between sizes cannot be told from a difference in training",
        "fix the number of steps, or of epochs (better both), or record steps_to_target for one "
        "target",
        needing(_EPOCHS | _STEPS, facts, met=False),
    )


def _stray(alone: tuple[int, ...], count: int) -> Finding:
    return Finding(
        "stray runs",
        NOTE if len(alone) < count / 4 else WEAKENS,
        "Some runs share no budget with another batch size",
        f"{len(alone)} of {counted(count, 'run')}: {lines(alone)}",
        "they are compared with nothing, and left out of the four ways",
        "give them the steps or epochs of the others",
    )


def _logged() -> Finding:
    return Finding(
        "log",
        WEAKENS,
        "The rows look like evaluations along trainings",
        f"most settings appear with {budgets.LOGGED} or more different lengths",
        "points along one training are not trainings of their own: its schedule was made for "
        "another length",
        "keep one row a training, its last",
    )


def _range(facts: Facts) -> Iterator[Finding]:
    sizes = facts.table.batch_sizes
    if sizes[-1] < NARROWEST * sizes[0] or len(sizes) < 3:
        yield Finding(
            "narrow range",
            BLOCKS,
            "The batch sizes cannot bracket a critical batch size",
            f"{counted(len(sizes), 'size')}, {listed(sizes)}: a factor of "
            f"{number(sizes[-1] / sizes[0])}",
            "the law needs three sizes, one at most half and one at least twice the critical "
            f"batch size: a factor of {NARROWEST:g} at the very least",
            f"add sizes, such as {_wider(sizes)}",
            needing({"bend", "tuned to target", "exponent", "crossed"}, facts, met=False),
        )
    # Where rates are not tuned, that is a finding of its own.
    elif (
        facts.to_target
        and facts.to_target.tuned
        and facts.to_target.critical_batch_size.value is None
    ):
        yield Finding(
            "no critical batch size",
            BLOCKS,
            "Steps to target give no critical batch size",
            facts.to_target.critical_batch_size.reason,
            "without the bend between its two sides nothing tells which sizes waste examples",
            "what the reason names",
            needing({"bend", "far below", "far above"}, facts, met=False),
        )


def _wider(sizes: list[int]) -> str:
    small, large = sizes[0], sizes[-1]
    return listed([*([max(1, small // 4)] if small > 1 else []), 4 * large])


def _disagreement(facts: Facts) -> Iterator[Finding]:
    if facts.table.contradictions:
        yield Finding(
            "steps against epochs",
            WEAKENS,
            "Steps and epochs contradict each other",
            f"{lines(facts.table.contradictions)}: not steps = epochs times "
            f"{number(facts.table.data_size or 0)} over batch size",
            "one of them is not what was run, or the batch size is not examples a step "
            "(accumulation, several devices)",
            "correct the columns; batch_size is examples an optimiser step, of all devices",
        )
