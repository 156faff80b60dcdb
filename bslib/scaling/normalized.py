"""Networks with and without normalisation against batch size, each with a rate of its own.

A case is a network and a batch size. At equal epochs its learning rate is tuned on some seeds
by validation accuracy (:func:`bslib.scaling.protocol.sweep`), and what is compared is test
accuracy on other seeds, the same for all cases: one seed has the same initial weights and the
same order of examples whatever the norm.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from bslib import data, models, training
from bslib.models import normalization
from bslib.refusal import Refusal
from bslib.scaling import protocol, rules
from bslib.scaling.protocol import Members, Progress

NONE, BATCH, GROUP = "none", "batch norm", "group norm"
RECALIBRATED, GHOST = "batch norm, recalibrated", "ghost batch norm"
UNITS = 16  # of a layer, that share statistics under group norm (Wu and He 2018, table 3)
DEPTH, LAYERS = 4, (0, 1, 2, 4)  # of the networks whose batch-norm layers are counted

FRESH = 1_000  # the compared seeds start this far above the grid's
# The grids' middles, RATE / (1 + NOISE / B); only where the grids start depends on them.
RATE, NOISE, POINTS = 1.0, 200.0, 4


@dataclass(frozen=True)
class Case:
    """A network and the batch size that it is trained with.

    Attributes:
        norm: what the page calls it.
        batch_size: examples a step.
        shared: examples that share batch norm's statistics; 0 without batch norm.
        layers: how many hidden layers are normalised, the first ones.
        depth: how many hidden layers there are.
    """

    norm: str
    batch_size: int
    shared: int = 0
    layers: int = 2
    depth: int = 2

    @property
    def options(self) -> dict[str, Any]:
        """The model's options."""
        if self.norm == NONE or not self.layers:
            return {"depth": self.depth}
        kind: dict[str, dict[str, Any]] = {
            BATCH: {"norm": "batch"},
            GROUP: {"norm": "group", "group": UNITS},
            GHOST: {"norm": "ghost", "group": self.shared},
        }
        return {"depth": self.depth, "normalized": self.layers} | kind[self.norm]


@dataclass(frozen=True)
class Measured:
    """What was trained.

    Attributes:
        runs: a row a compared training: a case's fields, ``seed``, ``learning_rate``,
            ``accuracy`` on the test part in points; of batch norm (missing for others) also
            ``recalibrated``, under statistics over the training set, and ``as_trained``,
            under those of test batches as large as training's.
        winners: a row a case: its fields, the tuned ``learning_rate`` and ``outcome``.
    """

    runs: pd.DataFrame
    winners: pd.DataFrame

    def curves(self) -> pd.DataFrame:
        """Return the runs, those of batch norm a second time under their other statistics."""
        again = self.runs.dropna(subset="recalibrated")
        again = again.assign(norm=RECALIBRATED, accuracy=again["recalibrated"])
        return pd.concat([self.runs, again], ignore_index=True)


def by_batch_size(batch_sizes: Sequence[int]) -> list[Case]:
    """List no norm, batch norm and group norm at each batch size.

    Raises:
        Refusal: a size of 1, at which batch norm has no statistics, or fewer than two sizes.
    """
    if len(batch_sizes) < 2 or min(batch_sizes) < 2:
        raise Refusal(f"batch norm is compared at two batch sizes or more, from 2; {batch_sizes}")
    cases = [Case(BATCH, size, shared=size) for size in batch_sizes]
    return cases + [Case(norm, size) for norm in (GROUP, NONE) for size in batch_sizes]


def by_shared_examples(batch_sizes: Sequence[int]) -> list[Case]:
    """List ghost batch norm at the largest size, over groups of each other that divides it."""
    largest = max(batch_sizes)
    groups = [size for size in batch_sizes if size < largest and largest % size == 0]
    return [Case(GHOST, largest, shared=size) for size in groups]


