"""Losses and accuracies of all members over whole parts of a task."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bslib.data import Examples, Task
from bslib.training.stacking import Stack

# Examples that pass through the networks at once, those of all members counted; in a loop it is
# those of the one member whose turn it is, and what it computes of them is autograd's.
ROWS = {"stacked": 2**14, "vmap": 2**12, "loop": 2**9}
# Targets predicted at once, where an example has one at every position.
PREDICTIONS = 2**14
# How many times as many a GPU takes, where launches cost more than what is kept.
TIMES = {"cpu": 1, "cuda": 16}


def chunks_of(examples: Examples, members: int, strategy: str) -> list[int]:
    """Return how many examples are evaluated at once, chunk by chunk."""
    rows = min(ROWS[strategy], PREDICTIONS // examples.targets[0].numel())
    rows *= TIMES[examples.inputs.device.type]
    size = max(1, rows // (1 if strategy == "loop" else members))
    full, rest = divmod(len(examples), size)
    return [size] * full + [rest] * (rest > 0)


def metrics(stack: Stack, task: Task, parts: Sequence[str]) -> dict[str, list[float]]:
    """Return ``{part}_loss``, and for classification ``{part}_accuracy``, a value a member.

    Means over all examples of a part, summed in float64. One transfer from the device.
    """
    columns: dict[str, Tensor] = {}
    for part in parts:
        losses, correct = _means(stack, getattr(task, part))
        columns[f"{part}_loss"] = losses
        if task.kind == "classification":
            columns[f"{part}_accuracy"] = correct
    values = torch.stack(list(columns.values())).tolist()
    return dict(zip(columns, values, strict=True))


def _means(stack: Stack, examples: Examples) -> tuple[Tensor, Tensor]:
    members, first = len(stack.weights), 0
    losses = torch.zeros(members, dtype=torch.float64, device=stack.weights.device)
    correct = torch.zeros_like(losses)
    for count in chunks_of(examples, members, stack.strategy):
        part = slice(first, first + count)
        values, hits = stack.evaluate(examples.inputs[part], examples.targets[part])
        losses += values.flatten(1).sum(1, dtype=torch.float64)
        correct += hits.flatten(1).sum(1)
        first += count
    return losses / len(examples), correct / len(examples)
