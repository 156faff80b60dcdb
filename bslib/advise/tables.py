"""An advice as tables: what the pictures draw, and the numbers beside them."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib import throughput
from bslib.advise import combine
from bslib.advise.advice import Advice
from bslib.advise.numbers import at, between, exact, number, size
from bslib.stats import Estimate


@dataclass(frozen=True)
class Row:
    """A number of an advice.

    Attributes:
        name: what it is.
        value: in words and figures.
        note: its interval, or where it comes from.
    """

    name: str
    value: str
    note: str


def rows(advice: Advice) -> list[Row]:
    """Return the numbers that the advice rests on."""
    speed = advice.throughput
    knee = Row("Throughput saturates at", exact(speed.knee), "within 10 % of the highest seen")
    if speed.knee >= speed.times["batch_size"].max():
        knee = Row("Throughput saturates at", "not reached", f"still grows at {exact(speed.knee)}")
    told = [_largest(advice), knee, _half(advice), *_noise_rows(advice)]
    region = advice.flat_region
    if region is not None:
        low, high = (at(each, advice) for each in region)
        note = f"at the estimates, up to {exact(advice.largest)}"
        told.append(Row("Within 10 % of the best time", f"{low} to {high}", note))
    if advice.learning_rate is not None:
        rate = advice.learning_rate
        note = f"try {number(rate.bracket[0])} to {number(rate.bracket[2])}"
        told.append(Row("Learning rate", number(rate.value), note))
    return told


def frame(advice: Advice) -> pd.DataFrame:
    """Return the rows as a table, by name."""
    told = [(row.name, row.value, row.note) for row in rows(advice)]
    return pd.DataFrame(told, columns=["", "value", "note"]).set_index("").rename_axis(None)


def _largest(advice: Advice) -> Row:
    held = advice.memory
    name = "Largest batch that fits" + (" one device" if advice.asked.world_size > 1 else "")
    if held.largest is None:
        return Row(name, "unknown", held.reason)
    limit = f"{held.limit_bytes / 1e6:,.0f} MB allowed"
    source = "was run" if held.confirmed else "by the memory law, not run"
    if held.stopped_by == "data" and advice.asked.examples is not None:
        source = f"all the data; {source}"
    return Row(name, exact(held.largest), f"{source}; {limit}")


def _half(advice: Advice) -> Row:
    one = advice.throughput.half_batch_size
    if advice.asked.world_size == 1:
        return Row("Half throughput at", size(one.value), between(one.low, one.high))
    note = f"{size(one.value)} on one device"
    return Row("Half throughput at", size(advice.devices.half_batch_size), note)


def _noise_rows(advice: Advice) -> list[Row]:
    if advice.noise is None:
        return [Row("Gradient noise scale", "not measured", "")]
    path, critical = advice.noise.path, advice.noise.critical_batch_size
    ends = [path.iloc[0], path.iloc[-1]]
    first, last = (
        size(each["noise_scale"]) if math.isfinite(each["noise_scale"]) else "unbounded"
        for each in ends
    )
    steps = " and ".join(exact(each["step"]) for each in (ends if len(path) > 1 else ends[:1]))
    stand_in = f"{combine.STAND_IN:g} times either way as a stand-in"
    return [
        Row(
            "Gradient noise scale",
            first if len(path) == 1 else f"{first}, then {last}",
            f"after {steps} steps",
        ),
        Row("Critical batch size", _value(critical), f"{_interval(critical)}; {stand_in}")
        if critical.value is not None
        else Row("Critical batch size", "unknown", critical.reason),
        Row("Fastest batch size", _value(advice.best), _interval(advice.best)),
    ]


def _value(each: Estimate) -> str:
    return "unknown" if each.value is None or math.isinf(each.value) else size(each.value)


def _interval(each: Estimate) -> str:
    return between(max(each.low, 0.0), each.high)


def rates(advice: Advice) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return measured throughput with its intervals, and the law's, against a device's batch."""
    measured = throughput.rates(advice.throughput.times)
    for end in ("low", "high"):
        known = np.isfinite(measured[end]) & (measured[end] > 0)
        measured[end] = measured[end].where(known, measured["examples_per_s"])
    sizes = np.geomspace(measured["batch_size"].min(), measured["batch_size"].max(), 100)
    law = advice.throughput.law.examples_per_s(sizes)
    return measured, pd.DataFrame({"batch_size": sizes, "examples_per_s": law, "way": "law"})


def looks(advice: Advice) -> pd.DataFrame:
    """Return the noise scale along the training; ``open`` where an interval has no upper end.

    A look without a finite noise scale stands at its lower end. Rows without anything to draw
    are left out.
    """
    if advice.noise is None:
        return pd.DataFrame(columns=["examples", "noise_scale", "low", "high", "open"])
    path = advice.noise.path[["examples", "noise_scale", "low", "high"]].astype(float)
    path["open"] = ~np.isfinite(path["high"])
    value = path["noise_scale"].where(np.isfinite(path["noise_scale"]), path["low"])
    path["noise_scale"], path["high"] = value, path["high"].where(~path["open"], value)
    path["low"] = path["low"].where(path["low"] > 0, value)
    return path[value > 0].reset_index(drop=True)


def advised(advice: Advice) -> tuple[float, float] | None:
    """Return the advised size and its time over the best: at the estimates, else at the worst."""
    if advice.batch_size is None or advice.curve.empty:
        return None
    column = "high" if advice.best.value is None else "relative_time"
    sizes, times = (advice.curve[name].to_numpy(float) for name in ("batch_size", column))
    return float(advice.batch_size), float(np.interp(advice.batch_size, sizes, times))


def ceiling(advice: Advice) -> float:
    """Return up to where relative times are worth drawing."""
    return float(np.clip(1.3 * (advice.slowdown or 1.0), 3.0, 10.0))


def shown(advice: Advice) -> tuple[float, float]:
    """Return between which sizes the range of relative times reaches below the ceiling."""
    curve = advice.curve[advice.curve["low"] <= ceiling(advice)]
    return float(curve["batch_size"].min()), float(curve["batch_size"].max())
