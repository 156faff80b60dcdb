"""How the critical batch size, and a step's memory, go with the number of training examples.

At each target all is as in :mod:`bslib.scaling.critical_exponents`. A seed's trainings share its
data and its weights at every batch size and every data size.
"""

from collections.abc import Callable
from functools import partial

import pandas as pd

from bslib import stats
from bslib.scaling import critical_exponents
from bslib.scaling.data_sizes import COMMON, OWN
from bslib.stats.estimate import Estimate, exact

MEMORY = "the memory of a step"
BY = "data_size"


def arms(
    runs: pd.DataFrame, winners: pd.DataFrame, memory: pd.DataFrame, level: float = 0.95
) -> dict[str, Estimate]:
    """Estimate the exponents of B_crit in N at both targets, and of a step's memory in N.

    Args:
        runs, winners: of :func:`bslib.scaling.data_sizes.sweep`; the reruns are used.
        memory: of :func:`bslib.scaling.data_sizes.step_memory`. Bytes are counted, not
            sampled: the interval is from their scatter about the power law, and two are exact.
        level: confidence level.
    """
    found = critical(runs, winners, level)
    peaks = stats.power_law(memory["data_size"], memory["peak_bytes"], level=level).slope
    if len(memory) == 2 and peaks.value is not None:
        peaks = exact(peaks.value, level)
    return {**found, MEMORY: peaks}


def critical(runs: pd.DataFrame, winners: pd.DataFrame, level: float = 0.95) -> dict[str, Estimate]:
    """Estimate the exponent of B_crit in N at each target; refused with its reason."""
    return {
        target: critical_exponents.exponent(*_at(target, runs, winners), by=BY, level=level)
        for target in (COMMON, OWN)
    }


def critical_batch_sizes(
    runs: pd.DataFrame, winners: pd.DataFrame, level: float = 0.95
) -> pd.DataFrame:
    """Return B_crit with its interval: a row a target and data size where it is known.

    Columns ``target``, ``data_size``, ``critical_batch_size``, ``low``, ``high``,
    ``minimal_steps``.
    """
    estimate = critical_exponents.critical_batch_sizes
    return _each_target(partial(estimate, by=BY, level=level), runs, winners)


def curves(runs: pd.DataFrame, winners: pd.DataFrame) -> pd.DataFrame:
    """Return the laws' steps to target, for drawing: target, data_size, batch_size, steps."""
    return _each_target(partial(critical_exponents.curves, by=BY), runs, winners)


def _each_target(
    estimate: Callable[..., pd.DataFrame], runs: pd.DataFrame, winners: pd.DataFrame
) -> pd.DataFrame:
    tables = {target: estimate(*_at(target, runs, winners)) for target in (COMMON, OWN)}
    return pd.concat(
        [table.assign(target=target) for target, table in tables.items()], ignore_index=True
    )


def _at(target: str, *tables: pd.DataFrame) -> list[pd.DataFrame]:
    return [table[table["target"] == target] for table in tables]
