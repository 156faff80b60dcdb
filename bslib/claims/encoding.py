"""Estimates and scopes as strict JSON: no NaN or Infinity tokens."""

import math
from collections.abc import Mapping
from typing import Any

from bslib.stats.estimate import Estimate


def number(value: float | None) -> float | str | None:
    """Encode a float; one that is not finite becomes ``"inf"``, ``"-inf"`` or ``"nan"``."""
    if value is None or math.isfinite(value):
        return None if value is None else float(value)
    return repr(float(value))


def estimate(each: Estimate) -> dict[str, Any]:
    """Encode an estimate; how to recompute it is not kept."""
    return {
        "value": number(each.value),
        "low": number(each.low),
        "high": number(each.high),
        "level": each.level,
        "n": int(each.n),
        "reason": str(each.reason),
    }


def read_estimate(data: Mapping[str, Any]) -> Estimate:
    """Decode what :func:`estimate` encoded."""
    value = data["value"]
    return Estimate(
        None if value is None else float(value),
        float(data["low"]),
        float(data["high"]),
        float(data["level"]),
        int(data["n"]),
        str(data["reason"]),
    )


def plain(value: Any) -> Any:
    """Turn a scope's value into what JSON gives back unchanged: lists, strings, numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return number(value)
    return str(value)
