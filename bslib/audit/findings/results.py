"""Findings about the results themselves: the metric, failures, and rows that repeat."""

from collections.abc import Iterator

from bslib.audit import metrics
from bslib.audit.bearing import needing
from bslib.audit.facts import Facts
from bslib.audit.findings.finding import BLOCKS, NOTE, WEAKENS, Finding, counted, lines, number

# No fraction is larger, rounding included.
_PERCENT = 1.5


def find(facts: Facts) -> Iterator[Finding]:
    """Find choices made on test data, training metrics, failed runs and repeated rows."""
    yield from _metric(facts)
    yield from _units(facts)
    yield from _failed(facts)
    table = facts.table
    if table.copies:
        yield Finding(
            "copies",
            NOTE,
            "Some rows are there twice",
            f"{counted(len(table.copies), 'row')} equal to an earlier one: {lines(table.copies)}",
            "the same run counted twice is no second seed",
            "nothing: they are left out here",
        )
    if table.repeated:
        first = table.repeated[0]
        yield Finding(
            "repeated seeds",
            WEAKENS,
            "Some settings and seeds are there twice, with different results",
            f"{counted(len(table.repeated), 'setting')}, the first on {lines(first)}",
            "either the seed does not fix the training, or something that differs has no column",
            "say what differs; here they are averaged, and count as one",
        )


def _metric(facts: Facts) -> Iterator[Finding]:
    metric = facts.table.metric
    tuned = [each for each in facts.all_sizes if each.tried]
    if metric.split == metrics.TEST:
        others = [each.name for each in facts.table.columns.metrics if each.split != metrics.TEST]
        rates = max((len(each.rates) for each in tuned), default=1)
        chosen = (
            f"the best of up to {rates} rates, and the batch size" if tuned else "the batch size"
        )
        yield Finding(
            "chosen on test data",
            WEAKENS,
            "Choices are made on test data",
            f"{chosen} would be chosen by {metric.name}",
            "what was chosen by the test set is no longer measured by it",
            f"--metric {others[0]}" if others else "hold out validation data, and choose by them",
            needing({"held out"}, facts, met=True),
        )
    if metric.split == metrics.TRAINING and metric.name != metrics.TO_TARGET:
        yield Finding(
            "training metric",
            BLOCKS,
            "The only metric is of the training data",
            f"sizes are compared by {metric.name}",
            "it shows how fast training goes, and nothing of how well the network generalises",
            "record the loss or accuracy on validation data",
            needing({"held out"}, facts, met=False),
        )


def _units(facts: Facts) -> Iterator[Finding]:
    values, name = facts.table.runs["value"], facts.table.metric.name
    shares = facts.table.runs[(values > 0) & (values <= 1)]
    percent = facts.table.runs[values > _PERCENT]
    if facts.table.metric.share and len(shares) and len(percent):
        yield Finding(
            "mixed units",
            BLOCKS,
            "Some accuracies look like fractions, and others like percentages",
            f"{name} is {number(shares['value'].iloc[0])} on line {shares['line'].iloc[0]} and "
            f"{number(percent['value'].iloc[0])} on line {percent['line'].iloc[0]}",
            "all are read as percentages, and a fraction is then less than one of them",
            "write all in one unit; nothing, where these are percentages that low",
            needing({"accuracy"}, facts, met=True),
        )


def _failed(facts: Facts) -> Iterator[Finding]:
    runs = facts.table.runs
    failed = runs[runs["value"].isna()]
    if facts.table.metric.name == metrics.TO_TARGET or failed.empty:
        return
    reported = [each for sizes in facts.sizes.values() for each in sizes if each.failed]
    groups = failed.groupby(["batch_size", "learning_rate"]).size().reset_index(name="count")
    where = [
        f"batch size {size:,} rate {number(rate)} ({count})"
        for size, rate, count in groups.itertuples(index=False)
    ]
    shown = "; ".join(where[:5]) + (f" and {len(where) - 5} more" if len(where) > 5 else "")
    yield Finding(
        "failed runs",
        WEAKENS if reported else NOTE,
        "Some runs have no result" if reported else "Some runs failed, at rates that did not win",
        f"{len(failed)} of {counted(len(runs), 'run')}: {shown}",
        "a rate at which some seeds fail ranks below any at which none does; a size whose best "
        "rate still fails is left out of the four ways",
        "lower rates at " + ", ".join(f"{each.batch_size:,}" for each in reported)
        if reported else "nothing, where they diverged; say so if they crashed",
    )  # fmt: skip
