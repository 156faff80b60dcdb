"""What to do along with the batch size: learning rate, accumulation, several devices, later on."""

from bslib.advise import rate
from bslib.advise.advice import Advice
from bslib.advise.numbers import decay, exact, number
from bslib.advise.words import binds

# An effect on time below this share is called none.
NO_EFFECT = 0.02


def to_do(advice: Advice) -> dict[str, str]:
    """Return sentences by what they are about; what does not apply is left out."""
    said = {
        "Learning rate": learning_rate(advice),
        "Gradient accumulation": accumulation(advice),
        "Each device": each_device(advice),
        "Later in training": later(advice),
    }
    return {about: text for about, text in said.items() if text}


def learning_rate(advice: Advice) -> str:
    """Say the rate to start from, those to try, beta2 and warm-up; or why there is none."""
    told = advice.learning_rate
    if told is None:
        return f"None is advised: {_why_no_rate(advice)}."
    if abs(told.factor - 1) < NO_EFFECT:
        start = f"Keep yours, {number(told.from_rate)}: nothing says that it should change."
    else:
        start = (
            f"Start from {number(told.value)}: yours, {number(told.from_rate)} at a batch of "
            f"{exact(told.from_batch_size)}, times {number(told.factor)} ({told.rule})."
        )
    low, middle, high = (number(each) for each in told.bracket)
    said = [start, f"If you tune it, try {low}, {middle} and {high}."]
    if told.beta2 is not None:
        said.append(
            f"Set beta2 to {decay(told.beta2)}, which averages over as many examples as yours did."
        )
    if told.warm_up:
        said.append(
            f"Let the rate rise from 0 over the first {100 * told.warm_up:.0f} % of the training, "
            f"since it is more than {number(rate.WARM_UP_ABOVE)} times yours."
        )
    return " ".join(said)


def accumulation(advice: Advice) -> str:
    """Say what accumulating gradients beyond memory would do to the time; empty where not asked."""
    told = advice.accumulation
    if told is None or told.steps < 2:
        return ""
    reached = (
        f"Accumulating over {told.steps} passes of {exact(told.micro_batch_size)} makes a batch of "
        f"{exact(told.batch_size)} in the same memory."
    )
    if told.gain > 1 + NO_EFFECT:
        saved = 100 * (1 - 1 / told.gain)
        return (
            f"{reached} It takes {saved:.0f} % less time to the target, since the devices exchange "
            "gradients less often."
        )
    if told.gain < 1 - NO_EFFECT:
        lost = 100 * (1 / told.gain - 1)
        return f"{reached} It saves steps but not time: {lost:.0f} % more to the target."
    return f"{reached} It saves steps but not time: each step takes as much longer."


def each_device(advice: Advice) -> str:
    """Say what each of several devices gets; empty for one."""
    world, local = advice.asked.world_size, advice.local_batch_size
    if world == 1:
        return ""
    if local is None:
        return f"Memory and throughput are those of one of the {world}."
    total = exact(advice.batch_size or 0)
    return (
        f"Each of the {world} takes {exact(local)} of a step's {total} examples; they add up their "
        "gradients once a step."
    )


def later(advice: Advice) -> str:
    """Say that the noise grew, where it did."""
    if advice.noise is None or not advice.noise.growth.low > 0 or not binds(advice):
        return ""
    return (
        "The noise scale grew along the measured training: ask again with your model half "
        "trained, when a larger batch may pay."
    )


def _why_no_rate(advice: Advice) -> str:
    asked = advice.asked
    if advice.batch_size is None:
        return "there is no batch size that it would go with"
    if asked.optimizer is None or asked.learning_rate is None:
        return "no optimiser was given"
    return "the batch size that your learning rate belongs to was not given"
