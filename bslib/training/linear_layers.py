"""Fully connected networks as plain data: which layers, which buffers a step needs."""

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bslib.data import Examples
from bslib.training.stacked_norms import Buffers, Norm, buffers_of, norm_of


class Layer(NamedTuple):
    """A linear layer: where its parameters stand in a member's row, and what follows it."""

    inputs: int
    outputs: int
    start: int
    bias: bool
    relu: bool
    norm: Norm | None = None  # before the ReLU

    def weight(self, rows: Tensor) -> Tensor:
        """Return the weights in ``rows`` (K, P) as a view (K, out, in)."""
        part = rows[:, self.start : self.start + self.inputs * self.outputs]
        return part.unflatten(1, (self.outputs, self.inputs))

    def offset(self, rows: Tensor) -> Tensor | None:
        """Return the biases in ``rows`` (K, P) as a view (K, out, 1), if there are any."""
        start = self.start + self.inputs * self.outputs
        return rows[:, start : start + self.outputs].unsqueeze(2) if self.bias else None


def layers_of(module: nn.Module) -> list[Layer] | None:
    """Return the layers of a module that is Flatten, then Linear and ReLU in turn; else None.

    Batch norm (ghost batch norm too) or group norm may stand between the two.
    """
    if not isinstance(module, nn.Sequential):
        return None
    layers: list[Layer] = []
    start = 0
    for name, part in module.named_children():
        norm = norm_of(name, part, start)
        if isinstance(part, nn.Linear):
            bias = part.bias is not None
            layers.append(Layer(part.in_features, part.out_features, start, bias, relu=False))
        elif isinstance(part, nn.ReLU) and layers:
            layers[-1] = layers[-1]._replace(relu=True)
        elif norm is not None and layers and layers[-1][4:] == (False, None):
            layers[-1] = layers[-1]._replace(norm=norm)
        elif not (isinstance(part, nn.Flatten) and not layers):
            return None
        start += sum(each.numel() for each in part.parameters())
    fits = all(below.outputs == above.inputs for below, above in pairwise(layers))
    plain = layers and not layers[-1].relu and layers[-1].norm is None
    return layers if plain and fits else None


def example_bytes(layers: list[Layer], itemsize: int) -> int:
    """Return the bytes that an example takes in a step: its inputs, and the layers' outputs."""
    values = sum((2 + (layer.norm is not None)) * layer.outputs for layer in layers)
    return itemsize * (layers[0].inputs + values)


class Workspace(NamedTuple):
    """Buffers for g members and b examples; those of a step alone are empty in an evaluation."""

    inputs: Tensor  # (g b, in), gathered
    targets: Tensor  # (g b,)
    deltas: list[Tensor]  # (g, b, units), derivatives at the hidden layers
    hidden: list[Tensor]  # (g, b, units)
    outputs: Tensor  # (g, C, b)
    ones: Tensor  # (g, 1, b), to sum over examples in a product
    norms: list[Buffers | None]  # of the hidden layers

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        single = (self.inputs, self.targets, self.outputs, self.ones)
        norms = sum(each.nbytes for each in self.norms if each is not None)
        return norms + sum(each.nbytes for each in (*single, *self.deltas, *self.hidden))


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
    hidden = [new(size, count, width, device=device) for width in widths]
    return Workspace(
        new(rows, layers[0].inputs, device=device),
        train.targets.new_empty(targets, device=device),
        [new(size, count * step, width, device=device) for width in widths],
        hidden,
        new(size, layers[-1].outputs, count, device=device),
        torch.ones(size, 1, count * step, dtype=train.inputs.dtype, device=device),
        [
            buffers_of(layer.norm, like, step=step)
            for layer, like in zip(layers, hidden, strict=False)
        ],
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
