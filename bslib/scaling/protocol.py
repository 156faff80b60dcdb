"""The learning-rate protocol: every batch size gets a fair learning rate before it is compared.

At each batch size a logarithmic grid around a first guess is trained on a few seeds, all of
it as one ensemble. Where the best rate is at an end of the grid, the grid is extended there,
at most twice; if it still is, the outcome says "edge" and is not to be compared. The winner
is trained again on fresh seeds, and only those trainings are compared: the grid's own are
the better for having been chosen.

Two uses, told apart by ``metric``: steps to a target (``steps_to_target``), or a metric at
the end of a budget (``validation_accuracy``, ``validation_loss`` ...).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bslib.refusal import Refusal
from bslib.scaling import joint, optimum

Progress = Callable[[int, int], None]  # (done, total)

EXTENSIONS = 2
EXTEND_BY = 2  # points beyond the edge, each time


class Trained(Protocol):
    """What a training leaves behind, as far as the protocol looks."""

    @property
    def members(self) -> pd.DataFrame:
        """A row a member, with columns ``seed``, ``batch_size`` and ``learning_rate``."""


@dataclass(frozen=True)
class Members:
    """The members' table alone: networks and curves are not kept."""

    members: pd.DataFrame


class Train(Protocol):
    """Trains one ensemble; all that batch sizes share is fixed in it."""

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
        weight_decays: Sequence[float] = (),
    ) -> Trained:
        """Train a member for each rate, seed and (where given) decay of the same position.

        ``most_examples`` may end it before its own budget does; infinite for no such end.
        """


@dataclass(frozen=True)
class Sweep:
    """A tuned sweep over batch sizes.

    Attributes:
        runs: a row a training: the members' columns, and ``role``: "grid" or "rerun".
        winners: a row a batch size: ``batch_size``, ``learning_rate`` (the best of the
            grid), ``outcome``: "tuned"; "edge" (the best is still at an end of the grid,
            which ``side`` names); or "unreached" (no training has a finite metric, and
            there is no learning rate and no rerun), and ``extensions``. Where weight decay
            is tuned too, ``weight_decay`` is the other half of the best pair.
    """

    runs: pd.DataFrame
    winners: pd.DataFrame

    @property
    def reruns(self) -> pd.DataFrame:
        """The trainings that may be compared: fresh seeds, at the tuned batch sizes only."""
        tuned = self.winners.loc[self.winners["outcome"] == "tuned", "batch_size"]
        runs = self.runs[self.runs["role"] == "rerun"]
        return runs[runs["batch_size"].isin(tuned)].reset_index(drop=True)

    @property
    def grid(self) -> pd.DataFrame:
        """The trainings that the learning rates were chosen from."""
        return self.runs[self.runs["role"] == "grid"].reset_index(drop=True)


def grid(center: float, points: int = 5, factor: float = 2.0) -> list[float]:
    """Return ``points`` learning rates, ``factor`` apart, with ``center`` in the middle."""
    if points < 3 or factor <= 1 or center <= 0:
        raise Refusal(
            f"a grid has 3 points or more, a factor above 1 and a center above 0; not {points} "
            f"points, factor {factor:g}, center {center:g}"
        )
    exponents = np.arange(points) - (points - 1) / 2
    return [float(rate) for rate in center * factor**exponents]


def sweep(
    train: Train,
    batch_sizes: Sequence[int],
    center: Callable[[int], float],
    *,
    metric: str = "steps_to_target",
    seeds: Sequence[int],
    fresh_seeds: Sequence[int],
    points: int = 5,
    factor: float = 2.0,
    patience: float = math.inf,
    weight_decays: Sequence[float] = (),
    progress: Progress = lambda done, total: None,
) -> Sweep:
    """Tune every batch size, then train its winner on fresh seeds.

    With a finite ``patience`` (for steps to target), sizes are trained from the largest
    down, and no grid's training sees more than ``patience`` times the examples to target of
    the size before. Tuned, a smaller batch needs no more examples than a larger one, so
    that only rates far from the best are cut short. Where that fails, the outcome is "edge"
    or "unreached", and not a wrong winner; reruns have the whole budget.

    Args:
        train: trains members of one batch size; everything else about them is fixed in it.
        batch_sizes: what is compared.
        center: first guess of the learning rate at a batch size, such as
            ``functools.partial(rules.saturating, eta0, noise_scale)``.
        metric: column of the members that decides; a name that ends in ``accuracy`` is made
            as high as possible, any other as low. Missing means failed.
        seeds: of the grid. Each is trained at every rate.
        fresh_seeds: of the winner's reruns.
        points, factor: of the grid, see :func:`grid`.
        patience: see above; at least 2, so that a neighbour of the best may finish.
        weight_decays: where given, each is trained at every rate, and the best pair wins. They
            rise from 0, which is no edge; the largest is one, and the grid grows there too.
        progress: told after every batch size.

    Raises:
        Refusal: a fresh seed is one of the grid's, a size is given twice, ``patience`` is
            too short, or the weight decays make no grid.
    """
    if set(seeds) & set(fresh_seeds):
        raise Refusal(f"fresh seeds must differ from the grid's {list(seeds)}: {list(fresh_seeds)}")
    if len(set(batch_sizes)) < len(batch_sizes):
        raise Refusal(f"a batch size is given twice: {list(batch_sizes)}")
    if patience < 2:
        raise Refusal(f"patience must be at least 2, not {patience:g}")
    outcomes: dict[int, tuple[list[pd.DataFrame], dict[str, Any]]] = {}
    most_examples = math.inf
    order = sorted(batch_sizes, reverse=True) if patience < math.inf else batch_sizes
    for done, batch_size in enumerate(order):
        progress(done, len(batch_sizes))
        trainer = _Trainer(train, batch_size, most_examples)
        rates = grid(center(batch_size), points, factor)
        if weight_decays:
            winner = trainer.tune_jointly(rates, factor, weight_decays, seeds, metric)
        else:
            winner = trainer.tune(rates, factor, seeds, metric)
        if winner["outcome"] != "unreached":
            decays = [float(winner["weight_decay"])] if weight_decays else []
            trainer.train([float(winner["learning_rate"])], fresh_seeds, "rerun", decays)
        if winner["outcome"] == "tuned" and patience < math.inf:
            most_examples = patience * batch_size * trainer.steps_of_winner(winner)
        outcomes[batch_size] = trainer.runs, winner
    progress(len(batch_sizes), len(batch_sizes))
    runs = [run for batch_size in batch_sizes for run in outcomes[batch_size][0]]
    winners = [outcomes[batch_size][1] for batch_size in batch_sizes]
    return Sweep(pd.concat(runs, ignore_index=True), pd.DataFrame(winners))


