"""The advice in words: a headline, the reason in three sentences, and how sure it is."""

import math

from bslib.advise import combine
from bslib.advise.advice import Advice
from bslib.advise.numbers import at, between, contenders, exact, longer, size

_BINDS = {
    combine.STATISTICS: "the statistics bind",
    combine.THROUGHPUT: "throughput binds",
    combine.BOTH: "statistics and throughput bind alike",
    combine.NETWORK: "the network binds",
    combine.MEMORY: "memory binds",
    combine.DATA: "the data bind",
}
# Why not larger, and why not smaller.
_WHY = {
    combine.BOTH: "a larger batch would lengthen each step by about what it saves in steps, and a "
    "smaller one the reverse",
    combine.STATISTICS: "a larger batch would save hardly any steps, and a smaller one would need "
    "more steps that are hardly shorter",
    combine.THROUGHPUT: "a larger batch would lengthen each step by more than it saves in steps, "
    "and a smaller one would leave the device idle",
    combine.NETWORK: "a smaller batch would wait for the network more often, and a larger one "
    "would save too few steps",
    combine.MEMORY: "a larger batch does not fit in one pass, and a smaller one would be slower",
    combine.DATA: "there are no more examples, and a smaller batch would be slower",
}


def headline(advice: Advice) -> str:
    """Say the advice in one breath."""
    if advice.batch_size is None:
        data = "No data" if advice.asked.examples is None else "No noise scale"
        return f"{data}, so memory and throughput only: {_fit(advice)}; {_saturates(advice)}."
    each = ""
    if advice.asked.world_size > 1 and advice.local_batch_size is not None:
        each = f": {exact(advice.local_batch_size)} on each of {advice.asked.world_size} devices"
    told = advice.accumulation
    if advice.certain and told is not None and told.pays:
        passes = f"over {told.steps} passes of {exact(advice.batch_size)}"
        return f"Use a batch of {exact(told.batch_size)}, accumulated {passes}{each}."
    if advice.certain:
        return f"Use a batch of {exact(advice.batch_size)}{each}."
    return (
        f"The data cannot tell: {_anything(advice)} may be fastest. "
        f"If you must choose, {exact(advice.batch_size)}{each}."
    )


def binds(advice: Advice) -> str:
    """Name what keeps the batch from being larger: "memory binds"; empty where it is unknown."""
    return _BINDS.get(advice.binding, "")


def reason(advice: Advice) -> tuple[str, str, str]:
    """Return three sentences: what the noise says, what the hardware says, what follows."""
    return _noise(advice), _hardware(advice), _follows(advice)


def _noise(advice: Advice) -> str:
    if advice.noise is None:
        why = (
            "There are no data" if advice.asked.examples is None else "No noise scale was measured"
        )
        return f"{why}, so it is not known how many steps a larger batch saves."
    critical = advice.noise.critical_batch_size
    if critical.value is None:
        return f"No critical batch size could be estimated: {critical.reason}."
    if math.isinf(critical.value):
        return (
            "The gradients are so noisy that all they tell of the critical batch size is that it "
            f"is {between(critical.low, critical.high)}."
        )
    return (
        f"The gradient noise puts the critical batch size near {size(critical.value)} "
        f"({between(critical.low, critical.high)}, and as it only stands in, within a factor of "
        f"{combine.STAND_IN:g}): beyond it, more examples save few steps."
    )


def _hardware(advice: Advice) -> str:
    own = "each one's memory" if advice.asked.world_size > 1 else "memory"
    fits = {
        "": "how much fits in memory is not known",
        "data": f"{own} holds all the data at once",
        "memory": f"{own} holds at most {exact(advice.memory.largest or 0)} examples at once",
    }[_stopped_by(advice)]
    return f"{_busy(advice)}, and {fits}."


