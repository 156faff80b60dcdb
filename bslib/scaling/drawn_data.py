"""Trainings to a held-out loss, each seed on training examples of its own."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from torch import nn

from bslib import data, models, training
from bslib import device as devices
from bslib.refusal import Refusal
from bslib.scaling import crossing, optimum
from bslib.scaling.protocol import Members
from bslib.scaling.tuned import evaluation_steps

BEST_EPOCHS = 12  # in which a data size comes to its best
MOST_EPOCHS = 64  # after which a target counts as not reached
RESOLUTION = 0.2  # evaluations are so far apart, as a fraction of the steps
HELD_OUT, PREDICTIONS = 500, 2**14  # the most validation examples, and targets of theirs
METRIC = "validation_loss"


class Draws:
    """A task's data, drawn anew for each seed and cut to several sizes."""

    def __init__(self, name: str, largest: int, device: str) -> None:
        self.load = functools.partial(
            data.load, name, examples=largest, device=devices.resolve(device)
        )
        self.drawn: dict[int, data.Task] = {}

    @property
    def guess(self) -> float:
        """The loss of who knows nothing: ln(classes)."""
        drawn = next(iter(self.drawn.values()))
        if drawn.classes is None:
            raise Refusal(f"task {drawn.name!r} has no classes, and guessing no loss")
        return math.log(drawn.classes)

    def __call__(self, size: int, seed: int) -> data.Task:
        """Return the task with ``size`` training examples, the first of the seed's own order."""
        if seed not in self.drawn:
            whole = self.load(seed=seed)
            # Where the largest size is all that there is, the smaller ones still differ.
            order = torch.randperm(
                len(whole.train), generator=torch.Generator().manual_seed(seed)
            ).to(whole.train.inputs.device)
            each = whole.validation.targets[0].numel()
            held_out = _first(whole.validation, min(HELD_OUT, PREDICTIONS // each))
            train = whole.train.subset(order)
            self.drawn[seed] = replace(whole, train=train, validation=held_out)
        drawn = self.drawn[seed]
        return replace(drawn, train=_first(drawn.train, size))


def _first(examples: data.Examples, count: int) -> data.Examples:
    return data.Examples(examples.inputs[:count], examples.targets[:count])


@dataclass
class Trainings:
    """Trainings on one data size, kept so as to be read again at another target.

    Attributes:
        draw: a seed's task.
        optimizer, options: the optimiser by name, and the model's options.
        target_loss: where a training ends.
    """

    draw: Callable[[int], data.Task]
    optimizer: str
    options: Mapping[str, int]
    target_loss: float = -math.inf
    _curves: dict[tuple[int, float, int], tuple[pd.DataFrame, float]] = field(default_factory=dict)

    def best_loss(
        self, batch_size: int, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> float:
        """Return the lowest loss of the best rate's curves, its mean over seeds."""
        pairs = [(rate, seed) for rate in learning_rates for seed in seeds]
        curves = self._trained(batch_size, pairs, BEST_EPOCHS)
        lowest = [float(curve[METRIC].min()) for curve in curves]
        table = pd.DataFrame(pairs, columns=["rate", "seed"]).assign(lowest=lowest)
        return float(table.groupby("rate")["lowest"].mean().min())

    def best_rate(
        self, batch_size: int, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> float:
        """Return the rate that is first at the target; the middle one where none gets there."""
        pairs = [(rate, seed) for rate in learning_rates for seed in seeds]
        rates, its = zip(*pairs, strict=True)
        members = self(
            batch_size=batch_size, learning_rates=rates, seeds=its, most_examples=math.inf
        ).members
        if members["steps_to_target"].isna().all():
            return learning_rates[len(learning_rates) // 2]
        return optimum.winner(members, "steps_to_target")[0]

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
        weight_decays: Sequence[float] = (),
    ) -> Members:
        """Train what is not known yet, and read the steps to the target; no weight decay."""
        pairs = list(zip(learning_rates, seeds, strict=True))
        size = len(self.draw(seeds[0]).train)
        epochs = min(MOST_EPOCHS, most_examples / size)
        curves = self._trained(batch_size, pairs, epochs)
        rows = [
            {
                "batch_size": batch_size,
                "learning_rate": rate,
                "seed": seed,
                "steps": int(curve["step"].max()),
                "steps_to_target": self._steps(curve),
            }
            for (rate, seed), curve in zip(pairs, curves, strict=True)
        ]
        return Members(pd.DataFrame(rows))

    def _steps(self, curve: pd.DataFrame) -> float:
        """Return the steps to target; missing where untrained networks are there already."""
        steps = crossing.steps_at(curve, training.Target(METRIC, self.target_loss))
        return steps if steps > 0 else math.nan

    def _trained(
        self, batch_size: int, pairs: Sequence[tuple[float, int]], epochs: float
    ) -> list[pd.DataFrame]:
        """Return the curves of pairs of a rate and a seed."""
        for seed in dict.fromkeys(seed for _, seed in pairs):
            rates = [rate for rate, its in pairs if its == seed]
            lacking = [rate for rate in rates if not self._known((batch_size, rate, seed), epochs)]
            if lacking:
                self._train(batch_size, lacking, seed, epochs)
        return [self._curves[batch_size, rate, seed][0] for rate, seed in pairs]

    def _known(self, key: tuple[int, float, int], epochs: float) -> bool:
        """Say whether a curve reaches the target, or missed it for as long as another may."""
        if key not in self._curves:
            return False
        curve, lasted = self._curves[key]
        return lasted >= epochs or bool(curve[METRIC].min() <= self.target_loss)

    def _train(self, batch_size: int, rates: Sequence[float], seed: int, epochs: float) -> None:
        task = self.draw(seed)
        most = max(1, math.ceil(epochs * len(task.train)))
        build: Callable[..., nn.Module] = functools.partial(
            models.build, task.model, task, **self.options
        )
        trained = training.train(
            task,
            batch_size=batch_size,
            learning_rates=rates,
            seeds=[seed] * len(rates),
            model=build,
            optimizer=self.optimizer,
            budget=training.Budget(examples=most),
            target=training.Target(METRIC, self.target_loss),
            evaluate_every=evaluation_steps(most // batch_size + 1, RESOLUTION),
            evaluate_on=("validation",),
        )
        curves = trained.history.groupby("member")
        for member, rate in enumerate(rates):
            curve = curves.get_group(member)[["step", METRIC]]
            ended = trained.members["status"][member] == "reached"
            self._curves[batch_size, rate, seed] = curve, 0.0 if ended else epochs
