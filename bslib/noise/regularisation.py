"""Does a small batch regularise through its noise? The noise is put back into full batches.

Four ways of training at one learning rate and number of steps, from the same initial weights:
small batches, the full batch, and the full batch with either kind of
:mod:`bslib.noise.injected` noise. What only the batch's covariance brings back is due to it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bslib import stats
from bslib.data import Task
from bslib.noise import injected
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate, refused
from bslib.training import Budget, Progress, train

SMALL, FULL = "small batch", "full batch"
EXAMPLE_NOISE, ISOTROPIC_NOISE = (
    "full batch, the small batch's noise",
    "full batch, isotropic noise",
)
LARGE_RATE, SMALL_RATE = "large", "small"

SMALLER = 8  # the small learning rate is this many times smaller
FITTED = 0.9  # training accuracy from which the training set counts as learnt
DOUBLINGS = 8
EVALUATIONS = 6  # of a training at the large rate; at the small one there is that of the end
_PILOT = 2_000  # the pilot's seeds start this far above the others
_COLUMNS = ["seed", "step", "train_loss", "train_accuracy", "validation_accuracy"]


def large_rate(
    task: Task, *, batch_size: int, learning_rate: float, steps: int, seed: int, seeds: int = 4
) -> pd.DataFrame:
    """Double the learning rate of small batches until they no longer learn the training set.

    Small batches are tried because their noise is what breaks first. The rule looks at training
    accuracy alone, and the pilot's seeds are used for nothing else: no rate is chosen for the
    difference that is then measured.

    Returns:
        A row a rate, from ``learning_rate`` on: ``learning_rate``, ``train_accuracy`` (the lowest
        over seeds) and ``works``: it is at least ``FITTED``. The first that does not is the last
        row, unless ``DOUBLINGS`` were not enough.
    """
    _classes(task)
    rows: list[dict[str, float | bool]] = []
    while len(rows) <= DOUBLINGS and all(row["works"] for row in rows):
        rate = learning_rate * 2 ** len(rows)
        trained = train(
            task,
            batch_size=batch_size,
            learning_rates=[rate] * seeds,
            seeds=range(_PILOT + seed, _PILOT + seed + seeds),
            budget=Budget(steps=steps),
            model="mlp",
            evaluate_on=("train",),
        )
        lowest = float(trained.members["train_accuracy"].min())
        rows.append({"learning_rate": rate, "train_accuracy": lowest, "works": lowest >= FITTED})
    return pd.DataFrame(rows)


def largest(pilot: pd.DataFrame) -> float:
    """Return the largest rate that works; where none does, the lowest that was tried."""
    working = pilot.loc[pilot["works"], "learning_rate"]
    return float(working.max() if len(working) else pilot["learning_rate"].min())


def compare(
    task: Task,
    *,
    batch_size: int,
    learning_rate: float,
    steps: int,
    seeds: Sequence[int],
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Train in all four ways at ``learning_rate``, and without noise at an eighth of it.

    Returns:
        A row a training and evaluation: ``rate`` (``LARGE_RATE`` or ``SMALL_RATE``, which is
        evaluated at its end only), ``training``, ``seed``, ``step``, ``train_loss``,
        ``train_accuracy`` and ``validation_accuracy``. A network whose loss is no longer finite
        answers at random.

    Cost: four times ``steps`` steps over all examples for each seed, and a little more.
    """
    classes = _classes(task)
    kinds = (SMALL, FULL, EXAMPLE_NOISE, ISOTROPIC_NOISE)
    runs = [(LARGE_RATE, each, learning_rate, EVALUATIONS) for each in kinds]
    runs += [(SMALL_RATE, each, learning_rate / SMALLER, 1) for each in kinds[:2]]
    rows = []
    for done, (rate, training, value, evaluations) in enumerate(runs):
        progress(done, len(runs))
        history = _history(task, training, batch_size, value, steps, seeds, evaluations)
        rows.append(history[_COLUMNS].assign(rate=rate, training=training))
    progress(len(runs), len(runs))
    table = pd.concat(rows, ignore_index=True)
    broken = ~np.isfinite(table["train_loss"])
    table.loc[broken, ["train_accuracy", "validation_accuracy"]] = 1 / classes
    return table


def _history(
    task: Task,
    training: str,
    batch_size: int,
    rate: float,
    steps: int,
    seeds: Sequence[int],
    evaluations: int,
) -> pd.DataFrame:
    if training in (SMALL, FULL):
        trained = train(
            task,
            batch_size=batch_size if training == SMALL else len(task.train),
            learning_rates=[rate] * len(seeds),
            seeds=seeds,
            budget=Budget(steps=steps),
            model="mlp",
            evaluate_every=max(1, steps // evaluations),
        )
        return trained.history[trained.history["step"] > 0]
    noise = injected.EXAMPLES if training == EXAMPLE_NOISE else injected.ISOTROPIC
    return injected.full_batch(
        task,
        noise=noise,
        batch_size=batch_size,
        learning_rate=rate,
        seeds=seeds,
        steps=steps,
        evaluations=evaluations,
    )


def _classes(task: Task) -> int:
    if task.classes is None:
        raise Refusal(f"task {task.name!r} has no accuracy; use one with classes")
    return task.classes


def arms(runs: pd.DataFrame, pilot: pd.DataFrame) -> dict[str, Estimate]:
    """Return what claim 1.4 judges: differences of final accuracies in points, paired by seed.

    Args:
        runs: of :func:`compare`.
        pilot: of :func:`large_rate`; where no rate works, nothing is estimated.
    """
    last = runs.sort_values("step").groupby(["rate", "training", "seed"]).last()
    points = 100 * last["validation_accuracy"]
    works = bool(pilot["works"].any())

    def gain(training: str, over: str, rate: str = LARGE_RATE) -> Estimate:
        if not works:
            return refused("no learning rate: the lowest tried is too large for small batches")
        return stats.paired_difference(points[rate, training], points[rate, over])

    return {
        "a small batch at a large learning rate": gain(SMALL, FULL),
        "a small batch at a small learning rate": gain(SMALL, FULL, SMALL_RATE),
        "the small batch's noise added to the full batch": gain(EXAMPLE_NOISE, FULL),
        "the added noise in place of the small batch": gain(EXAMPLE_NOISE, SMALL),
        "isotropic noise added to the full batch": gain(ISOTROPIC_NOISE, FULL),
    }


def at_their_best(runs: pd.DataFrame) -> dict[str, Estimate]:
    """Return the gains over the full batch, in points, if each training had stopped at its best.

    The best evaluation of each training is picked by the accuracy that is then compared, which
    flatters whatever jitters most. Large learning rate only.
    """
    large = runs[runs["rate"] == LARGE_RATE]
    best = 100 * large.groupby(["training", "seed"])["validation_accuracy"].max()
    noisy = (SMALL, EXAMPLE_NOISE, ISOTROPIC_NOISE)
    return {each: stats.paired_difference(best[each], best[FULL]) for each in noisy}
