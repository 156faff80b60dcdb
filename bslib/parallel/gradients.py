"""Is the gradient that workers share the one that a single worker would have computed?"""

from collections.abc import Mapping, Sequence

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bslib import data, models
from bslib.data import Task
from bslib.parallel.torchrun import launch


def shared_gradient_difference(
    task: str,
    shares: Sequence[int],
    *,
    seed: int,
    examples: int | None = None,
    model: str | None = None,
    options: Mapping[str, int | str] | None = None,
    dtype: str = "float64",
) -> float:
    """Return how far the workers' gradient is from the whole batch's, relative to its norm.

    Args:
        task, examples, model, options: by name, as for ``data.load`` and ``models.build``.
        shares: examples of the batch that each worker gets; they need not be equal.
        seed: of the weights and of the batch.
        dtype: ``"float64"`` or ``"float32"``.

    Each worker's loss is the sum over its own examples, times the workers, over the whole
    batch: the mean over workers, which DistributedDataParallel takes of their gradients, is
    then the whole batch's gradient for any shares. (The mean of local means is not, unless the
    shares are equal.) Batch normalisation has statistics of each worker's own examples, and no
    weighting mends that.
    """
    results = launch(
        _on_worker,
        world_size=len(shares),
        task=task,
        examples=examples,
        model=model,
        options=dict(options or {}),
        shares=list(shares),
        seed=seed,
        dtype=dtype,
    )
    return float(results[0])


def _on_worker(
    task: str,
    examples: int | None,
    model: str | None,
    options: Mapping[str, int | str],
    shares: Sequence[int],
    seed: int,
    dtype: str,
) -> float:
    """Return the relative difference, on every worker the same."""
    rank, workers, total = torch.distributed.get_rank(), len(shares), sum(shares)
    loaded = data.load(task, examples=examples, seed=seed, device="cpu")
    loaded = loaded.to("cpu", getattr(torch, dtype))
    module = models.build(model or loaded.model, loaded, seed=seed, **options)
    module.to(loaded.train.inputs)
    order = torch.randperm(len(loaded.train), generator=torch.Generator().manual_seed(seed))
    batch = order[:total]
    alone = _gradient(module, loaded, batch, 1 / total)
    own = batch.split(list(shares))[rank]
    together = _gradient(DistributedDataParallel(module), loaded, own, workers / total)
    return float((together - alone).norm() / alone.norm())


def _gradient(module: nn.Module, task: Task, rows: Tensor, scale: float) -> Tensor:
    module.zero_grad()
    batch = task.train.subset(rows)
    (task.loss(module(batch.inputs), batch.targets).sum() * scale).backward()
    return torch.cat([each.grad.flatten() for each in module.parameters() if each.grad is not None])
