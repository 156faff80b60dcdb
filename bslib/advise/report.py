"""An advice as one page of HTML that stands alone: its styles and pictures are in it.

No script, nothing to fetch. Colours follow the reader's own, light or dark. Everything that came
from a user is escaped.
"""

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib import metadata

from bslib.advise import guidance, page_style, svg, tables, words
from bslib.advise.advice import Advice
from bslib.advise.pictures import PICTURES, Picture

VERSIONS_OF = ("bslib", "torch", "numpy")


def html(advice: Advice, *, command: str = "", made: datetime | None = None) -> str:
    """Return the page.

    Args:
        command: that makes it again; empty for the call of :func:`bslib.advise.advise`.
        made: when; None for now.
    """
    made = datetime.now(UTC) if made is None else made
    title = f"Which batch size? {advice.asked.target}"
    parts = [
        _head(advice),
        _section("Why", _reason(advice)),
        _section("How sure", f"<p>{escape(words.sureness(advice))}</p>"),
        _section("What to do", _terms(guidance.to_do(advice).items())),
        _section("Four pictures", _pictures(advice)),
        _section("The numbers", _numbers(advice)),
        _section("What was not measured", _listed(advice.not_measured)),
        _section("Where this comes from", _terms(_provenance(advice, command, made))),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{page_style.CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _head(advice: Advice) -> str:
    size = advice.batch_size
    number = "" if size is None else f'<p class="number">{size:,}</p>'
    kind = "sure" if advice.certain else "unsure"
    return (
        f'<header class="{kind}">\n<h1>Which batch size should I use?</h1>\n'
        f'<p class="of">{escape(advice.asked.target)}, on {escape(advice.asked.device)}</p>\n'
        f'{number}\n<p class="headline">{escape(words.headline(advice))}</p>\n</header>\n'
    )


def _section(title: str, content: str) -> str:
    name = title.lower().replace(" ", "-")
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(title)}</h2>\n{content}\n'
        "</section>\n"
    )


def _reason(advice: Advice) -> str:
    return f"<p>{' '.join(escape(each) for each in words.reason(advice))}</p>"


def _terms(pairs: Iterable[tuple[str, str]]) -> str:
    items = (f"<dt>{escape(term)}</dt><dd>{escape(said)}</dd>" for term, said in pairs)
    return f"<dl>\n{chr(10).join(items)}\n</dl>"


def _listed(sentences: Iterable[str]) -> str:
    return f"<ul>\n{chr(10).join(f'<li>{escape(each)}</li>' for each in sentences)}\n</ul>"


def _pictures(advice: Advice) -> str:
    return f'<div class="pictures">\n{"".join(_figure(advice, each) for each in PICTURES)}</div>'


def _figure(advice: Advice, picture: Picture) -> str:
    return (
        f"<figure>\n<h3>{escape(picture.title)}</h3>\n{svg.of(advice, picture)}\n"
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>\n"
    )


def _numbers(advice: Advice) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th><td>{escape(row.value)}</td>'
        f"<td>{escape(row.note)}</td></tr>\n"
        for row in tables.rows(advice)
    )
    return (
        '<table>\n<thead><tr><th scope="col">Quantity</th><th scope="col">Value</th>'
        '<th scope="col">Interval (95 %) or source</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table>"
    )


def _provenance(advice: Advice, command: str, made: datetime) -> Iterable[tuple[str, str]]:
    asked = advice.asked
    yield "Device", asked.device
    yield "Model", f"{asked.parameters:,} trained parameters"
    yield "Data", "none" if asked.examples is None else f"{asked.examples:,} examples"
    if advice.noise is not None:
        noise = advice.noise
        weighed = "weighted as Adam does" if noise.metric != "Euclidean" else "unweighted"
        yield (
            "Noise",
            f"along a training with {noise.optimizer} at {noise.learning_rate:g}, batch "
            f"{noise.batch_size:,}; micro-batches of {noise.micro_batch_size:,}, {weighed}",
        )
    if asked.network is not None:
        yield (
            "Network",
            f"{asked.network.name}: {asked.network.latency_s * 1e6:,.3g} \N{MICRO SIGN}s, "
            f"{asked.network.bandwidth / 1e9:,.3g} GB/s",
        )
    took = f"{asked.seconds:.1f} s of {asked.budget_s:.3g} allowed"
    yield "Cost", f"{took}; {advice.examples:,} examples processed"
    yield "Made", f"{made:%Y-%m-%d %H:%M} {made.tzname() or ''}".strip()
    yield "Versions", ", ".join(f"{name} {version}" for name, version in _versions().items())
    yield "Seed", f"{asked.seed}"
    yield "To repeat", command or _call(advice)


def _call(advice: Advice) -> str:
    asked = advice.asked
    shared = f", world_size={asked.world_size}, network=network" if asked.world_size > 1 else ""
    return f"bslib.advise.advise(problem, budget_s={asked.budget_s:g}, seed={asked.seed}{shared})"


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    return found | {name: metadata.version(name) for name in VERSIONS_OF}