def _busy(advice: Advice) -> str:
    world, half = advice.asked.world_size, advice.devices.half_batch_size
    if world > 1:
        return (
            f"The {world} devices with their network reach half their full throughput at a "
            f"batch of {size(half)}"
        )
    one = advice.throughput.half_batch_size
    if one.value is not None and one.value < advice.throughput.times["batch_size"].min():
        return "The device is busy with the smallest batch already"
    return (
        f"The device reaches half its full throughput at a batch of {size(one.value)} "
        f"({between(one.low, one.high)})"
    )


def _follows(advice: Advice) -> str:
    if advice.batch_size is None:
        return (
            f"So {_fit(advice)}, {_saturates(advice)}, and which size learns fastest cannot be "
            "said."
        )
    if not advice.certain:
        return (
            f"So {_anything(advice)} may be fastest: too wide a range to advise one size, or to be "
            f"sure that {binds(advice)}."
        )
    best = advice.best.value
    known = best is not None and math.isfinite(best)
    near = f"about {size(best)}" if known else f"at least {size(advice.best.low)}"
    if _is_capped(advice):
        beyond = f"more than the {exact(advice.largest)} that {_there_are(advice)}"
        so = f"The fastest size would be {near}, {beyond}, so {binds(advice)}"
    else:
        so = f"So the fastest size is {near}, where {binds(advice)}"
    return f"{so}: {_WHY[advice.binding]}."


def sureness(advice: Advice) -> str:
    """Say how much the advice may cost, and what the intervals hold."""
    if advice.batch_size is None or advice.slowdown is None:
        run = "was run" if advice.memory.confirmed else "was told by a law and not run"
        largest = "" if advice.memory.largest is None else f" The largest batch that fits {run}."
        return f"Time to target is not known at all.{largest}"
    fastest = "the fastest that can be had" if _is_capped(advice) else "the fastest size"
    taken = f"{longer(advice.slowdown)} {fastest}"
    widened = (
        f"That allows for a factor of {combine.STAND_IN:g} either way, since the noise scale only "
        "stands in for the critical batch size."
    )
    chosen = exact(advice.batch_size)
    if not advice.certain and advice.slowdown <= combine.CANNOT_TELL:
        return (
            "Step times follow no law here, so that none of this is sure. Ask again when nothing "
            "else uses the machine."
        )
    if not advice.certain:
        return (
            f"At the worst that the intervals allow, {chosen} takes {taken}; a size is advised "
            f"up to {combine.CANNOT_TELL:g} times only. {widened} A larger budget narrows the "
            "intervals, if the data last."
        )
    said = f"At the worst that the intervals allow, {chosen} takes {taken}. {widened}"
    if advice.flat_region is None:
        return said
    low, high = (at(each, advice) for each in advice.flat_region)
    flat = f"within {100 * combine.FLAT:.0f} % of the best time"
    return f"{said} At the estimates, any size from {low} to {high} is {flat}."


def _anything(advice: Advice) -> str:
    low, high = contenders(advice)
    return f"anything from {at(low, advice)} to {at(high, advice)}"


def _is_capped(advice: Advice) -> bool:
    return advice.binding in (combine.MEMORY, combine.DATA)


def _stopped_by(advice: Advice) -> str:
    """Return what stops memory's largest batch; made-up data are no limit."""
    if advice.memory.largest is None:
        return ""
    return "memory" if advice.asked.examples is None else advice.memory.stopped_by


def _fit(advice: Advice) -> str:
    if advice.memory.largest is None:
        return "how much fits is not known"
    if _stopped_by(advice) == "data":
        return f"all {exact(advice.memory.largest)} examples fit"
    return f"at most {exact(advice.memory.largest)} fit"


def _saturates(advice: Advice) -> str:
    knee = advice.throughput.knee
    if knee >= advice.throughput.times["batch_size"].max():
        return f"throughput still grows at {exact(knee)}"
    return f"throughput saturates at {exact(knee)}"


def _there_are(advice: Advice) -> str:
    return "fit" if advice.binding == combine.MEMORY else "there are"
