"""What a tuned sweep to target says about the learning rate, beside what the rules say.

The best rate of a batch size takes the fewest steps to the target. Its exponent,
d ln eta* / d ln B, is fitted well below and well above the critical batch size of the same
sweep (:func:`bslib.scaling.optimum.exponents`); which sizes lie where is decided by the
value of that critical batch size, and its interval does not enter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bslib import sweeps
from bslib.refusal import Refusal
from bslib.scaling import critical_batch_size as law
from bslib.scaling import optimum, protocol, rules, tuned
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused


@dataclass(frozen=True)
class BestRates:
    """Best learning rates against batch size.

    Attributes:
        rates: a row a batch size, in increasing order: ``batch_size``; ``learning_rate``,
            eta*, missing where there is none; ``low`` and ``high``, Fieller's interval over
            seeds, no farther than the rates tried, since beyond them the parabola is a
            guess; ``steps``, the geometric mean to the target over the reruns' seeds;
            ``outcome`` of the tuning, which is "tuned", "edge" or "unreached".
        critical_batch_size: of the reruns, or why there is none.
        below, above: the exponent up to B_crit / 4, and from 4 B_crit; refused, with the
            reason, where there is no B_crit, fewer than three sizes, or one with no optimum.
    """

    rates: pd.DataFrame
    critical_batch_size: Estimate
    below: Estimate
    above: Estimate

    def under_rules(self, power: float = 1.0) -> pd.DataFrame:
        """Return what each rule makes of these batch sizes.

        Columns ``rule``, ``batch_size`` and ``learning_rate``. The linear and the
        square-root rule start from the best rate of the smallest batch size. The saturating
        rule, eta_max / (1 + B_noise / B)^power (McCandlish et al. 2018, with a power of 1
        for SGD and of 1/2 to 1 for Adam), takes the critical batch size for B_noise; eta_max
        alone is fitted, as a geometric mean. It is left out without a critical batch size.
        """
        known = self.rates.dropna(subset="learning_rate")
        if known.empty:
            return pd.DataFrame({"rule": [], "batch_size": [], "learning_rate": []})
        first, rate = (float(known[name].iloc[0]) for name in ("batch_size", "learning_rate"))
        sizes = self.rates["batch_size"].tolist()
        curves = {
            "linear": [rules.linear(rate, first, size) for size in sizes],
            "square root": [rules.square_root(rate, first, size) for size in sizes],
        }
        scale = self.critical_batch_size.value
        if scale is not None:
            share = [rules.saturating(1.0, scale, size) ** power for size in sizes]
            ratios = (self.rates["learning_rate"] / share).dropna().to_numpy(float)
            highest = math.exp(np.log(ratios).mean())
            curves["saturating"] = [highest * each for each in share]
        return pd.concat(
            [
                pd.DataFrame({"rule": rule, "batch_size": sizes, "learning_rate": curve})
                for rule, curve in curves.items()
            ],
            ignore_index=True,
        )


def measure(
    optimizer: str,
    batch_sizes: Sequence[int],
    learning_rate: float,
    noise_scale: float,
    *,
    bend: Estimate | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> BestRates:
    """Sweep to a target, or read the sweep that another notebook of this run has made.

    Args:
        optimizer: by name.
        batch_sizes, learning_rate, noise_scale, settings: of :func:`bslib.scaling.tuned.to_target`.
        bend: of :func:`read`.
        progress: told after every batch size.
    """
    tables = sweeps.shared(
        tuned.to_target,
        batch_sizes=batch_sizes,
        learning_rate=learning_rate,
        noise_scale=noise_scale,
        optimizer={"name": optimizer},
        progress=progress,
        **settings,
    )
    return read(Sweep(**tables), bend)


def read(sweep: Sweep, bend: Estimate | None = None, level: float = 0.95) -> BestRates:
    """Read a tuned sweep to target.

    An interval of ``below`` or ``above`` is over the grid's seeds: it contains what initial
    weights and the order of examples do to the best rates, or the best rates' scatter about
    a straight line where that is larger. The data set is the same for all.

    Args:
        sweep: as :func:`bslib.scaling.protocol.sweep` returns it.
        bend: the critical batch size, from elsewhere, where the sweep is too short for it.
        level: confidence level.
    """
    sizes, optima = protocol.optima(sweep.grid, level=level)
    critical = bend or _critical_batch_size(sweep.reruns, level)
    if critical.value is None:
        none = refused(f"no critical batch size: {critical.reason}", level=level)
        found = optimum.Exponents(none, none)
    else:
        found = optimum.exponents(sizes, optima, critical.value, level=level)
    rows = [_row(sweep, size, each) for size, each in zip(sizes, optima, strict=True)]
    return BestRates(pd.DataFrame(rows), critical, found.below, found.above)


def _critical_batch_size(reruns: pd.DataFrame, level: float) -> Estimate:
    try:
        return law.fit(reruns, level).critical_batch_size
    except Refusal as refusal:  # too few sizes: a finding about the sweep, said by its reader
        return refused(str(refusal), level=level)


def _row(sweep: Sweep, size: int, found: optimum.Optimum) -> dict[str, object]:
    tried = sweep.grid.loc[sweep.grid["batch_size"] == size, "learning_rate"]
    outcome = sweep.winners.set_index("batch_size").at[size, "outcome"]
    reruns = sweep.reruns[sweep.reruns["batch_size"] == size]
    steps = reruns["steps_to_target"].to_numpy(float)
    rate = found.learning_rate
    known = rate.value is not None
    return {
        "batch_size": size,
        "learning_rate": rate.value if known else math.nan,
        "low": max(rate.low, float(tried.min())) if known else math.nan,
        "high": min(rate.high, float(tried.max())) if known else math.nan,
        "steps": math.exp(np.log(steps).mean()) if len(steps) else math.nan,
        "outcome": outcome,
    }
