"""The verdict's rules: truth table, edges, error rates, odd estimates, how many seeds."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, t

from bslib import claims, stats
from bslib.claims import outcome
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate

S, R, C, U = claims.OUTCOMES


def a_claim(*regions: tuple[float, float]) -> claims.Claim:
    arms = tuple(
        claims.Arm(f"arm {number}", "effect", *region) for number, region in enumerate(regions)
    )
    return claims.Claim(
        "9.9", "1-why", "Is it so?", "It is so.", arms, "At least 1.", S, "It is.", "A 2000", ("a",)
    )


def judged(
    *estimates: stats.Estimate, region: tuple[float, float] = (1.0, math.inf)
) -> claims.Verdict:
    claim = a_claim(*[region] * len(estimates))
    return claims.judge_claim(claim, {f"arm {n}": each for n, each in enumerate(estimates)})


def ends(low: float, high: float) -> stats.Estimate:
    return stats.Estimate((low + high) / 2, low, high, n=4)


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (-1.0, 1.0, S),
        (-0.5, 0.5, S),
        (-1.0, 1.0 + 1e-12, U),
        (1.0, 2.0, U),
        (1.0, 1.0, S),
        (1.0 + 1e-12, 2.0, R),
        (-3.0, -1.0 - 1e-12, R),
        (-3.0, -1.0, U),
        (-3.0, 3.0, U),
        (-math.inf, math.inf, U),
        (2.0, math.inf, R),
        (0.0, math.inf, U),
    ],
)
def test_arm_is_decided_by_where_its_interval_lies(low: float, high: float, want: str) -> None:
    """Inside the closed region supports, wholly outside refutes, anything else does neither."""
    value = next(each for each in (low, high, 0.0) if math.isfinite(each))
    verdict = judged(stats.Estimate(value, low, high, n=4), region=(-1.0, 1.0))
    assert verdict.arms[0].outcome == want
    assert verdict.outcome == want


@pytest.mark.parametrize(("low", "high", "want"), [(2, math.inf, S), (-math.inf, 0.5, R)])
def test_censored_estimates_decide_where_they_can(low: float, high: float, want: str) -> None:
    """ "At least" supports a region without an upper end; "at most" below it refutes."""
    value = low if math.isfinite(low) else high
    assert judged(stats.Estimate(value, low, high, n=4)).outcome == want


INTERVAL = {S: ends(2, 3), R: ends(-1, 0), U: ends(0, 2)}


@pytest.mark.parametrize("arms", list(product([S, R, U], repeat=3)))
def test_truth_table(arms: tuple[str, ...]) -> None:
    """All supported, all refuted, one of each, or else inconclusive: for any three arms."""
    verdict = judged(*[INTERVAL[arm] for arm in arms])
    assert tuple(arm.outcome for arm in verdict.arms) == arms
    if S in arms and R in arms:
        want = C
    elif set(arms) in ({S}, {R}):
        want = arms[0]
    else:
        want = U
    assert verdict.outcome == want


def test_conditional_names_its_arms() -> None:
    """The summary says for which arms it holds, for which not, and which stay open."""
    verdict = judged(INTERVAL[S], INTERVAL[R], INTERVAL[U], INTERVAL[S])
    assert verdict.summary == (
        "Supported: arm 0; arm 3. Refuted: arm 1. "
        "Not decided: arm 2 (no practical number of seeds would decide)."
    )


def test_unanimous_summaries_count_the_arms() -> None:
    """Where all arms agree the summary says so."""
    assert judged(INTERVAL[S]).summary == "Supported in its one arm."
    assert judged(INTERVAL[R], INTERVAL[R]).summary == "Refuted in both arms."


@pytest.mark.parametrize("region", [(0.0, math.inf), (-math.inf, 0.0), (0.0, 5.0), (-5.0, 0.0)])
@pytest.mark.parametrize("seeds", [3, 8])
def test_error_rates_at_the_edge(region: tuple[float, float], seeds: int) -> None:
    """An effect exactly at its margin is supported and refuted in 2.5 % of verdicts each.

    Each is one tail of the 95 % interval; the far edge of the closed regions is five
    standard deviations away, where at three seeds wide intervals still take some support.
    """
    repeats = 1_000
    values = np.random.default_rng(seeds).normal(size=(repeats, seeds))
    found = [judged(stats.mean(each), region=region).outcome for each in values]
    least, most = binom.interval(0.995, repeats, 0.025)
    assert found.count(S) <= most
    assert least <= found.count(R) <= most
    if math.inf in map(abs, region):
        assert found.count(S) >= least


def test_error_rates_of_a_claim_of_several_arms() -> None:
    """With every arm at its margin a whole claim is rarely decided either way."""
    values = np.random.default_rng(0).normal(size=(500, 2, 8))
    found = [judged(*map(stats.mean, each), region=(0.0, math.inf)).outcome for each in values]
    assert found.count(S) <= 0.05 * 500
    assert found.count(R) <= 0.05 * 500


@pytest.mark.parametrize(
    ("distance", "region"), [(0.4, (0, math.inf)), (-0.4, (0, 9)), (0.4, (0, 1))]
)
def test_enough_seeds_do_decide(distance: float, region: tuple[float, float]) -> None:
    """With as many seeds as it names, of the same value and spread, the arm is decided."""

    def at(seeds: int) -> stats.Estimate:
        half = t.ppf(0.975, seeds - 1) / math.sqrt(seeds)
        return stats.Estimate(distance, distance - half, distance + half, n=seeds)

    needed = judged(at(4), region=region).arms[0].seeds_needed
    assert needed is not None
    assert judged(at(needed), region=region).outcome in (S, R)
    assert judged(at(needed - 1), region=region).outcome == U


@pytest.mark.parametrize(
    ("estimate", "region"),
    [
        (stats.Estimate(2.0, 0.5, 2.01, n=4), (1.0, math.inf)),
        (stats.Estimate(2.0, 1.99, 3.5, n=4), (-math.inf, 3.0)),
        (stats.Estimate(2.0, 1.99, 3.5, n=4), (1.9, 3.0)),
        (stats.Estimate(2.0, 1.99, 3.5, n=4), (3.0, math.inf)),
        (stats.Estimate(2.0, 0.5, 2.01, n=4), (-math.inf, 1.0)),
    ],
)
def test_lopsided_intervals_count_the_side_that_crosses(
    estimate: stats.Estimate, region: tuple[float, float]
) -> None:
    """The width that has to shrink is that towards the edge: here 1.5, to 1.

    t(3)/2 = 1.591 at four seeds is 1.5, so 1 needs t(m - 1)/sqrt(m) below 1.061, as it is
    first at m = 6: 2.5706/2.4495 = 1.049, and 2.7764/2.2361 = 1.242 at 5.
    """
    assert judged(estimate, region=region).arms[0].seeds_needed == 6


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (stats.Estimate(1.0, 0.0, 2.0, n=4), "no practical number of seeds would decide"),
        (stats.mean([1.1]), "one value gives no interval); how many seeds would decide cannot"),
        (stats.Estimate(1.5, 0.5, math.inf, n=4), "how many seeds would decide cannot be told"),
        (stats.Estimate(1.5, 0.5, 2.5), "how many seeds would decide cannot be told"),
        (stats.Estimate(1.6, 0.9, 1.61, n=4), "seeds would decide"),
    ],
)
def test_undecided_says_what_would_decide(estimate: stats.Estimate, said: str) -> None:
    """On the edge no number of seeds does; without a spread none can be named."""
    arm = judged(estimate).arms[0]
    assert arm.outcome == U
    assert said in arm.reason
    assert arm.seeds_needed is None or arm.seeds_needed > estimate.n


@pytest.mark.parametrize(
    "estimate",
    [
        stats.refused("edge of the grid"),
        stats.Estimate(None, 2.0, 3.0, reason="edge of the grid"),
        stats.Estimate(math.nan, 2.0, 3.0),
        stats.Estimate(math.inf, math.inf, math.inf),
        stats.Estimate(-math.inf, -math.inf, -math.inf),
        stats.mean([]),
        stats.mean([1.0, math.nan]),
    ],
)
def test_what_is_no_estimate_is_inconclusive(estimate: stats.Estimate) -> None:
    """Refused and broken estimates decide nothing, raise nothing, and show on every card."""
    verdict = judged(estimate)
    assert verdict.outcome == U
    assert verdict.arms[0].reason
    assert verdict.arms[0].seeds_needed is None
    assert verdict.html()
    assert verdict.text()


def test_refusal_keeps_its_reason() -> None:
    """Why an arm has no estimate is told in the verdict."""
    arm = judged(stats.refused("edge of the grid")).arms[0]
    assert arm.reason == "edge of the grid"
    assert arm.simultaneous.reason == "edge of the grid"


@pytest.mark.parametrize("name", ["missing", "extra", "misspelt"])
def test_arms_have_to_match(name: str) -> None:
    """A missing, extra or misspelt arm is a programming error, and is named."""
    given = {arm.name: INTERVAL[S] for arm in claims.claim("3.4").arms}
    if name != "extra":
        del given["displayed mini-batch loss"]
    if name != "missing":
        given["displayed loss"] = INTERVAL[S]
    with pytest.raises(ValueError, match=r"claim 3\.4 has the arms.*displayed"):
        claims.judge("3.4", given, {})


def test_unknown_claim_names_those_there_are() -> None:
    """A wrong key is refused with the keys that are right."""
    with pytest.raises(Refusal, match=r"1\.1, 1\.2"):
        claims.judge("4.1", {}, {})


def test_simultaneous_level_is_stored_and_may_not_hold() -> None:
    """Each arm also carries the wider interval and what follows from it."""
    clear, thin = stats.mean([2.0, 2.1, 1.9, 2.05]), stats.mean([1.2, 1.1, 1.3, 1.25])
    verdict = judged(clear, thin)
    assert [arm.outcome for arm in verdict.arms] == [S, S]
    assert [arm.simultaneous_outcome for arm in verdict.arms] == [S, U]
    assert [arm.holds for arm in verdict.arms] == [True, False]
    assert verdict.arms[1].simultaneous == thin.at(claims.SIMULTANEOUS_LEVEL)
    assert not verdict.holds
    assert judged(clear).holds


def test_method_without_other_levels_says_so() -> None:
    """No interval at the simultaneous level: the reason is stored, and nothing holds there."""
    arm = judged(INTERVAL[S]).arms[0]
    assert "no interval at level" in arm.simultaneous.reason
    assert not arm.holds


def test_method_that_fails_at_another_level_does_not_raise() -> None:
    """A verdict at the end of a long run survives a broken recompute."""

    def broken(level: float) -> stats.Estimate:
        raise ZeroDivisionError("no spread")

    arm = judged(stats.Estimate(2.0, 1.5, 2.5, n=4, recompute=broken)).arms[0]
    assert arm.outcome == S
    assert "no spread" in arm.simultaneous.reason


def test_lower_levels_are_raised_before_judging() -> None:
    """An 80 % interval is judged at 95 %: the book has one level."""
    loose = stats.mean([1.1, 1.4, 1.7], 0.8)
    assert loose.low > 1
    arm = judged(loose).arms[0]
    assert arm.estimate.level == 0.95
    assert arm.outcome == U


def test_exact_values_hold_at_every_level() -> None:
    """What was not sampled is a point, inside or outside."""
    assert judged(stats.exact(2.0)).holds
    assert judged(stats.exact(0.5)).outcome == R


def test_agreement_with_the_prediction() -> None:
    """The prediction is compared with the outcome, and an open verdict compares as open."""
    found = [judged(INTERVAL[each]).agreement for each in (S, R, U)]
    assert found == ["agrees", "differs", "undecided"]


def test_combining_nothing_decides_nothing() -> None:
    """No arms at all are inconclusive rather than supported."""
    assert outcome.combine([]) == U


@pytest.mark.parametrize(
    ("needed", "told"),
    [(100, "about 100 seeds"), (101, "no practical number"), (5_000, "no practical number")],
)
def test_an_estimate_that_knows_how_many_seeds_it_needs_is_believed(needed: int, told: str) -> None:
    """A choice between sizes has no standard error; its producer counts seeds in its own way."""
    estimate = Estimate(-5.0, -5.0, 0.0, n=16, needed=needed)
    assert told in outcome.why_undecided(estimate, outcome.seeds_needed(estimate, -1.0, 1.0))
