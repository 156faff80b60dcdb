"""What the pictures show, for who cannot see them."""

from bslib.advise import tables
from bslib.advise.advice import Advice
from bslib.advise.numbers import at, between, exact, number, size


def text(advice: Advice, picture: str) -> str:
    """Return the words for a picture: "memory", "throughput", "noise" or "time"."""
    return {"memory": _memory, "throughput": _throughput, "noise": _noise, "time": _time}[picture](
        advice
    )


def _memory(advice: Advice) -> str:
    held = advice.memory
    if held.peaks.empty:
        return f"Empty: {held.reason}."
    peaks = held.peaks["peak_memory_mb"]
    return (
        f"Peak memory rises from {number(peaks.min())} to {number(peaks.max())} MB at a batch of "
        f"{exact(held.peaks['batch_size'].max())}; {held.limit_bytes / 1e6:,.0f} MB are allowed."
    )


def _throughput(advice: Advice) -> str:
    measured, _ = tables.rates(advice)
    first = measured.iloc[0]
    return (
        f"Throughput rises from {exact(first['examples_per_s'])} examples a second at a batch of "
        f"{exact(first['batch_size'])} to {exact(measured['examples_per_s'].max())}; the knee is "
        f"at {exact(advice.throughput.knee)}."
    )


def _noise(advice: Advice) -> str:
    looks = tables.looks(advice)
    if advice.noise is None or looks.empty:
        return "Empty: no gradient noise was measured."
    critical = advice.noise.critical_batch_size
    first, last = looks["noise_scale"].iloc[0], looks["noise_scale"].iloc[-1]
    return (
        f"The noise scale goes from {size(first)} to {size(last)} over "
        f"{exact(looks['examples'].iloc[-1])} examples of training. A band at "
        f"{between(max(critical.low, 0.0), critical.high)} is the critical batch size."
    )


def _time(advice: Advice) -> str:
    if advice.batch_size is None:
        return "Empty: time to target is not known without the noise."
    flat = advice.flat_region
    if flat is None:
        return (
            "Time to target against batch size: a wide band, since no size can be told to be the "
            f"fastest. The size with the least worst case is {exact(advice.batch_size)}."
        )
    low, high = (at(each, advice) for each in flat)
    return (
        "Time to target against batch size: a curve that is lowest near the advised "
        f"{exact(advice.batch_size)} and within a tenth of its least from {low} to {high}."
    )
