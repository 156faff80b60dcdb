"""How often a rule of decision decides, and rightly, at a true effect of one's choice.

The rule judges an interval over seeds. At the region's very edge it should hardly ever decide;
at twice the margin it should usually, and rightly. Whether it does hangs on the number of seeds
and on how much they differ.
"""

import math
from collections.abc import Mapping

import numpy as np

from bslib.claims import outcome
from bslib.claims.claim import Arm
from bslib.stats.estimate import Estimate
from bslib.stats.means import mean
from bslib.stats.samples import t_quantile

AT_THE_MARGIN, AT_TWICE = 1.0, 2.0


def spread(estimate: Estimate, seeds: int) -> float | None:
    """Return the standard deviation over seeds that an interval speaks of.

    Its half-width is read as Student's t over ``seeds`` independent values. None for a value
    that was not sampled, or that has no finite interval.
    """
    half = (estimate.high - estimate.low) / 2
    if estimate.value is None or seeds < 2 or not 0 < half < math.inf:
        return None
    return half * math.sqrt(seeds) / t_quantile(estimate.level, seeds - 1)


def simulate(
    arm: Arm,
    deviation: float,
    seeds: int,
    *,
    times: float = AT_THE_MARGIN,
    draws: int = 2_000,
    generator: np.random.Generator,
) -> Mapping[str, float]:
    """Return the share of each outcome when the truth lies ``times`` the margin away.

    Args:
        arm: gives the region, and the reference that its margin is counted from.
        deviation: standard deviation of one seed's value, taken as normal.
        seeds: in each draw; their mean is judged with Student's t interval.
        times: 1 puts the truth on the region's edge.
        draws: simulated verdicts; a share of p has a standard error of sqrt(p (1 - p) / draws).
        generator: of the draws.
    """
    truth = arm.reference + times * (arm.edge - arm.reference)
    values = generator.normal(truth, deviation, size=(draws, seeds))
    found = [outcome.decide(mean(each), arm.low, arm.high) for each in values]
    words = (outcome.SUPPORTED, outcome.REFUTED, outcome.INCONCLUSIVE)
    return {word: found.count(word) / draws for word in words}


def right(arm: Arm, deviation: float, seeds: int, *, generator: np.random.Generator) -> float:
    """Return the share of right decisions at twice the margin; see :func:`simulate`."""
    truth = arm.reference + AT_TWICE * (arm.edge - arm.reference)
    wanted = outcome.SUPPORTED if arm.low <= truth <= arm.high else outcome.REFUTED
    return simulate(arm, deviation, seeds, times=AT_TWICE, generator=generator)[wanted]
