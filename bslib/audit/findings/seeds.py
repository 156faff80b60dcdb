"""Findings about repeats: how many, whether they pair, and whether they were chosen by."""

from collections.abc import Iterator

from bslib import stats
from bslib.audit.bearing import needing
from bslib.audit.facts import Facts
from bslib.audit.findings.finding import BLOCKS, NOTE, WEAKENS, Finding, listed, number
from bslib.audit.needs import FEWEST_SEEDS
from bslib.audit.ways import Way
from bslib.claims import wording

_TUNED = {"tuned, equal epochs", "tuned, equal steps", "weight decay tuned", "tuned to target"}


def find(facts: Facts) -> Iterator[Finding]:
    """Find too few seeds, unpaired ones, and winners that are told by what chose them."""
    seeded = "seed" in facts.table.columns.found
    fewest = _fewest(facts)
    if fewest < FEWEST_SEEDS:
        yield _few(facts, fewest, seeded)
    elif (way := _first(facts)) is not None and way.seeds < (facts.seeds_for_a_point or 0):
        yield _weak(facts, way, facts.seeds_for_a_point or 0)
    if not seeded and fewest >= FEWEST_SEEDS:
        yield Finding(
            "no seeds",
            NOTE,
            "There is no column seed",
            "repeats of a setting are taken as independent, and matched at random",
            "runs of one seed share their start and their order of examples: paired, they would "
            "tell more",
            "record the seed, and use the same ones at every batch size",
        )
    elif seeded and any(not way.paired for way in facts.readable if way.seeds > 1):
        yield Finding(
            "unpaired",
            NOTE,
            "Batch sizes do not share their seeds",
            "the runs that stand for the sizes have few seeds in common or none",
            "differences then carry the luck of both sides, and need more seeds",
            "the same seeds at every batch size",
        )
    yield from _chosen(facts)


def _fewest(facts: Facts) -> int:
    """Return the fewest runs that stand for a size, at the best rate of a budget."""
    counts = [len(each.reported) for each in facts.all_sizes]
    return min(counts, default=FEWEST_SEEDS)


def _first(facts: Facts) -> Way | None:
    return next(iter(facts.readable), None)


def _few(facts: Facts, fewest: int, seeded: bool) -> Finding:
    where = [each.batch_size for each in facts.all_sizes if len(each.reported) == fewest]
    every = set(where) == set(facts.table.batch_sizes)
    sizes = "every batch size" if every else f"batch size {listed(sorted(set(where)))}"
    what = "run" if not seeded else "seed"
    wanted = facts.seeds_for_a_point
    way = _first(facts)
    mend = f"at least {FEWEST_SEEDS} seeds, the same ones at every batch size"
    if wanted and way:
        mend = f"{wanted} seeds: enough to see a difference of two points, as much as they vary"
    return Finding(
        "few seeds",
        BLOCKS,
        "There are too few seeds to tell luck from batch size",
        f"{fewest} {what}{'s' if fewest > 1 else ''} at the best rate of {sizes}",
        "one seed has no error bar, and two give one that is several times too wide to decide",
        mend,
        needing({"seeds"}, facts, met=False),
    )


def _weak(facts: Facts, way: Way, wanted: int) -> Finding:
    assert way.scores is not None
    means = way.scores.mean().sort_values(ascending=False)
    first, second = int(means.index[0]), int(means.index[1])
    gap = stats.paired_difference(way.scores[first], way.scores[second])
    apart = wording.interval(gap.value, gap.low, gap.high)
    return Finding(
        "weak",
        WEAKENS,
        "There are few seeds for how much they differ",
        f"{way.seeds} seeds; {first:,} is ahead of {second:,} by {apart} points ({way.name}); "
        f"such differences vary by {number(round(facts.deviation or 0, 2))} points from seed to "
        "seed",
        "a true difference of two points would not be told from one of less than one point",
        f"{wanted} seeds would tell it four times in five"
        + (f"; {number(way.needed)} would leave one winner, if the differences seen are true"
           if way.needed and len(way.contenders) > 1 else ""),
        needing({"seeds"}, facts, met=True),
    )  # fmt: skip


def _chosen(facts: Facts) -> Iterator[Finding]:
    sizes = [each for each in facts.all_sizes if each.tried]
    same = [each for each in sizes if not each.fresh]
    if not same:
        return
    most = max(len(each.rates) * max(1, len(each.decays)) for each in same)
    yield Finding(
        "chosen on the same seeds",
        WEAKENS,
        "Rates are chosen and compared on the same runs",
        f"the best of up to {most} rates is told by the runs that made it the best",
        "the best of several is flattered by luck, the more the noisier the size",
        "the winner of each size once more, on seeds that the grid has not seen",
        needing(_TUNED, facts, met=True),
    )
