"""An advice in four pictures: memory, throughput, noise, and time to target.

Each draws on given axes or on new ones, as the pictures of :mod:`bslib.plots` do, and says in
words what is missing where something is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from bslib import plots
from bslib.advise import combine, tables
from bslib.advise.advice import Advice
from bslib.advise.numbers import exact, number, size

GREY = "0.45"


def memory(advice: Advice, axes: Axes | None = None) -> Axes:
    """Draw peak memory against batch size: the law, what was run, and the limit."""
    axes, held = _on(axes), advice.memory
    view = {"x": "batch_size", "y": "peak_memory_mb"}
    if held.peaks.empty:
        return _missing(axes, "no law of memory", **view)
    law, run = (held.peaks[held.peaks["source"] == each] for each in ("the law", "run"))
    axes.plot(law["batch_size"], law["peak_memory_mb"], color=_color(0), label="the memory law")
    if not run.empty:
        axes.plot(
            run["batch_size"], run["peak_memory_mb"], "o", color=_color(1), label="what was run"
        )
    _logarithmic(axes, "xy")
    axes.axhline(held.limit_bytes / 1e6, color=GREY, linestyle="--", label="allowed")
    if held.largest is not None:
        _upright(axes, held.largest, f"largest: {exact(held.largest)}")
    return _labelled(axes, **view)


def throughput(advice: Advice, axes: Axes | None = None) -> Axes:
    """Draw examples a second against one device's batch size, with the knee and B_half."""
    axes, half = _on(axes), advice.throughput.half_batch_size
    measured, law = tables.rates(advice)
    view = {"x": "batch_size", "y": "examples_per_s"}
    plots.points(measured, hue="way", axes=axes, **view)
    plots.references(law, hue="way", axes=axes, **view)
    _logarithmic(axes, "x")
    ends = measured["batch_size"].min(), measured["batch_size"].max()
    if half.value is not None and ends[0] <= half.value <= ends[1]:
        _upright(axes, half.value, f"half: {size(half.value)}")
    _upright(axes, advice.throughput.knee, f"knee: {exact(advice.throughput.knee)}")
    return _labelled(axes, **view)


def noise(advice: Advice, axes: Axes | None = None) -> Axes:
    """Draw the noise scale along the training, and the critical batch size that it stands for."""
    axes, looks = _on(axes), tables.looks(advice)
    labels = {"x": "examples trained on", "y": "noise_scale"}
    if advice.noise is None or looks.empty:
        return _missing(axes, "no gradient noise was measured", **labels)
    below, above = looks["noise_scale"] - looks["low"], looks["high"] - looks["noise_scale"]
    axes.errorbar(
        looks["examples"], looks["noise_scale"], yerr=[below, above], fmt="o", color=_color(0),
        label="noise scale",
    )  # fmt: skip
    unbounded = looks[looks["open"]]
    if not unbounded.empty:
        axes.plot(
            unbounded["examples"], unbounded["noise_scale"], "^", color=_color(0), markersize=9,
            label="no upper end",
        )  # fmt: skip
    _logarithmic(axes, "xy")
    critical = advice.noise.critical_batch_size
    top = axes.get_ylim()[1]
    if critical.low > 0:
        axes.axhspan(
            critical.low, min(critical.high, top), color=_color(1), alpha=0.25, linewidth=0,
            label="critical batch size",
        )  # fmt: skip
    if advice.batch_size is not None:
        axes.axhline(advice.batch_size, color=GREY, linestyle="--", label="advised batch")
    return _labelled(axes, **labels)


def time_to_target(advice: Advice, axes: Axes | None = None) -> Axes:
    """Draw time to target over the best against batch size, with the advised size."""
    axes, curve = _on(axes), advice.curve
    labels = {"x": "batch_size", "y": "time to target over the best"}
    point, flat = tables.advised(advice), advice.flat_region
    if point is None:
        return _missing(axes, "not known without the noise", **labels)
    sizes = curve["batch_size"]
    axes.fill_between(
        sizes, curve["low"], curve["high"], color=_color(0), alpha=0.2, linewidth=0,
        label="intervals",
    )  # fmt: skip
    if flat is not None:
        within = f"within {100 * combine.FLAT:.0f} %"
        axes.axvspan(*flat, color=_color(2), alpha=0.2, linewidth=0, label=within)
        axes.plot(sizes, curve["relative_time"], color=_color(0), label="estimates")
    _logarithmic(axes, "x")
    ends = tables.shown(advice)
    low, high = (min(max(each, ends[0]), ends[1]) for each in (advice.best.low, advice.best.high))
    if low < high:
        axes.hlines(1.0, low, high, color=_color(3), linewidth=2.5, zorder=4, label="fastest")
    axes.plot(*point, "D", color=_color(3), markersize=9, zorder=5, label="advised")
    top = tables.ceiling(advice)
    axes.set(xlim=(ends[0] / 1.2, ends[1] * 1.2), ylim=(1 - 0.08 * (top - 1), top))
    if advice.binding in (combine.MEMORY, combine.DATA):
        _upright(axes, advice.largest, f"largest: {exact(advice.largest)}")
    return _labelled(axes, **labels)


@dataclass(frozen=True)
class Picture:
    """One of the four.

    Attributes:
        name: short, for identifiers.
        title: what it is of.
        caption: what to see in it, in a line.
        draw: draws it on axes.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Advice, Axes], Axes]


PICTURES = (
    Picture(
        "time", "Time to target",
        "The lowest point is the fastest size; how flat the curve is there says how much the "
        "choice matters.",
        time_to_target,
    ),
    Picture(
        "noise", "Gradient noise",
        "Where the points rise, a larger batch pays later in training.",
        noise,
    ),
    Picture(
        "throughput", "Throughput",
        "Where the points level off the device is busy, and a larger batch only takes longer.",
        throughput,
    ),
    Picture(
        "memory", "Memory",
        "Where the line meets the dashed limit, nothing larger fits in one pass.",
        memory,
    ),
)  # fmt: skip


def _on(axes: Axes | None) -> Axes:
    return plt.gca() if axes is None else axes


def _color(number: int) -> tuple[float, float, float]:
    red, green, blue = sns.color_palette("colorblind")[number]
    return red, green, blue


def _logarithmic(axes: Axes, which: str) -> None:
    if "x" in which:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    if "y" in which:
        axes.set_yscale("log")


def _upright(axes: Axes, place: float, text: str) -> None:
    """Mark a place on the x axis with a dotted line and what it is."""
    if not math.isfinite(place):
        return
    axes.axvline(place, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    axes.text(
        place, 0.02, f"{text} ", rotation=90, ha="right", va="bottom", fontsize="small",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip


def _labelled(axes: Axes, *, x: str, y: str) -> Axes:
    """Name the axes, and put the legend above what is drawn."""
    if axes.get_yscale() == "log":
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 2_000 * low else (1,)))
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
        axes.yaxis.set_minor_formatter(NullFormatter())
    plots.label(axes, x=x, y=y)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.2)
    return axes


def _missing(axes: Axes, why: str, *, x: str, y: str) -> Axes:
    axes.text(0.5, 0.5, why, ha="center", va="center", style="italic", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])
    plots.label(axes, x=x, y=y)
    return axes
