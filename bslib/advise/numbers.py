"""How sizes, intervals and factors are written in an advice."""

import math

from bslib.advise.advice import Advice


def exact(value: float) -> str:
    """Write a whole number, thousands separated."""
    return f"{value:,.0f}"


def size(value: float | None) -> str:
    """Write an estimated size to two significant digits: 359 as "360", 1,234 as "1,200"."""
    if value is None or math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "any size"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def between(low: float, high: float) -> str:
    """Write an interval of sizes: "390 to 560", "at least 390", "at most 560"."""
    if not low > 0:
        return f"at most {size(high)}" if math.isfinite(high) else "anything"
    if math.isinf(high):
        return f"at least {size(low)}"
    return f"{size(low)} to {size(high)}"


def at(value: float, advice: Advice) -> str:
    """Write a size that can be trained: a whole number, and the largest of them as it is."""
    if value >= advice.largest:
        return exact(advice.largest)
    return size(max(1, round(value)))


def number(value: float) -> str:
    """Write a learning rate, a factor or a tick to two significant digits."""
    rounded = float(f"{value:.2g}")
    if 10 <= abs(rounded) < 1e12:
        return f"{rounded:,.0f}"
    return f"{rounded:.6f}".rstrip("0").rstrip(".") if abs(rounded) >= 1e-4 else f"{rounded:g}"


def decay(value: float) -> str:
    """Write a decay rate such as beta2 to two significant digits of what it is short of 1."""
    short = 1 - value
    return f"{value:.{max(0, 1 - math.floor(math.log10(short)))}f}" if short > 0 else f"{value:g}"


def longer(slowdown: float) -> str:
    """Write a time over another: "24 % longer than", "2.6 times as long as"."""
    if slowdown < 1.01:
        return "hardly longer than"
    if slowdown < 1.995:
        return f"{100 * (slowdown - 1):.0f} % longer than"
    return "more than 1,000 times as long as" if slowdown > 1000 else (
        f"{number(slowdown)} times as long as"
    )  # fmt: skip


def contenders(advice: Advice) -> tuple[float, float]:
    """Return the sizes, among those that can be trained, between which the fastest one lies."""
    smallest = advice.asked.world_size * float(advice.throughput.times["batch_size"].min())
    low = min(max(advice.best.low, smallest), advice.largest)
    return low, max(low, min(advice.best.high, advice.largest))
