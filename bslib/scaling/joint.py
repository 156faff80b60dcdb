"""The best pair of learning rate and weight decay on a grid of both.

The grid is a rectangle: each rate was trained at each decay, on the same seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib.refusal import Refusal
from bslib.scaling import optimum


@dataclass(frozen=True)
class Pair:
    """The best pair, and where in the rectangle it lies.

    Attributes:
        learning_rate, weight_decay: the pair.
        rate_edge: -1 at the lowest rate, 1 at the highest, 0 between them.
        decay_edge: 1 at the largest decay, else 0: there is nothing beyond a decay of 0.
    """

    learning_rate: float
    weight_decay: float
    rate_edge: int
    decay_edge: int

    @property
    def sides(self) -> str:
        """The edges in words; empty where there is none."""
        rate = {-1: "lowest", 0: "", 1: "highest"}[self.rate_edge]
        return ", ".join(filter(None, [rate, "highest weight decay" if self.decay_edge else ""]))


def winner(runs: pd.DataFrame, metric: str, *, maximise: bool = False) -> Pair:
    """Return the best pair: fewest seeds without a finite metric, then the best mean."""
    tables = [
        optimum.scores(rows, metric, maximise=maximise).assign(weight_decay=decay)
        for decay, rows in runs.groupby("weight_decay", sort=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    best = table.iloc[np.lexsort((table["score"].fillna(np.inf), table["failed"]))[0]]
    rates, rate = table["learning_rate"], float(best["learning_rate"])
    rate_edge = -1 if rate == rates.min() else int(rate == rates.max())
    decay = float(best["weight_decay"])
    return Pair(rate, decay, rate_edge, int(decay == table["weight_decay"].max()))


def checked(weight_decays: Sequence[float]) -> list[float]:
    """Return the decays of a grid.

    Raises:
        Refusal: they do not rise from 0, or fewer than two of them are above it.
    """
    decays = [float(decay) for decay in weight_decays]
    rising = decays == sorted(set(decays)) and all(math.isfinite(decay) for decay in decays)
    if len(decays) < 3 or decays[0] != 0 or not rising:
        raise Refusal(
            f"weight_decays rise from 0 to at least two values above it, not {list(weight_decays)}"
        )
    return decays


def beyond(weight_decays: Sequence[float], count: int) -> list[float]:
    """Return ``count`` larger decays, as far apart as the two largest of the grid."""
    *_, before, last = sorted(weight_decays)
    return [last * (last / before) ** step for step in range(1, count + 1)]
