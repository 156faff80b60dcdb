"""Is the gradient that workers share the one that a single worker would have computed?"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bslib import data, models
from bslib.data import Task
from bslib.parallel.torchrun import launch, worker_device


def differences(
    task: str,
    shares: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int],
    examples: int | None = None,
    model: str | None = None,
    options: Mapping[str, int | str] | None = None,
    dtype: str = "float64",
) -> pd.DataFrame:
    """Compare the workers' gradient with the whole batch's, relative to its norm.

    Args:
        task, examples, model, options: by name, as for ``data.load`` and ``models.build``.
        shares: ways to share a batch: the examples that each worker gets, not always equal.
        seeds: of the weights and of the batch, a comparison each.
        dtype: ``"float64"`` or ``"float32"``.

    Returns:
        A row a way and seed: ``shares`` (in words), ``seed``, ``difference``.

    Each worker's loss is the sum over its own examples, times the workers, over the whole
    batch: the mean over workers, which DistributedDataParallel takes of their gradients, is
    then the whole batch's gradient for any shares. (The mean of local means is not, unless the
    shares are equal.) Batch normalisation has statistics of each worker's own examples, and no
    weighting mends that.
    """
    rows = launch(
        _on_worker,
        world_size=len(shares[0]),
        task=task,
        examples=examples,
        model=model,
        options=dict(options or {}),
        shares=[list(each) for each in shares],
        seeds=list(seeds),
        dtype=dtype,
    )[0]
    return pd.DataFrame(rows, columns=["shares", "seed", "difference"])


def _on_worker(
    task: str,
    examples: int | None,
    model: str | None,
    options: Mapping[str, int | str],
    shares: Sequence[Sequence[int]],
    seeds: Sequence[int],
    dtype: str,
) -> list[tuple[str, int, float]]:
    rows = []
    for seed in seeds:
        loaded = data.load(task, examples=examples, seed=seed, device=worker_device())
        loaded = loaded.to(worker_device(), getattr(torch, dtype))
        module = models.build(model or loaded.model, loaded, seed=seed, **options)
        module.to(loaded.train.inputs)
        order = torch.randperm(len(loaded.train), generator=torch.Generator().manual_seed(seed))
        for each in shares:
            words = " and ".join(map(str, each))
            rows.append((words, seed, _difference(module, loaded, order, each)))
    return rows


def _difference(module: nn.Module, task: Task, order: Tensor, shares: Sequence[int]) -> float:
    rank, total = torch.distributed.get_rank(), sum(shares)
    batch = order[:total]
    alone = _gradient(module, task, batch, 1 / total)
    own = batch.split(list(shares))[rank]
    together = _gradient(DistributedDataParallel(module), task, own, len(shares) / total)
    return float((together - alone).norm() / alone.norm())


def _gradient(module: nn.Module, task: Task, rows: Tensor, scale: float) -> Tensor:
    module.zero_grad()
    batch = task.train.subset(rows)
    (task.loss(module(batch.inputs), batch.targets).sum() * scale).backward()
    return torch.cat([each.grad.flatten() for each in module.parameters() if each.grad is not None])
