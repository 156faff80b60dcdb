"""How the critical batch size goes with another size: of the data, or of the model.

All steps to target at one of these sizes give one critical batch size: least squares of
ln S = a + ln(1 + B_crit / B). The exponent is the slope of ln B_crit on the logarithm of the
size. A seed's errors may be the same at every batch size and every size, and are one
another's; the intervals therefore come from leaving out one whole seed at a time (jackknife).

A seed one of whose trainings missed the target is set aside everywhere, so that all sizes are
compared on the same seeds; where more than a tenth are, nothing is compared.

Measured on trainings drawn from the law, three sizes and four batch sizes, 20 % noise a
training of which half belongs to the seed: the interval covers in 95 to 96 % with 4 to 16 seeds
(1,000 draws each). It says nothing about a misfit of the law; the residuals show that.

``by`` names the column of the sizes, such as "data_size". The tables are those of
:class:`bslib.scaling.protocol.Sweep` at one target, with that column: ``runs``, of which the
reruns are used, and ``winners``.
"""

import math
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bslib import stats
from bslib.scaling.critical_batch_size import SPAN
from bslib.stats.estimate import Estimate, refused

MOST_SET_ASIDE = 0.1  # of the seeds
Floats = NDArray[np.float64]


def exponent(
    runs: pd.DataFrame, winners: pd.DataFrame, *, by: str, level: float = 0.95
) -> Estimate:
    """Estimate the exponent of B_crit in ``by``; refused with its reason."""
    tables, reason = _tables(runs, winners, by)
    named = {_named(by, size): table for size, table in tables.items()}
    if not reason:
        reason = next(filter(None, (_lacking(name, each) for name, each in named.items())), "")
    if not reason and len(tables) < 2:
        reason = f"an exponent needs two {_words(by)}s"
    count = len(next(iter(tables.values()), ()))
    if reason:
        return refused(reason, level=level, n=count)
    log_sizes = np.log(list(tables))

    def slope(seeds: NDArray[np.int64]) -> float:
        values = [_log_critical(table, seeds) for table in tables.values()]
        return float(np.polyfit(log_sizes, values, 1)[0])

    return stats.jackknife(slope, range(count), level)


def critical_batch_sizes(
    runs: pd.DataFrame, winners: pd.DataFrame, *, by: str, level: float = 0.95
) -> pd.DataFrame:
    """Return B_crit with its interval: a row a size where it is known.

    Columns ``by``, ``critical_batch_size``, ``low``, ``high``, ``minimal_steps``.
    """
    rows = []
    for size, table in _tables(runs, winners, by)[0].items():
        found = stats.jackknife(partial(_log_critical, table), range(len(table)), level)
        if found.value is None:
            continue
        value, low, high = (float(np.exp(each)) for each in (found.value, found.low, found.high))
        first = float(np.exp(_law(table, np.arange(len(table)))[0]))
        rows.append((size, value, low, high, first))
    return pd.DataFrame(rows, columns=[by, "critical_batch_size", "low", "high", "minimal_steps"])


def curves(runs: pd.DataFrame, winners: pd.DataFrame, *, by: str) -> pd.DataFrame:
    """Return the laws' steps to target, for drawing: ``by``, batch_size, steps_to_target."""
    rows = []
    for _, row in critical_batch_sizes(runs, winners, by=by).iterrows():
        tried = winners.loc[winners[by] == row[by], "batch_size"]
        for batch_size in np.geomspace(tried.min(), tried.max(), 40):
            steps = row["minimal_steps"] * (1 + row["critical_batch_size"] / batch_size)
            rows.append((int(row[by]), batch_size, steps))
    return pd.DataFrame(rows, columns=[by, "batch_size", "steps_to_target"])


def _words(by: str) -> str:
    return by.replace("_", " ")


def _named(by: str, size: int) -> str:
    return f"{_words(by)} {size:,}"


def _tables(
    runs: pd.DataFrame, winners: pd.DataFrame, by: str
) -> tuple[dict[int, pd.DataFrame], str]:
    """Return ln(steps) by seed and batch size for each size, and why they will not do."""
    tables: dict[int, pd.DataFrame] = {}
    reason = ""
    for _, row in winners[winners["outcome"] != "tuned"].iterrows():
        reason = reason or (
            f"the learning rate of batch size {row['batch_size']} at {_named(by, row[by])} "
            f"is not tuned: {row['outcome']} {row['side']}".rstrip()
        )
    used = runs[runs["role"] == "rerun"]
    seeds, missing = used["seed"].unique(), used.loc[used["steps_to_target"].isna(), "seed"]
    if missing.nunique() > MOST_SET_ASIDE * len(seeds):
        return {}, reason or f"{missing.nunique()} of {len(seeds)} seeds missed the target"
    used = used[~used["seed"].isin(missing)]
    for size in sorted(int(each) for each in used[by].unique()):
        rows = used[used[by] == size]
        steps = rows.pivot(index="seed", columns="batch_size", values="steps_to_target")
        if steps.shape[1] >= 3 and not steps.isna().any(axis=None):
            tables[size] = steps.map(math.log)
        else:
            reason = reason or f"fewer than three batch sizes are known at {_named(by, size)}"
    return tables, reason


def _log_critical(table: pd.DataFrame, seeds: NDArray[np.int64]) -> float:
    return _law(table, seeds)[1]


def _law(table: pd.DataFrame, seeds: NDArray[np.int64]) -> tuple[float, float]:
    """Return (ln S_min, ln B_crit) of the law through these seeds' steps, by least squares.

    Every seed has every batch size, so that the law through all rows is the law through
    their means. A bend outside all that could be seen is no number.
    """
    sizes = table.columns.to_numpy(float)
    means = table.to_numpy()[seeds].mean(axis=0)

    def residuals(c: Floats) -> tuple[Floats, Floats]:
        level = means - np.log1p(np.exp(c)[:, None] / sizes)  # (grid, sizes)
        return level.mean(axis=1), level.var(axis=1)

    grid = np.linspace(math.log(sizes[0] / 100), math.log(sizes[-1] * 100), 300)
    for _ in range(3):
        _, misfit = residuals(grid)
        best = int(misfit.argmin())
        if best in (0, len(grid) - 1):
            return math.nan, math.nan
        grid = np.linspace(grid[best - 1], grid[best + 1], 60)
    a, misfit = residuals(grid)
    best = int(misfit.argmin())
    return float(a[best]), float(grid[best])


def _lacking(name: str, table: pd.DataFrame) -> str:
    """Say which side of the bend the batch sizes lack, as the law's own fit does."""
    smallest, largest = float(table.columns.min()), float(table.columns.max())
    value = math.exp(_log_critical(table, np.arange(len(table))))
    if smallest * SPAN <= value <= largest / SPAN:
        return ""
    if math.isnan(value):
        return f"steps at {name} show no bend"
    side = "smaller" if smallest * SPAN > value else "larger"
    return f"the bend at {name}, {value:.3g}, is too near an end: add {side} batch sizes"
