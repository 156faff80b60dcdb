"""How far a random mini-batch's gradient lies from the full one, measured batch by batch.

The batch gradient is the mean of its examples' gradients, so every squared distance is a
quadratic form in the Gram matrix of the centred per-example gradients: one matrix product
serves any number of batches of any size.
"""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor


def centred_gram(gradients: Tensor) -> Tensor:
    """Return C C' (N, N) for gradients (N, d) less their mean. Its trace over N is tr S."""
    centred = gradients - gradients.mean(dim=0)
    return centred @ centred.T


def predicted_variance(trace: float, batch_sizes: Iterable[int], examples: int) -> list[float]:
    """Return (tr S / B) (N - B)/(N - 1) for each B: sampling without replacement.

    tr S has divisor N. Source: Cochran (1977), Sampling Techniques, theorem 2.2.
    """
    return [trace / size * (examples - size) / (examples - 1) for size in batch_sizes]


def batch_gradient_variance(
    gram: Tensor, batch_sizes: Iterable[int], *, draws: int, generator: torch.Generator
) -> pd.DataFrame:
    """Measure E|g_B - g|^2 over ``draws`` random batches of each size, without replacement.

    Args:
        gram: centred Gram matrix (N, N), see :func:`centred_gram`.
        batch_sizes: each at most N.
        draws: batches of each size. A draw's batches of different sizes are nested, the first
            B of one random order; different draws are independent.
        generator: a CPU generator; the orders are its.

    Returns:
        One row a size: ``batch_size``, ``variance`` (mean squared distance) and its
        ``standard_error`` over the draws.

    Cost: one sort of draws N numbers, and 2 draws N^2 operations for each size.
    """
    orders = torch.rand(draws, len(gram), generator=generator).to(gram.device).argsort(dim=1)
    distances = [_squared_distances(gram, orders[:, :size]) for size in batch_sizes]
    return pd.DataFrame(
        {
            "batch_size": list(batch_sizes),
            "variance": [each.mean().item() for each in distances],
            "standard_error": [each.std().item() / draws**0.5 for each in distances],
        }
    )


def _squared_distances(gram: Tensor, batches: Tensor) -> Tensor:
    weights = batch_weights(batches, len(gram)).to(gram)
    return ((weights @ gram) * weights).sum(dim=1)


def batch_weights(batches: Tensor, examples: int) -> Tensor:
    """Turn batches of indices (draws, B) into weights (draws, N): 1/B at each of the B."""
    weights = torch.zeros(len(batches), examples, device=batches.device)
    return weights.scatter_(1, batches, 1 / batches.shape[1])
