"""Measuring the gradient noise scale of a model and its data, at frozen weights."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bslib import device
from bslib.data import Examples, Loss
from bslib.models.modes import normalises_over_batch
from bslib.noise.micro_batches import MicroBatches, layer_sizes
from bslib.noise.noise_scale import noise_scale, together
from bslib.refusal import Refusal
from bslib.stats import Estimate
from bslib.training import Progress

Gradient = Callable[[Tensor], Tensor]

FIRST_LOOK, FEWEST, MOST = 16, 3, 128  # micro-batches


@dataclass(frozen=True)
class NoiseScale:
    """A gradient noise scale, with what it was measured on.

    Attributes:
        estimate: B_simple = tr S / |G|^2 in examples; its n counts micro-batches.
        signal: the estimate of |G|^2; negative where it drowns in noise.
        trace: the estimate of tr S.
        examples: how many examples it was measured on.
        micro_batch_size: the examples of a forward and backward pass.
        ghost_batch_size: over how many examples batch normalisation took its statistics; None
            where examples do not meet. The noise is that of batches which are normalised in
            parts of this size.
        layers: B_simple of each layer's own part of the gradient, by the layer's name.
    """

    estimate: Estimate
    signal: float
    trace: float
    examples: int
    micro_batch_size: int
    ghost_batch_size: int | None = None
    layers: dict[str, Estimate] = field(default_factory=dict)

    def relative_width(self) -> float:
        """Return the length of the interval over the value; infinite where the interval is."""
        value = self.estimate.value
        if value is None or value == float("inf"):
            return float("inf")
        return (self.estimate.high - self.estimate.low) / value


def measure_noise_scale(
    module: nn.Module,
    examples: Examples,
    loss: Loss,
    *,
    generator: torch.Generator,
    micro_batch_size: int = 16,
    relative_width: float = 0.5,
    budget: int | None = None,
    replacement: bool = False,
    metric: Tensor | None = None,
    sketch_width: int | None = None,
    batch_norm: str = "refuse",
    level: float = 0.95,
    progress: Progress = lambda done, total: None,
) -> NoiseScale:
    """Sample micro-batches at frozen weights until the noise scale is known well enough.

    It looks first at 16 micro-batches, then each time at half as many examples again. All of
    them are pooled into one statistic (:func:`bslib.noise.noise_scale`); at 128 they are joined
    in pairs, so that no more than 128 gradients are held. Whether the module trains or
    evaluates is left to the caller; neither it nor the global generators are changed, and
    dropout's masks are drawn from ``generator``.

    Args:
        generator: a CPU generator; draws the examples.
        micro_batch_size: examples of a forward and backward pass; larger ones cost less time
            and more memory. The interval wants at least 16 of them.
        relative_width: stop when the interval is no longer than this times the value. Half took
            6 to 80 times the noise scale in examples on noisy quadratics, most where it is small;
            intervals at which it stopped held the truth in 93 to 95 % of 200 repeats each.
        budget: stop after so many examples; None for as many as there are.
        replacement: draw examples anew each time, rather than each once at most. Drawn once,
            the noise scale is corrected to be that of ``examples`` themselves.
        metric: see :class:`bslib.noise.MicroBatches`; :func:`bslib.noise.adam_metric` for Adam.
        sketch_width: keep sketches, not gradients, see :class:`bslib.noise.MicroBatches`.
        batch_norm: what to do where batch normalisation joins examples: ``"refuse"``, or
            ``"ghost"`` to measure with statistics over each micro-batch, and say so.

    Cost: a forward and backward pass over the examples taken, about as much as in training at
    that micro-batch size; and d operations for each micro-batch at each look.

    Raises:
        Refusal: batch normalisation, or a budget of fewer than three micro-batches.
    """
    ghost = _ghost_batch_size(module, micro_batch_size, batch_norm)
    return sample_noise_scale(
        _gradient(module, examples, loss, generator),
        len(examples),
        layers=layer_sizes(module),
        ghost_batch_size=ghost,
        generator=generator,
        micro_batch_size=micro_batch_size,
        relative_width=relative_width,
        budget=budget,
        replacement=replacement,
        metric=metric,
        sketch_width=sketch_width,
        level=level,
        progress=progress,
    )


def sample_noise_scale(
    gradient: Gradient,
    examples: int,
    *,
    generator: torch.Generator,
    layers: Mapping[str, int] | None = None,
    ghost_batch_size: int | None = None,
    micro_batch_size: int = 16,
    relative_width: float = 0.5,
    budget: int | None = None,
    replacement: bool = False,
    population: int | None = None,
    metric: Tensor | None = None,
    sketch_width: int | None = None,
    level: float = 0.95,
    progress: Progress = lambda done, total: None,
) -> NoiseScale:
    """Do the same for any function that gives a micro-batch's gradient.

    Args:
        gradient: takes the rows (m,) of a micro-batch; gives its mean loss's gradient (d,).
        examples: how many rows there are to draw from.
        layers: of :class:`bslib.noise.MicroBatches`.
        ghost_batch_size: of :class:`NoiseScale`.
        population: how many examples the rows are themselves a random part of; by default
            they are all.

    The other arguments, cost and errors are those of :func:`measure_noise_scale`.
    """
    limit = examples if budget is None else budget
    limit = limit if replacement else min(limit, examples)
    if limit < FEWEST * micro_batch_size:
        asked = f"{limit:,} examples hold fewer than {FEWEST} micro-batches of {micro_batch_size}"
        raise Refusal(f"{asked}; take smaller micro-batches or more examples")
    collector = MicroBatches(
        micro_batch_size,
        layers=layers,
        metric=metric,
        sketch_width=sketch_width,
        seed=int(torch.randint(2**31, (), generator=generator)),
        population=None if replacement else population or examples,
    )
    batches = _batches(examples, micro_batch_size, limit, replacement, generator)
    gradients = map(gradient, batches)
    taken, look_at = 0, FIRST_LOOK * micro_batch_size
    while True:
        while (next_taken := taken + collector.micro_batch_size) <= min(look_at, limit):
            collector.add(_mean(gradients, collector.micro_batch_size // micro_batch_size))
            taken = next_taken
            progress(taken, limit)
            if len(collector) == MOST and sketch_width is None:
                collector.halve()
        found = _reading(collector, taken, micro_batch_size, ghost_batch_size, level)
        if found.relative_width() <= relative_width or next_taken > limit:
            progress(limit, limit)
            return found
        look_at = max(next_taken, 3 * taken // 2)


def _reading(
    collector: MicroBatches, examples: int, micro_batch_size: int, ghost: int | None, level: float
) -> NoiseScale:
    layers = collector.by_layer()
    moments = together(layers.values())
    signal, trace = moments.signal_and_trace()
    by_layer = {name: noise_scale(each, level) for name, each in layers.items()}
    whole = noise_scale(moments, level)
    return NoiseScale(whole, signal, trace, examples, micro_batch_size, ghost, by_layer)


def _ghost_batch_size(module: nn.Module, micro_batch_size: int, batch_norm: str) -> int | None:
    if batch_norm not in ("refuse", "ghost"):
        raise Refusal(f"batch_norm must be 'refuse' or 'ghost', not {batch_norm!r}")
    if not normalises_over_batch(module):
        return None
    if batch_norm == "refuse":
        rule = "batch normalisation makes an example's gradient depend on its neighbours"
        way_out = "switch to evaluation mode, or pass batch_norm='ghost'"
        raise Refusal(f"{rule}; {way_out} to measure with statistics over each micro-batch")
    return micro_batch_size


def _batches(
    count: int, size: int, limit: int, replacement: bool, generator: torch.Generator
) -> Iterator[Tensor]:
    order = torch.empty(0) if replacement else torch.randperm(count, generator=generator)
    for start in range(0, limit - size + 1, size):
        if replacement:
            yield torch.randint(count, (size,), generator=generator)
        else:
            yield order[start : start + size]


def _gradient(
    module: nn.Module, examples: Examples, loss: Loss, generator: torch.Generator
) -> Gradient:
    """Return the gradient of a micro-batch's mean loss, touching no buffer of the module."""
    parameters = [each for each in module.parameters() if each.requires_grad]

    def gradient(rows: Tensor) -> Tensor:
        batch = examples.subset(rows)
        buffers = {name: each.clone() for name, each in module.named_buffers()}
        seed = int(torch.randint(2**31, (), generator=generator))
        with device.borrowed_generators(batch.inputs.device, seed):
            outputs = functional_call(module, buffers, (batch.inputs,))
            mean = loss(outputs, batch.targets).mean()
            parts = torch.autograd.grad(mean, parameters, materialize_grads=True)
        return torch.cat([each.flatten() for each in parts])

    return gradient


def _mean(gradients: Iterator[Tensor], count: int) -> Tensor:
    total = next(gradients)
    for _ in range(count - 1):
        total = total + next(gradients)
    return total / count