@dataclass
class _Trainer:
    """One batch size's trainings so far."""

    call: Train
    batch_size: int
    most_examples: float

    def __post_init__(self) -> None:
        self.runs: list[pd.DataFrame] = []

    def train(
        self,
        rates: Sequence[float],
        seeds: Sequence[int],
        role: str,
        decays: Sequence[float] = (),
    ) -> None:
        members = list(itertools.product(rates, decays or [math.nan], seeds))
        training = self.call(
            batch_size=self.batch_size,
            learning_rates=[rate for rate, _, _ in members],
            seeds=[seed for _, _, seed in members],
            most_examples=self.most_examples if role == "grid" else math.inf,
            **({"weight_decays": [decay for _, decay, _ in members]} if decays else {}),
        )
        self.runs.append(training.members.assign(role=role))

    def tune(
        self, rates: Sequence[float], factor: float, seeds: Sequence[int], metric: str
    ) -> dict[str, Any]:
        """Train the grid, extend it at an edge, and return the winner's row."""
        maximise = metric.endswith("accuracy")
        self.train(rates, seeds, "grid")
        for extensions in range(EXTENSIONS + 1):
            so_far = pd.concat(self.runs, ignore_index=True)
            if not np.isfinite(so_far[metric].to_numpy(float)).any():
                return self._row(float("nan"), "unreached", 0, extensions)
            best, edge = optimum.winner(so_far, metric, maximise=maximise)
            if not edge or extensions == EXTENSIONS:
                break
            self.train(list(_beyond(best, factor**edge)), seeds, "grid")
        return self._row(best, "edge" if edge else "tuned", edge, extensions)

    def tune_jointly(
        self,
        rates: list[float],
        factor: float,
        decays: Sequence[float],
        seeds: Sequence[int],
        metric: str,
    ) -> dict[str, Any]:
        """Do the same on a rectangle of rates and decays, which grows at whichever edge it must."""
        maximise, decays = metric.endswith("accuracy"), joint.checked(decays)
        self.train(rates, seeds, "grid", decays)
        for extensions in range(EXTENSIONS + 1):
            so_far = pd.concat(self.runs, ignore_index=True)
            if not np.isfinite(so_far[metric].to_numpy(float)).any():
                return self._row(math.nan, "unreached", 0, extensions) | {"weight_decay": math.nan}
            best = joint.winner(so_far, metric, maximise=maximise)
            if not best.sides or extensions == EXTENSIONS:
                break
            if best.rate_edge:
                more = list(_beyond(best.learning_rate, factor**best.rate_edge))
                self.train(more, seeds, "grid", decays)
                rates = [*rates, *more]
            if best.decay_edge:
                more = joint.beyond(decays, EXTEND_BY)
                self.train(rates, seeds, "grid", more)
                decays = [*decays, *more]
        outcome = "edge" if best.sides else "tuned"
        row = self._row(best.learning_rate, outcome, best.rate_edge, extensions)
        return row | {"side": best.sides, "weight_decay": best.weight_decay}

    def steps_of_winner(self, winner: dict[str, Any]) -> float:
        """Return the most steps to target that the winning rate took on the grid's seeds."""
        runs = pd.concat(self.runs, ignore_index=True)
        chosen = (runs["role"] == "grid") & (runs["learning_rate"] == winner["learning_rate"])
        if "weight_decay" in winner:
            chosen &= runs["weight_decay"] == winner["weight_decay"]
        return float(runs.loc[chosen, "steps_to_target"].max())

    def _row(self, rate: float, outcome: str, edge: int, extensions: int) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "learning_rate": rate,
            "outcome": outcome,
            "side": {-1: "lowest", 0: "", 1: "highest"}[edge],
            "extensions": extensions,
        }


def _beyond(rate: float, step: float) -> Iterator[float]:
    for _ in range(EXTEND_BY):
        rate *= step
        yield rate


def optima(
    runs: pd.DataFrame, metric: str = "steps_to_target", level: float = 0.95
) -> tuple[list[int], list[optimum.Optimum]]:
    """Return the batch sizes of a tuned sweep's grid and the optimum of each."""
    grid_runs = runs[runs["role"] == "grid"]
    sizes = sorted(int(size) for size in grid_runs["batch_size"].unique())
    maximise = metric.endswith("accuracy")
    found = [
        optimum.best_learning_rate(
            grid_runs[grid_runs["batch_size"] == size], metric, maximise=maximise, level=level
        )
        for size in sizes
    ]
    return sizes, found
