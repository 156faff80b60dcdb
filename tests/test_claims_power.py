"""The rule of decision hardly ever decides at a region's edge, and usually at twice the margin."""

import math

import numpy as np
import pytest
from scipy import stats as distributions

from bslib import claims, stats
from bslib.claims import Arm, power
from bslib.stats.estimate import Estimate, exact

POINT = Arm("a", "points", low=1.0)
SAME = Arm("a", "points", -1.0, 1.0)
RATIO = Arm("a", "ratio", low=0.9, reference=1.0)


@pytest.mark.parametrize("arm", [POINT, SAME, RATIO])
@pytest.mark.parametrize("seeds", [3, 12])
def test_on_the_edge_neither_side_is_decided_more_than_one_time_in_twenty(
    arm: Arm, seeds: int
) -> None:
    """Student's t at 95 % leaves 2.5 % on either side; the issue's bound is 5 %."""
    shares = power.simulate(arm, 0.2, seeds, draws=4_000, generator=np.random.default_rng(0))
    error = math.sqrt(0.025 * 0.975 / 4_000)
    for word in ("supported", "refuted"):
        assert shares[word] <= 0.025 + 4 * error
    assert sum(shares.values()) == pytest.approx(1)


def test_the_share_of_right_decisions_is_that_of_the_noncentral_t() -> None:
    """One-sided at 2.5 %: the truth lies one margin inside the region."""
    seeds, deviation = 12, 1.5
    t = distributions.t.isf(0.025, seeds - 1)
    expected = distributions.nct.sf(t, seeds - 1, math.sqrt(seeds) / deviation)
    measured = power.right(POINT, deviation, seeds, generator=np.random.default_rng(0))
    assert measured == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 2_000))


def test_at_twice_the_margin_right_is_what_the_region_says() -> None:
    """Outside an equivalence region and beyond a ratio's tolerance, right is a refutation."""
    for arm in (SAME, RATIO):
        assert power.right(arm, 1e-3, 5, generator=np.random.default_rng(0)) == 1
    assert RATIO.margin == pytest.approx(0.1)


def test_the_spread_is_read_back_from_students_interval() -> None:
    """It is the sample's standard deviation; a value without an interval has none."""
    sample = np.random.default_rng(0).normal(0, 1.5, 12)
    assert power.spread(stats.mean(sample), 12) == pytest.approx(sample.std(ddof=1))
    assert power.spread(exact(1.0), 12) is None
    assert power.spread(Estimate(1.0, 0.0, math.inf, n=12), 12) is None


def test_every_arm_has_its_reference_inside_or_at_a_margin() -> None:
    """The catalogue's references lie near their regions: no margin exceeds its edge's size."""
    for claim in claims.CATALOGUE.values():
        for arm in claim.arms:
            assert arm.margin <= max(1.0, abs(arm.edge)), (claim.key, arm.name)
