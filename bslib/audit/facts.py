"""All that is measured on a table, before anything is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bslib import claims
from bslib.audit import budgets, laws, tuning, ways
from bslib.audit.budgets import EPOCHS, STEPS, Budgets
from bslib.audit.laws import ToTarget
from bslib.audit.table import SweepTable
from bslib.audit.tuning import Tuned
from bslib.audit.ways import Way
from bslib.claims import power
from bslib.scaling import best_batch_size
from bslib.stats.estimate import Estimate

# What a difference of accuracies is judged by: at least one point.
_POINT = next(
    arm for arm in claims.CATALOGUE["3.9"].arms if arm.low == 1.0 and arm.unit == "points"
)
_OFTEN = 0.8
_SEEDS = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96)


@dataclass(frozen=True, eq=False)
class Facts:
    """What a table's rows come to.

    Attributes:
        table: the rows.
        budgets: what they share.
        sizes: of each kind of budget that there is, how each batch size was tuned.
        pairs: the same at equal steps, with weight decay; empty where it was not varied.
        ways: the four ways.
        exponents: of the best rate on B, in each budget and to the target.
        to_target: steps to target, or None.
    """

    table: SweepTable
    budgets: Budgets
    sizes: Mapping[str, list[Tuned]]
    pairs: tuple[Tuned, ...]
    ways: Mapping[str, Way]
    exponents: Mapping[str, Estimate]
    to_target: ToTarget | None

    @property
    def readable(self) -> list[Way]:
        """The ways that could be had, the fairest first."""
        order = (
            best_batch_size.DECAYED, best_batch_size.STEPS, best_batch_size.EPOCHS,
            best_batch_size.FIXED,
        )  # fmt: skip
        return [self.ways[name] for name in order if not self.ways[name].reason]

    @property
    def all_sizes(self) -> list[Tuned]:
        """Every batch size in every budget, with weight decay, and to the target."""
        target = self.to_target.sizes if self.to_target else ()
        return [*(each for sizes in self.sizes.values() for each in sizes), *self.pairs, *target]

    @cached_property
    def deviation(self) -> float | None:
        """Standard deviation over seeds of the difference of two sizes, in the score's unit.

        The root mean square over pairs with the best size, of the fairest way with two seeds.
        """
        way = next((each for each in self.readable if each.seeds > 1), None)
        if way is None or way.scores is None:
            return None
        others = way.scores.drop(columns=way.best).to_numpy(float)
        differences = others - way.scores[[way.best]].to_numpy(float)
        return float(np.sqrt(differences.var(axis=0, ddof=1).mean()))

    @cached_property
    def seeds_for_a_point(self) -> int | None:
        """Seeds that see a difference of two points as one of at least one, four times in five.

        None where scores are no accuracies, or nothing tells how much seeds differ.
        """
        deviation = self.deviation
        if not self.table.points or deviation is None or deviation == 0:
            return None
        for seeds in _SEEDS:
            generator = np.random.default_rng(seeds)
            # The shares of 400 draws are good to 2 %, which moves no answer by more than a step.
            shares = power.simulate(
                _POINT, deviation, seeds, times=power.AT_TWICE, draws=400, generator=generator
            )
            if shares["supported"] >= _OFTEN:
                return seeds
        return _SEEDS[-1]


def measure(table: SweepTable) -> Facts:
    """Measure a table: budgets, tuning, the four ways, and the laws."""
    found = budgets.find(table)
    kinds = [kind for kind in (EPOCHS, STEPS) if found.of(kind) is not None]
    sizes = {kind: tuning.tune(budget.runs) for kind in kinds if (budget := found.of(kind))}
    target = laws.to_target(table)
    exponents = {kind: laws.exponent(tuned) for kind, tuned in sizes.items()}
    if target is not None:
        exponents[budgets.TARGET] = laws.exponent(target.sizes)
    pairs = tuple(tuning.tune_jointly(found.steps.runs)) if found.steps else ()
    return Facts(table, found, sizes, pairs, ways.read(found, sizes, pairs), exponents, target)
