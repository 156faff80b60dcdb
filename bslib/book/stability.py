"""Does a verdict depend on which seeds were drawn?

A run with many seeds leaves the tables that its verdicts rest on (:mod:`bslib.evidence`). As
many seeds as the book's own runs have are drawn from them, again and again, and judged.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bslib import claims, evidence
from bslib.book import notebook as notebooks
from bslib.book.checkout import Checkout, Page
from bslib.book.run_folder import RunFolder
from bslib.claims import outcome, power
from bslib.refusal import Refusal

FEWEST_SEEDS = 15
DRAWS = 100
STEADY = 0.8


@dataclass(frozen=True)
class ArmPower:
    """How one arm's rule decides, by simulation with the seeds' measured spread.

    Attributes:
        name: the arm's.
        deviation: standard deviation of one repeat's value.
        at_margin: share of each outcome with the truth on the region's edge, at quick's seeds.
        quick, full: share of right decisions at twice the margin, with each profile's seeds.
    """

    name: str
    deviation: float
    at_margin: Mapping[str, float]
    quick: float
    full: float


@dataclass(frozen=True)
class Stability:
    """What became of one claim's verdict over draws of seeds.

    Attributes:
        key: the claim's.
        seeds, of: how many were drawn, and from how many.
        outcomes: how many draws ended in each.
        arms: how each arm decides, where its estimate has a spread over seeds and a margin.
    """

    key: str
    seeds: int
    of: int
    outcomes: Mapping[str, int]
    arms: Sequence[ArmPower]

    @property
    def usual(self) -> str:
        """The outcome of most draws."""
        return max(self.outcomes, key=lambda word: self.outcomes[word])

    @property
    def steady(self) -> bool:
        """Four of five draws agree, and none contradicts another outright."""
        agree = self.outcomes[self.usual] >= STEADY * sum(self.outcomes.values())
        return agree and not {outcome.SUPPORTED, outcome.REFUTED} <= set(self.outcomes)


def measure(
    run_dir: Path, checkout: Checkout, *, draws: int = DRAWS, seed: int = 0
) -> list[Stability]:
    """Draw seeds from each claim's tables in a run, and judge every draw.

    Args:
        run_dir: of a run with at least 15 seeds a notebook, and more than the notebook's own
            default; its shared sweeps' folder must still be there.
        checkout: gives the defaults and the full profile's seeds.
        draws: of seeds, a claim.
        seed: of the drawing.

    Raises:
        Refusal: there are no tables, or too few seeds in them; says how to make more.
    """
    record = RunFolder(Path(run_dir)).read()
    cache = Path(run_dir) / ".cache"
    pages = {page.claim: page for page in checkout.pages if page.claim}
    kept = [key for key in evidence.keys(cache) if key in pages]
    if not kept:
        raise Refusal(
            f"{run_dir} keeps no tables; make them with: bslib run 2.4 -p seeds 32 --out {run_dir}"
        )
    return [
        _of_claim(
            evidence.read(cache, key),
            record.notebooks[pages[key].path].parameters["seeds"],
            _seeds(checkout, pages[key]),
            draws,
            np.random.default_rng(seed),
        )
        for key in claims.CATALOGUE
        if key in kept
    ]


def text(found: Sequence[Stability]) -> str:
    """Write a line a claim, and below it a line an arm."""
    return "\n".join(line for each in found for line in _lines(each))


def rows(found: Sequence[Stability]) -> list[dict[str, Any]]:
    """Return the same for JSON."""
    return [
        {
            "key": each.key,
            "seeds": each.seeds,
            "of": each.of,
            "outcomes": dict(each.outcomes),
            "steady": each.steady,
            "arms": [vars(arm) | {"at_margin": dict(arm.at_margin)} for arm in each.arms],
        }
        for each in found
    ]


def _seeds(checkout: Checkout, page: Page) -> tuple[int, int]:
    """Return the default and the full profile's number of seeds."""
    quick = notebooks.declared(checkout.root / page.path)["seeds"].default
    full = yaml.safe_load(checkout.profile_file(page).read_text(encoding="utf-8"))["seeds"]
    return int(quick), int(full)


def _of_claim(
    kept: evidence.Evidence | None,
    of: int,
    profiles: tuple[int, int],
    draws: int,
    generator: np.random.Generator,
) -> Stability:
    assert kept is not None
    quick = profiles[0]
    if of < max(FEWEST_SEEDS, quick + 1):
        enough = max(FEWEST_SEEDS, 2 * quick)
        raise Refusal(
            f"claim {kept.key} was run with {of} seeds; to draw {quick} of them takes at least "
            f"{enough}: bslib run {kept.key} -p seeds {enough}"
        )
    share = quick / of
    drawn = (kept.draw(share, generator).estimates() for _ in range(draws))
    outcomes = Counter(claims.judge(kept.key, each).outcome for each in drawn)
    return Stability(kept.key, quick, of, outcomes, list(_power(kept, of, profiles, generator)))


def _power(
    kept: evidence.Evidence, of: int, profiles: tuple[int, int], generator: np.random.Generator
) -> Iterator[ArmPower]:
    estimates = kept.estimates()
    for arm in claims.claim(kept.key).arms:
        # Some arms rest on several trainings for each of the notebook's seeds.
        repeats = max(of, estimates[arm.name].n)
        deviation = power.spread(estimates[arm.name], repeats)
        if deviation is not None and arm.margin > 0:
            counts = [max(2, round(repeats * seeds / of)) for seeds in profiles]
            at_margin = power.simulate(arm, deviation, counts[0], generator=generator)
            shares = [power.right(arm, deviation, n, generator=generator) for n in counts]
            yield ArmPower(arm.name, deviation, at_margin, *shares)


def _lines(each: Stability) -> Iterator[str]:
    counts = ", ".join(f"{word} {number}" for word, number in sorted(each.outcomes.items()))
    word = "steady" if each.steady else "NOT STEADY"
    yield f"{each.key}  {each.seeds} of {each.of} seeds: {counts}; {word}"
    for arm in each.arms:
        yield (
            f"     {arm.name}: sd {arm.deviation:.3g}; on the edge "
            f"{arm.at_margin[outcome.SUPPORTED]:.1%} supported, "
            f"{arm.at_margin[outcome.REFUTED]:.1%} refuted; at twice the margin right in "
            f"{arm.quick:.0%} quick, {arm.full:.0%} full"
        )
