"""Advising, third measurement: the gradient noise scale along a short training."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor, nn

from bslib import device as devices
from bslib.advise.critical import FEWEST_MICRO_BATCHES, critical, growth
from bslib.advise.problem import Optimizer
from bslib.advise.subject import Subject
from bslib.noise import NoiseScale, adam_metric, sample_noise_scale
from bslib.refusal import Refusal
from bslib.stats import Estimate
from bslib.stats.samples import t_quantile

Clock = Callable[[], float]

DEFAULT_BATCH = 32
MICRO_BATCH = 16
# The training ends after so many passes over the data: later it is about what it has memorised.
MOST_PASSES = 10
# Steps between one look at the noise and the next grow by this factor.
SPACING = 2.0
FIRST_LOOK = 4
# A loss so many times that of the first weights is a training's that diverged.
DIVERGED = 10.0
# Above so many parameters a micro-batch's gradient is kept as a sketch.
KEPT_WHOLE, SKETCH = 1_000_000, 4_096


@dataclass(frozen=True)
class Noise:
    """The noise scale along the training, and the critical batch size that it stands for.

    Attributes:
        critical_batch_size: of the path, see :func:`bslib.advise.critical.critical`; in examples.
        growth: exponent of the noise scale in the number of steps taken.
        path: a row a look: ``step``, ``examples`` trained on, ``loss`` of the last batches,
            ``noise_scale``, ``low``, ``high``, ``sampled`` (examples behind it).
        batch_size, learning_rate, optimizer: of the training; the last in words.
        metric: "Adam's" where coordinates are weighted as its second moments do, else
            "Euclidean".
        micro_batch_size: examples in one gradient.
        ghost_batch_size: over how many examples batch normalisation took its statistics.
        examples: how many were processed, in training and looking.
    """

    critical_batch_size: Estimate
    growth: Estimate
    path: pd.DataFrame = field(compare=False)
    batch_size: int
    learning_rate: float
    optimizer: str
    metric: str
    micro_batch_size: int
    ghost_batch_size: int | None
    examples: int


@dataclass(eq=False)
class _Training:
    """A training of a copy, one batch after another, from the examples held."""

    subject: Subject
    batch_size: int
    generator: torch.Generator

    def __post_init__(self) -> None:
        self.module, self.optimizer = self.subject.trainee()
        held = {id(each) for group in self.optimizer.param_groups for each in group["params"]}
        module = self.module.parameters()
        self.trained = [each for each in module if each.requires_grad and id(each) in held]
        self.step, self.examples = 0, 0
        self.recent: list[Tensor] = []
        self.first = 0.0
        self._rows: list[Tensor] = []
        self._order = torch.empty(0, dtype=torch.int64)

    def advance(self) -> None:
        """Take a step."""
        if len(self._order) < self.batch_size:
            self._order = torch.randperm(self.subject.held, generator=self.generator)
        rows, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        self.optimizer.zero_grad()
        loss = self.subject.problem.loss(self.module, self.subject.batch(rows))
        loss.backward()
        self.optimizer.step()
        if self.step == 0:
            self.first = float(loss.detach())
        self.recent = [*self.recent[-31:], loss.detach()]
        self._rows = [*self._rows[1 - FIRST_LOOK :], rows]
        self.step += 1
        self.examples += self.batch_size

    def loss(self) -> float:
        """Return the mean of the last batches' losses."""
        return float(torch.stack(self.recent).mean())

    def diverged(self) -> str:
        """Say how far the last batches' loss went above the first weights' on them; else "".

        On the same batches, so that neither a lucky first one nor their spread is taken for it.
        """
        last = float(torch.stack(self.recent[-FIRST_LOOK:]).mean())
        if last <= DIVERGED * abs(self.first):
            return ""
        fresh, first = copy.deepcopy(self.subject.module), 0.0
        for rows in self._rows:
            with torch.no_grad():
                loss = self.subject.problem.loss(fresh, self.subject.batch(rows))
            first += abs(float(loss)) / len(self._rows)
            self.examples += len(rows)
        if last <= DIVERGED * first:
            return ""
        return f"its loss went from {first:.3g} to {last:.3g} in {self.step} steps"

    def gradient(self, rows: Tensor) -> Tensor:
        """Return the gradient (d,) of a micro-batch; the module's buffers are put back."""
        before = [(each, each.clone()) for each in self.module.buffers()]
        loss = self.subject.problem.loss(self.module, self.subject.batch(rows))
        parts = torch.autograd.grad(loss, self.trained, allow_unused=True, materialize_grads=True)
        for buffer, value in before:
            buffer.copy_(value)
        single = (torch.promote_types(each.dtype, torch.float32) for each in parts)
        dense = (each.to_dense() if each.is_sparse else each for each in parts)
        return torch.cat(
            [each.flatten().to(dtype) for each, dtype in zip(dense, single, strict=True)]
        )


