"""The gradient noise scale of a set of examples, from the gradient of every one of them."""

import torch
from torch import Tensor, nn

from bslib import stats
from bslib.data import Examples, Loss
from bslib.noise.gradients import per_example_gradients
from bslib.noise.micro_batches import layer_sizes
from bslib.noise.noise_meter import NoiseScale
from bslib.stats import Estimate
from bslib.training import Progress


def exact_noise_scale(
    module: nn.Module,
    examples: Examples,
    loss: Loss,
    *,
    metric: Tensor | None = None,
    chunk: int = 64,
    progress: Progress = lambda done, total: None,
) -> NoiseScale:
    """Compute the noise scale of ``examples`` from the gradient of each, tr S with divisor N.

    Per-example gradients are made and dropped chunk by chunk: about 8 chunk d bytes. Dropout
    that is switched on has no exact value, and ``torch.func.vmap`` refuses it.

    Raises:
        ValueError: the module normalises over the batch.
    """
    count, sizes = len(examples), layer_sizes(module)
    total = examples.inputs.new_zeros(sum(sizes.values()), dtype=torch.float64)
    squares = torch.zeros_like(total)
    for start in range(0, count, chunk):
        part = examples.subset(torch.arange(start, min(start + chunk, count)))
        gradients = per_example_gradients(module, part, loss)
        total += gradients.sum(dim=0, dtype=torch.float64)
        squares += gradients.square().sum(dim=0, dtype=torch.float64)
        progress(min(start + chunk, count), count)
    signals = (total / count).square()
    traces = squares / count - signals
    if metric is not None:
        signals, traces = signals * metric, traces * metric
    parts = zip(*(each.split(list(sizes.values())) for each in (signals, traces)), strict=True)
    layers = {name: _exact(*part) for name, part in zip(sizes, parts, strict=True)}
    whole = _exact(signals, traces)
    return NoiseScale(whole, signals.sum().item(), traces.sum().item(), count, 1, layers=layers)


def _exact(signals: Tensor, traces: Tensor) -> Estimate:
    signal = signals.sum().item()
    if signal <= 0:
        return stats.refused("the mean gradient is zero")
    return stats.exact(traces.sum().item() / signal)
