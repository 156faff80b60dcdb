"""Fully connected networks as plain data: which layers, which buffers a step needs."""

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bslib.data import Examples


class Layer(NamedTuple):
    """A linear layer: where its parameters stand in a member's row, and whether a ReLU follows."""

    inputs: int
    outputs: int
    start: int
    bias: bool
    relu: bool

    def weight(self, rows: Tensor) -> Tensor:
        """Return the weights in ``rows`` (K, P) as a view (K, out, in)."""
        part = rows[:, self.start : self.start + self.inputs * self.outputs]
        return part.unflatten(1, (self.outputs, self.inputs))

    def offset(self, rows: Tensor) -> Tensor | None:
        """Return the biases in ``rows`` (K, P) as a view (K, out, 1), if there are any."""
        start = self.start + self.inputs * self.outputs
        return rows[:, start : start + self.outputs].unsqueeze(2) if self.bias else None


def layers_of(module: nn.Module) -> list[Layer] | None:
    """Return the layers of a module that is Flatten, then Linear and ReLU in turn; else None."""
    if not isinstance(module, nn.Sequential):
        return None
    layers: list[Layer] = []
    start = 0
    for part in module:
        if isinstance(part, nn.Linear):
            bias = part.bias is not None
            layers.append(Layer(part.in_features, part.out_features, start, bias, relu=False))
            start += sum(each.numel() for each in part.parameters())
        elif isinstance(part, nn.ReLU) and layers:
            layers[-1] = layers[-1]._replace(relu=True)
        elif not (isinstance(part, nn.Flatten) and not layers):
            return None
    fits = all(below.outputs == above.inputs for below, above in pairwise(layers))
    return layers if layers and fits and not layers[-1].relu else None


def example_bytes(layers: list[Layer], itemsize: int) -> int:
    """Return the bytes that an example takes in a step: its inputs, and the layers' outputs."""
    return itemsize * (layers[0].inputs + sum(2 * layer.outputs for layer in layers))


class Workspace(NamedTuple):
    """Buffers for g members and b examples; those of a step alone are empty in an evaluation."""

    inputs: Tensor  # (g b, in), gathered
    targets: Tensor  # (g b,)
    deltas: list[Tensor]  # (g, b, units), derivatives at the hidden layers
    hidden: list[Tensor]  # (g, b, units)
    outputs: Tensor  # (g, C, b)
    ones: Tensor  # (g, 1, b), to sum over examples in a product

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        single = (self.inputs, self.targets, self.outputs, self.ones)
        return sum(each.nbytes for each in (*single, *self.deltas, *self.hidden))


def workspace(
    layers: list[Layer],
    train: Examples,
    size: int,
    count: int,
    *,
    step: bool,
    gather: bool,
    device: torch.device | str | None = None,
) -> Workspace:
    """Allocate the buffers for ``size`` members and ``count`` examples each.

    ``step`` asks for what the backward pass needs, ``gather`` for where a batch is gathered.
    ``device`` other than the examples' serves to reckon with: "meta" takes no memory.
    """
    new, widths = train.inputs.new_empty, [layer.outputs for layer in layers[:-1]]
    device = device or train.inputs.device
    rows = size * count * gather
    targets = (rows, *train.targets.shape[1:])
    return Workspace(
        new(rows, layers[0].inputs, device=device),
        train.targets.new_empty(targets, device=device),
        [new(size, count * step, width, device=device) for width in widths],
        [new(size, count, width, device=device) for width in widths],
        new(size, layers[-1].outputs, count, device=device),
        torch.ones(size, 1, count * step, dtype=train.inputs.dtype, device=device),
    )


def workspaces_bytes(
    layers: list[Layer], train: Examples, sizes: Collection[tuple[int, int]], *, step: bool
) -> int:
    """Return the bytes of the buffers of steps or evaluations, for (members, examples) pairs."""
    return sum(
        workspace(
            layers, train, size, count, step=step, gather=step and count < len(train), device="meta"
        ).nbytes
        for size, count in sizes
        if size and count
    )
