"""A task: examples split in three, and the loss that its experiments measure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from bslib.data.losses import Loss


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their targets, row by row, on one device.

    Attributes:
        inputs: (N, ...) floating point.
        targets: (N,) class numbers as int64, or (N,) floating-point values; (N, L) class
            numbers where every position of a sequence has one.
    """

    inputs: torch.Tensor
    targets: torch.Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            counts = f"{len(self.inputs)} inputs, {len(self.targets)} targets"
            raise ValueError(f"an example is an input with a target, not {counts}")

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Examples:
        """Return the examples on ``device``; ``dtype`` applies to floating-point values only."""
        return Examples(move(self.inputs, device, dtype), move(self.targets, device, dtype))

    def subset(self, indices: torch.Tensor | Sequence[int]) -> Examples:
        """Return the examples at ``indices``, in that order."""
        return Examples(self.inputs[indices], self.targets[indices])


@dataclass(frozen=True, eq=False)
class Task:
    """What an experiment trains on: data, loss and the model it takes by default.

    Attributes:
        name: the key in ``TASKS``.
        train, validation, test: disjoint examples.
        loss: per-example losses, from outputs (..., B, C) and targets (..., B); from
            (..., B, L, C) and (..., B, L) for sequences.
        kind: "classification", "regression" or "quadratic".
        classes: how many classes; None where targets are not classes.
        model: the default model's key in ``MODELS``.
        checksum: SHA-256 (hexadecimal) over the examples of the three parts.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    loss: Loss
    kind: str
    classes: int | None
    model: str
    checksum: str

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Task:
        """Return the task with its examples, and its loss's constants, on ``device``."""
        return replace(
            self,
            train=self.train.to(device, dtype),
            validation=self.validation.to(device, dtype),
            test=self.test.to(device, dtype),
            loss=self.loss.to(device, dtype),
        )


def move(
    tensor: torch.Tensor, device: torch.device | str, dtype: torch.dtype | None
) -> torch.Tensor:
    """Return ``tensor`` on ``device``, cast to ``dtype`` if it is of floating point."""
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def checksum(*parts: Examples) -> str:
    """Return the SHA-256 of the parts' inputs and targets: types, shapes and values in turn."""
    digest = hashlib.sha256()
    for tensor in (tensor for part in parts for tensor in (part.inputs, part.targets)):
        array = tensor.contiguous().numpy()
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(array.data)
    return digest.hexdigest()
