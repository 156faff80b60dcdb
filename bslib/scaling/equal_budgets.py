"""The same batch sizes under two budgets, tuned under each: at equal epochs, at equal steps.

Several claims rest on this one pair of sweeps, so that it is asked for here, in one way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bslib import stats, sweeps
from bslib.refusal import Refusal
from bslib.scaling import tuned
from bslib.scaling.protocol import Progress, Sweep
from bslib.stats.estimate import Estimate, refused

EPOCHS, STEPS = "equal epochs", "equal steps"
# Where grids start: learning_rate / (1 + NOISE_SCALE / B), three points a factor of two apart.
NOISE_SCALE, POINTS, GRID_SEEDS = 34.0, 3, 3
# At a constant rate, to a loss half-way down, the best rates are lower than for a cosine's end.
CONSTANT = 0.55
# A training to the common loss may take this many times the equal epochs.
PATIENCE = 8

_COLUMNS = ["batch_size", "seed", "learning_rate", "outcome", "train_loss", "validation_accuracy"]


@dataclass(frozen=True)
class EqualBudgets:
    """Two tuned sweeps over the same batch sizes.

    Attributes:
        epochs: every training sees the same examples, as often.
        steps: every training takes the same number of steps.
    """

    epochs: Sweep
    steps: Sweep

    @property
    def runs(self) -> pd.DataFrame:
        """The trainings on fresh seeds, edges included: ``budget``, and :func:`fresh`'s columns."""
        pair = {EPOCHS: self.epochs, STEPS: self.steps}
        tables = [fresh(sweep).assign(budget=name) for name, sweep in pair.items()]
        return pd.concat(tables, ignore_index=True)[["budget", *_COLUMNS, "test_accuracy"]]

    @property
    def winners(self) -> pd.DataFrame:
        """Both sweeps' winners, with the budget."""
        pair = {EPOCHS: self.epochs, STEPS: self.steps}
        tables = [sweep.winners.assign(budget=name) for name, sweep in pair.items()]
        found = pd.concat(tables, ignore_index=True)
        return found[["budget", "batch_size", "learning_rate", "outcome", "side"]]


def equal_steps(batch_sizes: Sequence[int], epochs: int, examples: int) -> int:
    """Return the number of steps of the budget at equal steps.

    It is what the second smallest batch size takes at equal epochs: the smallest then sees less
    data than at equal epochs, all others more, or as much.
    """
    return max(2, epochs * examples // sorted(batch_sizes)[:2][-1])


def measure(
    *,
    task: str,
    examples: int,
    batch_sizes: Sequence[int],
    epochs: int,
    learning_rate: float,
    seed: int,
    seeds: int,
    device: str,
    progress: Progress | None = None,
) -> EqualBudgets:
    """Make both sweeps, or read those that another notebook of this run has made.

    Args:
        task, examples, batch_sizes, learning_rate, seed, device: of
            :func:`bslib.scaling.tuned.fixed_budget`; ``learning_rate`` is a guess for a very
            large batch.
        epochs: of the budget at equal epochs; :func:`equal_steps` gives the other.
        seeds: fresh ones, that the winners are trained on; the grids have ``GRID_SEEDS``.
        progress: told after every batch size of a sweep.
    """
    settings: dict[str, Any] = {
        "task": task, "examples": examples, "batch_sizes": list(batch_sizes), "seed": seed,
        "seeds": seeds, "device": device, "learning_rate": learning_rate, "progress": progress,
        "noise_scale": NOISE_SCALE, "points": POINTS, "grid_seeds": GRID_SEEDS,
    }  # fmt: skip
    steps = equal_steps(batch_sizes, epochs, examples)
    return EqualBudgets(
        Sweep(**sweeps.shared(tuned.fixed_budget, epochs=epochs, **settings)),
        Sweep(**sweeps.shared(tuned.fixed_budget, steps=steps, **settings)),
    )


def to_common_loss(
    swept: Sweep,
    *,
    examples: int,
    batch_sizes: Sequence[int],
    epochs: int,
    learning_rate: float,
    **settings: Any,
) -> Sweep:
    """Sweep to :func:`common_loss`, the rate tuned at every size to get there in fewest steps.

    Args:
        swept: at one of the budgets; gives the loss.
        examples, batch_sizes, epochs, learning_rate, settings: of :func:`measure`.
    """
    tables = sweeps.shared(
        tuned.to_target,
        metric="train_loss",
        value=common_loss(swept),
        examples=examples,
        batch_sizes=list(batch_sizes),
        most_examples=PATIENCE * epochs * examples,
        learning_rate=CONSTANT * learning_rate,
        noise_scale=NOISE_SCALE,
        points=POINTS,
        grid_seeds=GRID_SEEDS,
        **settings,
    )
    return Sweep(**tables)


def common_loss(swept: Sweep) -> float:
    """Return a training loss that all batch sizes reach in a sweep's budget, to two decimals.

    The largest over batch sizes of the reruns' median training loss.

    Raises:
        Refusal: no training has a finite loss.
    """
    runs = fresh(swept)
    losses = runs.groupby("batch_size")["train_loss"].median().dropna()
    if losses.empty:
        raise Refusal("every training of the sweep has diverged; give a lower learning_rate")
    return round(float(losses.max()), 2)


def fresh(sweep: Sweep) -> pd.DataFrame:
    """Return a sweep's trainings on fresh seeds with the ``outcome`` of their size's tuning.

    Unlike :attr:`Sweep.reruns` they hold those at an edge too, for pictures;
    :func:`untuned` says which sizes are not to be compared.
    """
    runs = sweep.runs[sweep.runs["role"] == "rerun"]
    return runs.merge(sweep.winners[["batch_size", "outcome"]], on="batch_size")


def untuned(runs: pd.DataFrame, batch_sizes: Sequence[int]) -> str:
    """Say which of the batch sizes have no tuned rate among ``runs``; empty if all have one."""
    outcomes = runs.groupby("batch_size")["outcome"].first()
    words = {size: outcomes.get(size, "unreached") for size in sorted(batch_sizes)}
    failed = [f"batch size {size}: {word}" for size, word in words.items() if word != "tuned"]
    return "; ".join(failed)


def gap(runs: pd.DataFrame, small: int, large: int, *, y: str = "validation_accuracy") -> Estimate:
    """Estimate ``y`` at one batch size less that at another, in points, paired by seed."""
    if small == large:
        return refused(f"a gap needs two batch sizes, and there is only {small}")
    if reason := untuned(runs, [small, large]):
        return refused(reason)
    table = 100 * runs.pivot(index="seed", columns="batch_size", values=y)
    return stats.paired_difference(table[small].to_numpy(), table[large].to_numpy())
