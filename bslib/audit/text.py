"""An audit as text for a terminal, no line longer than 100 columns."""

import textwrap
from collections.abc import Iterator, Sequence

from bslib.audit import bearing
from bslib.audit.bearing import Bearing
from bslib.audit.facts import Facts
from bslib.audit.findings import BLOCKS, NOTE, WEAKENS, Finding
from bslib.audit.findings.finding import counted, listed, number
from bslib.audit.needs import NEEDS
from bslib.audit.table import SweepTable, mapping
from bslib.audit.ways import Way
from bslib.claims import CATALOGUE
from bslib.claims.wording import interval

WIDTH = 100
_HEADINGS = {
    BLOCKS: "What it cannot tell, and why",
    WEAKENS: "What weakens it",
    NOTE: "Worth knowing",
}


def render(
    source: str, facts: Facts, findings: Sequence[Finding], bearings: Sequence[Bearing]
) -> str:
    """Return the whole audit as text."""
    head = "\n".join([_table(source, facts), *_short(findings, bearings)])
    parts = [head, *_findings(findings), _ways(facts), *_laws(facts)]
    return "\n\n".join([*parts, _claims(bearings)])


def _table(source: str, facts: Facts) -> str:
    table = facts.table
    rates = table.runs["learning_rate"].nunique()
    counts = [counted(len(table.runs), "run"), counted(rates, "learning rate")]
    if "seed" in table.columns.found:
        counts.append(counted(table.runs["seed"].nunique(), "seed"))
    if table.runs["weight_decay"].nunique() > 1:
        counts.append(counted(table.runs["weight_decay"].nunique(), "weight decay"))
    named = listed([f"{name} = {header}" for name, header in mapping(table).items()], 12)
    lines = [
        *_wrapped(f"{source}: {', '.join(counts)}", ""),
        *_wrapped(f"batch sizes   {listed(table.batch_sizes, 12)}", " " * 14),
        *_wrapped(f"budget        {', and '.join(facts.budgets.kinds) or 'none shared'}", " " * 14),
        *_wrapped(f"compared by   {_metric(table)}", " " * 14),
        *(_wrapped(f"read as       {named}", " " * 14) if named else []),
    ]
    if table.columns.unread:
        lines += _wrapped(f"not read      {listed(table.columns.unread, 8)}", " " * 14)
    return "\n".join(lines)


def _short(findings: Sequence[Finding], bearings: Sequence[Bearing]) -> list[str]:
    faults = sum(each.severity == BLOCKS for each in findings)
    flaws = sum(each.severity == WEAKENS for each in findings)
    whole = " ".join(each.key for each in bearings if each.status == bearing.CAN)
    part = " ".join(each.key for each in bearings if each.status == bearing.IN_PART)
    can = [whole, f"{part} in part" if part else ""]
    able = ", and ".join(filter(None, can)) or "none"
    words = f"{counted(faults, 'fault')}, {counted(flaws, 'weakness')}; "
    words += f"of the {len(CATALOGUE)} claims it can support or refute {able}"
    return _wrapped(f"in short      {words}", " " * 14)


def _metric(table: SweepTable) -> str:
    metric = table.metric
    better = "more" if metric.maximise else "less"
    whose = f"{metric.split} data" if metric.split else "of which data, its name does not say"
    return f"{metric.name} ({better} is better; {whose})"


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    if not [each for each in findings if each.severity != NOTE]:
        yield "Nothing was found that stands against this table."
    number_of = 0
    for severity, heading in _HEADINGS.items():
        chosen = [each for each in findings if each.severity == severity]
        if not chosen:
            continue
        blocks = []
        for each in chosen:
            number_of += 1
            blocks.append(_finding(each, number_of))
        yield "\n\n".join([_heading(heading), *blocks])


def _finding(finding: Finding, count: int) -> str:
    lines = _wrapped(f"{count:2}. {finding.title}", " " * 4)
    parts = {"seen": finding.seen, "why": finding.why, "do": finding.mend}
    if finding.claims:
        parts[finding.severity] = " ".join(finding.claims)
    for name, words in parts.items():
        lines += _wrapped(f"    {name:8}{words}", " " * 12)
    return "\n".join(lines)


def _ways(facts: Facts) -> str:
    unit = facts.table.unit
    lines = [_heading("The best batch size, read in four ways")]
    for count, way in enumerate(facts.ways.values(), 1):
        lines += _wrapped(f"({count}) {way.name}", " " * 4)
        lines += _wrapped(f"    {_answer(way, unit)}", " " * 6)
    return "\n".join([*lines, *_wrapped(_moves(facts), "")])


