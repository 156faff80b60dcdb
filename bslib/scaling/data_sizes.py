"""Sweeps to a held-out loss on training sets of several sizes, each seed with data of its own.

The loss is that of the validation examples, the same at every size: a training loss falls to
nothing on whatever set is small enough, and is another question on another set. Each size is
trained to two targets: its own, a share of the way from guessing to the best that this size
comes to; and the common one, which is the smallest size's own.
"""

import functools
from collections.abc import Mapping, Sequence

import pandas as pd

from bslib import memory, models
from bslib.scaling import protocol, rules
from bslib.scaling.drawn_data import Draws, Trainings
from bslib.scaling.protocol import Progress

COMMON, OWN = "one target for every data size", "a target relative to each data size's best"
GRID_SEEDS = 3
FRESH = 1_000  # the reruns' seeds start this far above the grid's
# Where the search for a learning rate begins, and the bend of the rates that are tried.
FIRST_RATES = {"sgd": 0.2, "momentum": 0.02, "adam": 0.01, "adamw": 0.01}
NOISE_SCALE = 60.0


def sweep(
    *,
    task: str,
    data_sizes: Sequence[int],
    batch_sizes: Sequence[int],
    target_share: float,
    seeds: int,
    seed: int = 0,
    optimizer: str = "sgd",
    options: Mapping[str, int] | None = None,
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> dict[str, pd.DataFrame]:
    """Sweep every data size to both targets, the learning rate tuned at each batch size.

    A seed draws the training examples, those of a smaller size being among those of a larger
    one; the initial weights; and the order of the examples. A data size's best is the lowest
    loss that a middling batch size comes to in ``BEST_EPOCHS`` at its best rate. The first
    guess of a rate comes from a wide grid at the smallest data size; from there the grids
    follow eta / (1 + 60 / B), three rates a factor of two apart.

    Args:
        task: by name, with its own model; has classes.
        data_sizes: numbers of training examples.
        batch_sizes: what is compared; one larger than a data size stands for all of it.
        target_share: how far the target lies on the way from guessing to the best loss.
        seeds: how many, of the reruns; the grids have up to ``GRID_SEEDS``.
        seed: the first of them.
        optimizer: by name.
        options: of the model.
        device: where to train.
        progress: told after every data size and target.

    Returns:
        ``runs``: a row a training: data_size, target, role ("grid" or "rerun"), batch_size,
        learning_rate, seed, steps, steps_to_target (missing where it was not reached).
        ``winners``: as of :class:`bslib.scaling.protocol.Sweep`, with data_size and target.
        ``targets``: data_size, target, best_loss, target_loss.
    """
    draws = Draws(task, max(data_sizes), device)
    tuning = range(seed, seed + min(seeds, GRID_SEEDS))
    found: dict[str, list[pd.DataFrame]] = {"runs": [], "winners": [], "targets": []}
    rates = protocol.grid(FIRST_RATES[optimizer], 7)
    common: float | None = None
    for done, size in enumerate(sorted(data_sizes)):
        progress(2 * done, 2 * len(data_sizes))
        sizes = sorted({min(batch_size, size) for batch_size in batch_sizes})
        trainings = Trainings(functools.partial(draws, size), optimizer, options or {})
        middle = sizes[(len(sizes) - 1) // 2]
        best = trainings.best_loss(middle, rates, tuning)
        own = draws.guess - target_share * (draws.guess - best)
        if common is None:
            common, trainings.target_loss = own, own
            rate = trainings.best_rate(middle, rates, tuning)
            highest = rate / rules.saturating(1.0, NOISE_SCALE, middle)
        center = functools.partial(rules.saturating, highest, NOISE_SCALE)
        rates = protocol.grid(center(middle), 3)
        for name, value in {OWN: own, COMMON: common}.items():
            trainings.target_loss = value
            swept = protocol.sweep(
                trainings,
                sizes,
                center,
                seeds=tuning,
                fresh_seeds=range(seed + FRESH, seed + FRESH + seeds),
                points=3,
                patience=4.0,
            )
            found["runs"].append(swept.runs.assign(data_size=size, target=name))
            found["winners"].append(swept.winners.assign(data_size=size, target=name))
            row = {"data_size": size, "target": name, "best_loss": best, "target_loss": value}
            found["targets"].append(pd.DataFrame([row]))
    progress(2 * len(data_sizes), 2 * len(data_sizes))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def step_memory(
    task: str, data_sizes: Sequence[int], batch_size: int, *, seed: int = 0, device: str = "cpu"
) -> pd.DataFrame:
    """Measure a training step of ``batch_size`` examples, taken from data of several sizes.

    Returns:
        A row a data size: data_size, batch_size, peak_bytes (the most that is alive at once
        in a real step of SGD with the task's own model: weights, gradients, the batch and all
        that passes through the network) and data_bytes (the training set itself, resident and
        no part of a step).
    """
    draws, rows = Draws(task, max(data_sizes), device), []
    for size in sorted(data_sizes):
        drawn = draws(size, seed)
        step = memory.training_step(drawn, models.build(drawn.model, drawn, seed=seed))
        peak = memory.timeline(step, min(batch_size, size), fake=False).peak_bytes
        held = drawn.train.inputs.nbytes + drawn.train.targets.nbytes
        rows.append((size, min(batch_size, size), peak, held))
    return pd.DataFrame(rows, columns=["data_size", "batch_size", "peak_bytes", "data_bytes"])
