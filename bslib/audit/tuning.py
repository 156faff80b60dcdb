"""How well the learning rate (and weight decay) was tuned at each batch size of a budget."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bslib.scaling import optimum

RATE, DECAY = "learning_rate", "weight_decay"
_REPORTED = 2  # fresh seeds, at least, that are reported in place of those of the choice


@dataclass(frozen=True, eq=False)
class Tuned:
    """One batch size: what was tried, what won, and where in what was tried it lies.

    Attributes:
        batch_size: the size.
        rates: learning rates that the winner was chosen from, in order.
        learning_rate: the winner: fewest failures, then the best mean score.
        weight_decay: of the winner.
        decays: weight decays that it was chosen from.
        side: ``"lowest"`` or ``"highest"`` where the winning rate is at that end; else "", as
            where no run has a result.
        decay_side: the same of the decay; a decay of 0 is no end, since nothing lies beyond.
        grid: runs that the winner was chosen from.
        reported: runs of the winner that stand for the size.
        fresh: whether ``reported`` are other seeds than the choice was made on.
        failed: how many of ``reported`` failed.
    """

    batch_size: int
    rates: tuple[float, ...]
    learning_rate: float
    weight_decay: float
    decays: tuple[float, ...]
    side: str
    decay_side: str
    grid: pd.DataFrame
    reported: pd.DataFrame
    fresh: bool
    failed: int

    @property
    def tried(self) -> bool:
        """Whether there was a choice of rates."""
        return len(self.rates) > 1

    @property
    def won(self) -> bool:
        """Whether any run that the winner was chosen from has a result."""
        return _any_result(self.grid)

    @property
    def edge(self) -> bool:
        """Whether a better pair may lie beyond what was tried."""
        return bool(self.side or self.decay_side)

    @property
    def tuned(self) -> bool:
        """Whether the best rate lies inside its grid."""
        return self.tried and self.won and not self.edge

    @property
    def gap(self) -> float:
        """The larger of the winner's factors to its two neighbours; 1 where it has none."""
        at = self.rates.index(self.learning_rate)
        near = self.rates[max(at - 1, 0) : at + 2]
        return max((b / a for a, b in itertools.pairwise(near)), default=1.0)


def held_decay(runs: pd.DataFrame) -> float:
    """Return the weight decay to compare at where it is not tuned: the commonest over sizes.

    Of several that are as common, the smallest.
    """
    common = runs.groupby(DECAY)["batch_size"].nunique()
    return float(common[common == common.max()].index.min())


def tune(runs: pd.DataFrame) -> list[Tuned]:
    """Find each batch size's best rate, at :func:`held_decay`."""
    held = runs[runs[DECAY] == held_decay(runs)]
    return [_size(rows) for _, rows in held.groupby("batch_size", sort=True)]


def tune_jointly(runs: pd.DataFrame) -> list[Tuned]:
    """Find each batch size's best pair of rate and weight decay, among sizes with several."""
    sizes = [rows for _, rows in runs.groupby("batch_size", sort=True) if rows[DECAY].nunique() > 1]
    return [_size(rows) for rows in sizes]


def at_rate(runs: pd.DataFrame, rate: float) -> list[Tuned]:
    """Hold every batch size that has it at one rate."""
    held = runs[(runs[DECAY] == held_decay(runs)) & (runs[RATE] == rate)]
    return [_size(rows) for _, rows in held.groupby("batch_size", sort=True)]


def _any_result(runs: pd.DataFrame) -> bool:
    return bool(runs["score"].notna().any())


def _size(rows: pd.DataFrame) -> Tuned:
    chosen_on = _chosen_on(rows)
    best = _best(chosen_on)
    won = _cell(rows, best)
    unseen = won[~won["seed"].isin(chosen_on["seed"])]
    fresh = len(unseen) >= _REPORTED
    if not fresh and len(chosen_on) < len(rows):
        chosen_on = rows
        best = _best(rows)
        won = _cell(rows, best)
    reported = unseen if fresh else won
    rates = tuple(sorted(float(rate) for rate in chosen_on[RATE].unique()))
    decays = tuple(sorted(float(decay) for decay in chosen_on[DECAY].unique()))
    ended = _any_result(chosen_on)
    return Tuned(
        batch_size=int(rows["batch_size"].iloc[0]),
        rates=rates,
        learning_rate=best[0],
        weight_decay=best[1],
        decays=decays,
        side=_side(best[0], rates) if ended else "",
        decay_side=_decay_side(best[1], decays) if ended else "",
        grid=chosen_on.reset_index(drop=True),
        reported=reported.reset_index(drop=True),
        fresh=fresh,
        failed=int(reported["score"].isna().sum()),
    )


def _chosen_on(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the grid's rows: all but seeds of hardly any setting, which came after the choice.

    Of two settings at most, or a quarter of those that the others were trained in.
    """
    settings = rows.drop_duplicates(["seed", RATE, DECAY]).groupby("seed").size()
    most = int(settings.max())
    few = min(max(2, most // 4), most - 1)
    return rows[rows["seed"].isin(settings[settings > few].index)]


def _best(rows: pd.DataFrame) -> tuple[float, float]:
    tables = [
        optimum.scores(part, "score", maximise=True).assign(**{DECAY: decay})
        for decay, part in rows.groupby(DECAY, sort=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    share = table["failed"] / table.merge(_counts(rows), on=[RATE, DECAY])["count"]
    best = table.iloc[np.lexsort((table["score"].fillna(np.inf), share))[0]]
    return float(best[RATE]), float(best[DECAY])


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby([RATE, DECAY]).size().rename("count").reset_index()


def _cell(rows: pd.DataFrame, pair: tuple[float, float]) -> pd.DataFrame:
    return rows[(rows[RATE] == pair[0]) & (rows[DECAY] == pair[1])]


def _decay_side(value: float, decays: Sequence[float]) -> str:
    side = _side(value, decays)
    return "" if side == "lowest" and value == 0 else side


def _side(value: float, grid: Sequence[float]) -> str:
    """Name the end of a grid that a value is at; a grid of one has no ends."""
    if len(grid) < 2:
        return ""
    return "lowest" if value == grid[0] else "highest" if value == grid[-1] else ""
