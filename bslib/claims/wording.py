"""How numbers, intervals and regions are written on a card."""

import math

MINUS = "\N{MINUS SIGN}"


def plain(value: float) -> str:
    """Write one number to four significant digits, thousands separated."""
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    text = f"{value:,.0f}" if 1e4 <= size < 1e12 else f"{value:.4g}"
    return text.replace("-", MINUS)


def interval(value: float | None, low: float, high: float) -> str:
    """Write an estimate with its interval, to two digits of the interval's half-width."""
    ends = [each for each in (low, high) if math.isfinite(each)]
    if value is not None and math.isfinite(value):
        ends.append(value)
    wide = max(ends, default=0.0) - min(ends, default=0.0)
    decimals = _decimals(wide / 2, max(map(abs, ends), default=0.0))
    middle = "no value" if value is None else _fixed(value, decimals)
    if low == high == value:
        return plain(value)
    return f"{middle} [{_fixed(low, decimals)}, {_fixed(high, decimals)}]"


def region(low: float, high: float, unit: str = "") -> str:
    """Write a region of support: "at most", "at least", or from-to."""
    if math.isinf(low) and math.isinf(high):
        return "any value"
    if math.isinf(low):
        return f"at most {_with_unit(high, unit)}"
    if math.isinf(high):
        return f"at least {_with_unit(low, unit)}"
    return f"{plain(low)} to {_with_unit(high, unit)}"


def level(value: float) -> str:
    """Write a confidence level: ``95 %``, ``99.94 %``."""
    return f"{100 * value:.4g} %"


def _with_unit(value: float, unit: str) -> str:
    """Write a number and its unit, given in the plural: "1 point", "0.25 points a layer"."""
    first, _, rest = unit.partition(" ")
    first = first.removesuffix("s") if value == 1 else first
    return " ".join(filter(None, [plain(value), first, rest]))


def _decimals(half: float, size: float) -> int | None:
    """Digits after the point, or None where figures need an exponent."""
    if half <= 0 or not 1e-4 <= size < 1e12:
        return None
    return max(0, 1 - math.floor(math.log10(half)))


def _fixed(value: float, decimals: int | None) -> str:
    if math.isinf(value) or math.isnan(value) or decimals is None or decimals > 9:
        return plain(value)
    text = f"{value:,.{decimals}f}"
    # A rounded-off sign: "-0.00" reads as if the sign meant something.
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)
