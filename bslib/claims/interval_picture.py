"""An interval against its region of support, as a small inline SVG."""

import math
from html import escape

from bslib.claims import palette, wording
from bslib.claims.outcome import ArmVerdict

WIDTH, HEIGHT = 340, 46
_LEFT, _RIGHT, _MIDDLE, _TOP, _BOTTOM = 8.0, 332.0, 16.0, 5.0, 27.0


def picture(arm: ArmVerdict) -> str:
    """Return the SVG; empty where there is no value, or nothing finite to set a scale by."""
    estimate = arm.estimate
    value = estimate.value
    marks = [
        each for each in (arm.low, arm.high, estimate.low, estimate.high, value) if each is not None
    ]
    finite = [each for each in marks if math.isfinite(each)]
    if value is None or not math.isfinite(value) or not finite:
        return ""
    scale = _Scale(min(finite), max(finite))
    parts = [_band(arm, scale), *_edges(arm, scale), *_bar(arm, value, scale)]
    label = (
        f"{arm.name}: {wording.interval(value, estimate.low, estimate.high)}; "
        f"support is {wording.region(arm.low, arm.high, arm.unit)}; {arm.outcome}"
    )
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto;margin:.25em 0 0;'
        f'background:none" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


class _Scale:
    """Where a value lies across the picture; what is infinite lies at its border."""

    def __init__(self, low: float, high: float) -> None:
        pad = 0.18 * (high - low) or 0.5 * abs(high) or 1.0
        self.low, self.high = low - pad, high + pad

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _LEFT + min(1.0, max(0.0, share)) * (_RIGHT - _LEFT)


def _band(arm: ArmVerdict, scale: _Scale) -> str:
    start, end = scale(arm.low), scale(arm.high)
    return (
        f'<rect x="{start:.1f}" y="{_TOP}" width="{end - start:.1f}" height="{_BOTTOM - _TOP}" '
        'fill="#56b4e9" fill-opacity=".3"/>'
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}" stroke="currentColor" '
        'stroke-opacity=".45"/>'
    )


def _edges(arm: ArmVerdict, scale: _Scale) -> list[str]:
    edges = [each for each in (arm.low, arm.high) if math.isfinite(each)]
    close = len(edges) == 2 and scale(edges[1]) - scale(edges[0]) < 70
    anchors = ["end", "start"] if close else ["middle"] * len(edges)
    drawn = []
    for each, anchor in zip(edges, anchors, strict=True):
        at = scale(each)
        drawn.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_BOTTOM + 4}" '
            'stroke="currentColor" stroke-opacity=".7"/>'
            f'<text x="{at:.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}" font-size="11" '
            f'fill="currentColor">{wording.plain(each)}</text>'
        )
    return drawn


def _bar(arm: ArmVerdict, value: float, scale: _Scale) -> list[str]:
    color = palette.LINE[arm.outcome]
    start, end = scale(arm.estimate.low), scale(arm.estimate.high)
    ends = [(start, arm.estimate.low, 6), (end, arm.estimate.high, -6)]
    return [
        f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{_MIDDLE}" y2="{_MIDDLE}" stroke="{color}" '
        'stroke-width="3"/>',
        *[_cap(at, math.isinf(limit), back, color) for at, limit, back in ends],
        f'<circle cx="{scale(value):.1f}" cy="{_MIDDLE}" r="4.5" fill="{color}" '
        'stroke="currentColor"/>',
    ]


def _cap(at: float, arrow: bool, back: int, color: str) -> str:
    """Close an interval with a stroke, or with an arrow head where it does not end."""
    tip = f"{at + back:.1f},{_MIDDLE - 5} {at:.1f},{_MIDDLE} {at + back:.1f},{_MIDDLE + 5}"
    stroke = f"{at:.1f},{_MIDDLE - 5} {at:.1f},{_MIDDLE + 5}"
    points = tip if arrow else stroke
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>'