def _answer(way: Way, unit: str) -> str:
    if way.reason:
        return f"no answer: {way.reason}"
    assert way.rates is not None
    others = [f"{size:,}" + ("*" if size in way.edges else "") for size in way.contenders]
    alone = len(way.contenders) == 1
    rates = sorted(set(way.rates.values()))
    words = [
        f"{way.best:,} looks best"
        + (", and no other size may be" if alone else f"; may be the best: {', '.join(others)}"),
        f"best less worst {number(round(way.spread, 2))} {unit}, "
        f"{counted(way.seeds, 'seed')}, {'rate' if len(rates) == 1 else 'rates'} "
        + " to ".join(number(each) for each in sorted({rates[0], rates[-1]})),
    ]
    if way.seeds == 1:
        words.append("one seed rules nothing out")
    if way.edges:
        words.append("*: its rate or decay is at an edge: it can be better than was seen")
    elif not alone and way.seeds > 1:
        seeds = "more than 1,000" if way.needed is None else f"about {way.needed:,}"
        words.append(f"{seeds} seeds would leave one, at the differences seen")
    if way.left_out:
        words.append("without " + listed([f"{s:,} ({why})" for s, why in way.left_out.items()], 3))
    return "; ".join(words)


def _moves(facts: Facts) -> str:
    readable = {count: way for count, way in enumerate(facts.ways.values(), 1) if not way.reason}
    if not readable:
        return "=> The table answers in none of the four ways."
    if len(readable) == 1:
        (count,) = readable
        return f"=> One way only ({count}): whether the answer hangs on it, this table cannot tell."
    shared = set.intersection(*(set(way.contenders) for way in readable.values()))
    best = {way.best for way in readable.values()}
    numbered = ", ".join(f"{way.best:,} ({count})" for count, way in readable.items())
    if len(best) == 1:
        sure = all(len(way.contenders) == 1 for way in readable.values())
        ways = " and ".join(f"({count})" for count in readable)
        others = "" if sure else ", but not alone: other sizes may be the best in some"
        return f"=> {best.pop():,} looks best in each way that can be had, {ways}{others}."
    if shared:
        return (
            f"=> The answer moves: {numbered}. But {listed(sorted(shared))} may be the best in "
            "every one of them: seeds do not tell these ways apart."
        )
    return f"=> The answer moves with the way of asking: {numbered}. No size may be best in all."


def _laws(facts: Facts) -> Iterator[str]:
    lines = []
    for kind, found in facts.exponents.items():
        if found.value is not None:
            ends = interval(found.value, found.low, found.high)
            lines += _wrapped(f"best rate ~ B^p, {kind}: p = {ends}", "  ")
    if facts.to_target:
        found = facts.to_target.critical_batch_size
        words = found.reason
        if found.value is not None:
            words = f"{interval(found.value, found.low, found.high)} examples"
        lines += _wrapped(f"critical batch size, from steps to target: {words}", "  ")
    if lines:
        yield "\n".join([_heading("Laws (95 % intervals)"), *lines])


def _claims(bearings: Sequence[Bearing]) -> str:
    title = f"Which of the {len(CATALOGUE)} claims it bears on (their questions: bslib claims)"
    lines = [_heading(title)]
    for status in (bearing.CAN, bearing.IN_PART, bearing.COULD):
        for each in (each for each in bearings if each.status == status):
            words = f"with {each.reason}" if status == bearing.COULD else _can(each)
            lines += _wrapped(f"{each.key}  {status:13}{words}", " " * 18)
    silent: dict[str, list[str]] = {}
    for each in bearings:
        if each.status == bearing.NOTHING:
            silent.setdefault(each.reason.removeprefix("it is about "), []).append(each.key)
    about = "; ".join(f"{' '.join(keys)} ({topic})" for topic, keys in silent.items())
    return "\n".join([*lines, *_wrapped(f"It says nothing on {about}.", " " * 5)])


def _can(each: Bearing) -> str:
    more = "; ".join(NEEDS[need].words for need in each.lacks)
    parts = "" if each.status == bearing.CAN else f": {each.reason}; for more, {more}"
    return f"{CATALOGUE[each.key].title.rstrip('?')}{parts}"


def _heading(words: str) -> str:
    return f"{words}\n{'-' * len(words)}"


def _wrapped(words: str, indent: str) -> list[str]:
    return textwrap.wrap(
        words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True,
    )  # fmt: skip
