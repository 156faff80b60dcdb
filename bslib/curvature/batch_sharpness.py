"""Batch sharpness: the curvature that a mini-batch's own step meets."""

import torch
from torch import nn

from bslib import device, stats
from bslib.curvature.hessian import gradient_and_product, mean_loss, trained
from bslib.data import Examples, Loss
from bslib.refusal import Refusal
from bslib.stats import Estimate
from bslib.training import Progress


def batch_sharpness(
    module: nn.Module,
    examples: Examples,
    loss: Loss,
    *,
    batch_size: int,
    batches: int,
    generator: torch.Generator,
    level: float = 0.95,
    progress: Progress = lambda done, total: None,
) -> Estimate:
    """Estimate E_B[ g_B' H_B g_B / |g_B|^2 ] over random batches B, g_B and H_B their own.

    Where SGD with learning rate eta trains at its edge of stability, it is this that settles
    at 2 / eta, not the largest eigenvalue of the full Hessian (Andreyev and Beneventano 2024,
    arXiv 2412.20553); for the batch of all examples both are the full loss's.

    The mean is over batches of equal weight. Each is drawn without replacement, independently
    of the others. Batch normalisation in training mode takes its statistics over the batch, as
    in a step; dropout's masks, drawn from ``generator``, are the same for g_B and H_B. The
    module, its mode and buffers and the global generators stay as they are.

    Returns:
        The mean with Student's t interval; n is the number of batches. Refused where a batch
        has no gradient.

    Cost: for each batch about two forward and backward passes.

    Raises:
        Refusal: sizes that do not fit, or parameters that are not finite.
    """
    if not 1 <= batch_size <= len(examples) or batches < 1:
        rule = f"batches hold between 1 and {len(examples):,} examples"
        raise Refusal(f"{rule}, and there is one at least; not {batches} of {batch_size}")
    mean, parameters = mean_loss(module, loss), trained(module)
    found = []
    for done in range(batches):
        batch = examples.subset(torch.randperm(len(examples), generator=generator)[:batch_size])
        seed, place = int(torch.randint(2**31, (), generator=generator)), batch.inputs.device
        with device.borrowed_generators(place, seed):
            gradient, product = gradient_and_product(mean, parameters, batch)
        found.append((torch.dot(gradient, product) / torch.dot(gradient, gradient)).item())
        progress(done + 1, batches)
    return stats.mean(found, level)