def by_layers(batch_sizes: Sequence[int]) -> list[Case]:
    """List networks of four hidden layers with 0, 1, 2 and 4 of batch norm."""
    return [
        Case(BATCH, size, shared=size, layers=count, depth=DEPTH)
        for size in batch_sizes
        for count in LAYERS
    ]


def measure(
    task: data.Task,
    cases: Sequence[Case],
    *,
    epochs: int,
    seed: int,
    seeds: int,
    progress: Progress = lambda done, total: None,
) -> Measured:
    """Tune each case, then train its winner on ``seeds`` fresh seeds.

    SGD with momentum 0.9 and a cosine schedule over the epochs; an epoch's ragged last batch is
    left out. The grid has a quarter as many seeds, and at least two.
    """
    runs, winners = [], []
    fresh = range(seed + FRESH, seed + FRESH + seeds)
    for done, case in enumerate(cases):
        progress(done, len(cases))
        swept = protocol.sweep(
            _Train(task, case, epochs, fresh),
            [case.batch_size],
            functools.partial(rules.saturating, RATE, NOISE),
            metric="validation_accuracy",
            seeds=range(seed, seed + max(2, seeds // 4)),
            fresh_seeds=fresh,
            points=POINTS,
        )
        named = {field.name: getattr(case, field.name) for field in fields(case)}
        compared = swept.runs[swept.runs["role"] == "rerun"].assign(**named)
        columns = [*named, "seed", "learning_rate", "accuracy", "recalibrated", "as_trained"]
        runs.append(compared.reindex(columns=columns))
        winners.append(swept.winners.assign(**named)[[*named, "learning_rate", "outcome"]])
    progress(len(cases), len(cases))
    return Measured(pd.concat(runs, ignore_index=True), pd.concat(winners, ignore_index=True))


@dataclass(frozen=True)
class _Train:
    """Trains one case; see :class:`bslib.scaling.protocol.Train`."""

    task: data.Task
    case: Case
    epochs: int
    fresh: range  # the seeds whose networks are tested in other ways too

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
        weight_decays: Sequence[float] = (),
    ) -> Members:
        trained = training.train(
            self.task,
            batch_size=batch_size,
            learning_rates=learning_rates,
            seeds=seeds,
            model=functools.partial(models.build, "mlp", self.task, **self.case.options),
            optimizer="momentum",
            schedule="cosine",
            budget=training.Budget(examples=self.epochs * len(self.task.train)),
            evaluate_on=("validation", "test"),
            drop_last=True,
        )
        points = 100 * trained.members["test_accuracy"]
        again = [self._otherwise(trained, *member) for member in enumerate(seeds)]
        return Members(
            trained.members.assign(
                accuracy=points,
                recalibrated=[first for first, _ in again],
                as_trained=[second for _, second in again],
            )
        )

    def _otherwise(self, trained: training.Training, member: int, seed: int) -> tuple[float, float]:
        """Return test accuracies under other batch-norm statistics: recalibrated, as trained."""
        if self.case.norm != BATCH or not self.case.layers or seed not in self.fresh:
            return math.nan, math.nan
        module = trained.module(member)
        test, size = self.task.test, self.case.batch_size
        whole = test.subset(range(len(test) // size * size))
        mended = normalization.recalibrated(module, self.task.train.inputs).eval()
        return (
            _points(mended, test.inputs, test.targets),
            _points(normalization.as_in_training(module, size), whole.inputs, whole.targets),
        )


def _points(module: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    with torch.no_grad():
        return 100 * (module(inputs).argmax(1) == targets).double().mean().item()


def shared(sizes: Measured, ghosts: Measured) -> pd.DataFrame:
    """Return the runs of batch norm at each batch size, and those of ghost batch norm."""
    runs = sizes.runs[sizes.runs["norm"] == BATCH]
    return pd.concat([runs, ghosts.runs], ignore_index=True)
