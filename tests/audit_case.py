"""Made-up sweeps whose truth is known, and the files that hold them."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bslib import audit

DATA_SIZE, EPOCHS, STEPS = 4_000, 20, 2_000
SIZES = (8, 32, 128, 512)


def best_rate(batch_size: int) -> float:
    """Return the true best rate: a point of every grid about it."""
    return round(0.4 / (1 + 100 / batch_size), 6)


def sweep(
    *,
    sizes: Sequence[int] = SIZES,
    budgets: Sequence[str] = ("epochs", "steps"),
    rates: Callable[[int], Sequence[float]] = lambda size: grid(size),
    decays: Sequence[float] = (),
    seeds: Sequence[int] = range(4),
    fresh: Sequence[int] = range(100, 112),
    effect: Mapping[int, float] | None = None,
    noise: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Make up a sweep: a grid at every size, and on fresh seeds its best setting once more.

    So are the best rate without weight decay and, at equal epochs, the smallest size's.

    Accuracies (in percent) are 80, plus a size's ``effect``, less 2 points for each octave
    squared off the best rate and each factor of four squared off the best weight decay of 0.01,
    plus what a seed does at every size, plus ``noise``.
    """
    generator = np.random.default_rng(seed)
    luck = {each: generator.normal() for each in itertools.chain(seeds, fresh)}
    rows: list[dict[str, Any]] = []
    for kind, size in itertools.product(budgets, sizes):
        settings = list(itertools.product(rates(size), decays or [math.nan]))
        won = max(settings, key=lambda each: _settled(size, *each))
        runs = [(*each, seed) for each in settings for seed in seeds]
        plain = max(settings, key=lambda each: (-each[1] if decays else 0, _settled(size, *each)))
        held = (best_rate(min(sizes)), *plain[1:])
        again = dict.fromkeys([won, plain, *([held] if kind == "epochs" else [])])
        runs += [(*each, seed) for each in again for seed in fresh]
        for rate, decay, each in runs:
            mean = 80 + (effect or {}).get(size, 0.0) + _settled(size, rate, decay)
            steps = STEPS if kind == "steps" else EPOCHS * DATA_SIZE // size
            value = mean + luck[each] + generator.normal(0, noise)
            rows.append(
                {"batch_size": size, "learning_rate": rate, "weight_decay": decay,
                 "steps": steps, "seed": each, "validation_accuracy": value}
            )  # fmt: skip
    table = pd.DataFrame(rows).drop_duplicates(["batch_size", "learning_rate", "weight_decay",
                                                "steps", "seed"])  # fmt: skip
    return table if decays else table.drop(columns="weight_decay")


def grid(size: int, points: int = 5, factor: float = 2.0) -> list[float]:
    """Return rates about the true best one."""
    middle = best_rate(size)
    return [round(middle * factor ** (at - points // 2), 6) for at in range(points)]


def _settled(size: int, rate: float, decay: float) -> float:
    octaves = math.log2(rate / best_rate(size))
    off = 0.0 if math.isnan(decay) else math.log(max(decay, 1e-4) / 0.01, 4)
    return -2 * octaves**2 - 4 * off**2


def to_target(
    *, sizes: Sequence[int], bend: float, noise: float = 0.03, seeds: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Make up steps to target on the law, at the best rate and at two beside it."""
    generator = np.random.default_rng(seed)
    rows = [
        {"batch_size": size, "learning_rate": rate, "seed": each, "optimizer": "SGD",
         "steps_to_target": round(100 * (1 + bend / size) * (1 + 0.3 * abs(at - 1))
                                  * math.exp(generator.normal(0, noise)))}
        for size in sizes for at, rate in enumerate(grid(size, 3)) for each in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def written(table: pd.DataFrame, folder: Path) -> Path:
    """Write a table as somebody would have it."""
    path = folder / "sweep.csv"
    table.to_csv(path, index=False)
    return path


def audited(table: pd.DataFrame, folder: Path, **options: Any) -> audit.Audit:
    """Audit a table, by way of a file."""
    return audit.audit(written(table, folder), **options)


def kinds(found: audit.Audit, severity: str = "") -> set[str]:
    """Return which kinds of findings there are, of one severity or of all."""
    return {each.kind for each in found.findings if severity in ("", each.severity)}