def measure(
    subject: Subject,
    *,
    most: int,
    step_time_s: Callable[[int], float],
    budget_s: float,
    generator: torch.Generator,
    clock: Clock = time.perf_counter,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Noise:
    """Train a copy for a while, and look at the noise after 4, 8, 16 ... steps.

    As much time goes into looking as into training. A look draws fresh examples at frozen
    weights until its interval is no longer than half its value, or its share is used up.

    Args:
        most: examples of a step at most, by memory.
        step_time_s: what a step takes; sizes what a look may cost.
        budget_s: the training ends after so long, or after ten passes over the data.
        generator: a CPU generator; draws batches and micro-batches.

    Raises:
        Refusal: too little data or time for a single look, or the training diverges.
    """
    wanted = min(subject.problem.batch_size or DEFAULT_BATCH, subject.held // 2, most)
    batch_size = max(wanted, subject.smallest)
    micro = _micro_batch_size(subject, batch_size, most, step_time_s, budget_s)
    training = _Training(subject, batch_size, generator)
    looks: list[tuple[int, int, float, NoiseScale]] = []
    start, next_look, sampled = clock(), FIRST_LOOK, 0
    last = MOST_PASSES * subject.held
    metric = "Euclidean"
    while training.examples < last and clock() - start < budget_s:
        training.advance()
        if training.step < next_look:
            continue
        next_look = math.ceil(next_look * SPACING)
        if not math.isfinite(training.loss()):
            break
        weights = _metric(training.trained, training.optimizer)
        metric = "Euclidean" if weights is None else "Adam's"
        left = budget_s - (clock() - start)
        afford = int(left / 2 / step_time_s(micro)) * micro
        fewest = FEWEST_MICRO_BATCHES * micro
        budget = min(max(training.examples, fewest), max(afford, fewest), subject.held)
        found = sample_noise_scale(
            training.gradient, subject.held,
            ghost_batch_size=micro if subject.normalises_over_batch else None,
            generator=generator, micro_batch_size=micro, budget=budget,
            population=subject.size, metric=weights, sketch_width=_sketch(training.trained),
        )  # fmt: skip
        sampled += found.examples
        looks.append((training.step, training.examples, training.loss(), found))
        done = max((clock() - start) / budget_s, training.examples / last)
        progress(min(int(100 * done), 99), 100)
    devices.synchronize(subject.device)
    progress(100, 100)
    rate = float(training.optimizer.param_groups[0]["lr"])
    if training.step and (words := training.diverged()):
        raise Refusal(
            f"the training diverged: {words} at learning rate {rate:.3g}; take a lower one"
        )
    if not looks:
        raise Refusal("the training ended before the noise was looked at once")
    path = _table(looks)
    return Noise(
        critical(path, batch_size),
        growth(path),
        path.drop(columns=["inverse", "inverse_error"]),
        batch_size,
        rate,
        _words(subject, training.optimizer),
        metric,
        micro,
        micro if subject.normalises_over_batch else None,
        training.examples + sampled,
    )


def _micro_batch_size(
    subject: Subject,
    batch_size: int,
    most: int,
    step_time_s: Callable[[int], float],
    budget_s: float,
) -> int:
    """Return 16, or less where data or time do not allow sixteen of them; the batch's own size
    where batch normalisation joins examples."""
    wanted = batch_size if subject.normalises_over_batch else min(MICRO_BATCH, most)
    size = min(wanted, max(subject.smallest, subject.held // FEWEST_MICRO_BATCHES))
    while size > subject.smallest and FEWEST_MICRO_BATCHES * step_time_s(size) > budget_s / 4:
        size //= 2
    return max(size, subject.smallest)


def _metric(trained: Sequence[nn.Parameter], optimizer: Optimizer) -> Tensor | None:
    """Return Adam's metric; a parameter that had no gradient yet has no part in it."""
    parts, known = [], False
    for each in trained:
        try:
            parts.append(adam_metric(nn.ParameterList([each]), optimizer))
            known = True
        except (Refusal, KeyError):  # other optimisers keep other things under these names
            parts.append(torch.zeros_like(each).flatten())
    return torch.cat(parts) if known else None


def _sketch(trained: Sequence[nn.Parameter]) -> int | None:
    return SKETCH if sum(each.numel() for each in trained) > KEPT_WHOLE else None


def _words(subject: Subject, optimizer: Optimizer) -> str:
    name = type(optimizer).__name__
    return name if subject.problem.optimizer is not None else f"{name} (none was given)"


def _table(looks: list[tuple[int, int, float, NoiseScale]]) -> pd.DataFrame:
    rows = []
    for step, examples, loss, found in looks:
        scale = found.estimate
        inverse = found.signal / found.trace if found.trace > 0 else math.nan
        quantile = t_quantile(scale.level, FEWEST_MICRO_BATCHES - 1)  # as in critical()
        error = (1 / scale.low - inverse) / quantile if scale.low > 0 else math.nan
        rows.append(
            {
                "step": step,
                "examples": examples,
                "loss": loss,
                "noise_scale": math.inf if scale.value is None else scale.value,
                "low": max(scale.low, 0.0),
                "high": scale.high,
                "sampled": found.examples,
                "inverse": inverse,
                "inverse_error": error,
            }
        )
    return pd.DataFrame(rows)
