"""Members' fully connected networks as batched matrix products, backward pass included.

Small networks are bound by what it costs to call an operation, so a step's operations are laid
down once, with their operands, as a list that is run through at each step.
"""

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from bslib.data import Examples, Loss
from bslib.refusal import Refusal
from bslib.training import flat, losses, stacked_norms
from bslib.training.linear_layers import Workspace, example_bytes, layers_of, workspace
from bslib.training.losses import Operation
from bslib.training.stacked_norms import Buffers, Norm


class Step(NamedTuple):
    """A step over batches of one size: where they are gathered, and what is then done."""

    inputs: Tensor
    targets: Tensor
    factor: Tensor  # (K, 1, 1), or (K, 1, b) by example: what derivatives are multiplied by
    operations: list[Operation]


class LinearStack:
    """K networks of linear layers, norms and ReLUs; see :class:`bslib.training.stacking.Stack`.

    ``buffers`` holds the running statistics of batch norm by name, a row a member.
    """

    strategy = "stacked"

    def __init__(
        self,
        template: nn.Module,
        weights: Tensor,
        train: Examples,
        loss: Loss,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> None:
        layers = layers_of(template)
        assert layers is not None
        self.layers, self.template, self.loss, self.weights = layers, template, loss, weights
        self.train = Examples(train.inputs.flatten(1), train.targets)
        self.buffers = dict(buffers or {})
        self._spaces: dict[tuple[int, int, bool], Workspace] = {}  # its parts' too: one at a time

    @property
    def state(self) -> list[Tensor]:
        """The weights, and running statistics."""
        return [self.weights, *self.buffers.values()]

    @property
    def example_bytes(self) -> int:
        """Bytes that an example takes in a step."""
        return example_bytes(self.layers, self.weights.element_size())

    def part(self, rows: slice) -> Self:
        """Return the stack of some rows, sharing their memory."""
        part = copy.copy(self)
        part.weights = self.weights[rows]
        part.buffers = {name: each[rows] for name, each in self.buffers.items()}
        return part

    def bind(self, into: Tensor, carry: float) -> None:
        """Accumulate gradients in ``into`` (K, P), after multiplying it by ``carry``."""
        self._into, self._carry = into, carry
        self._recorded = self.weights.new_empty(len(into))
        self._steps: dict[tuple[int, int, bool], Step] = {}

    def accumulate(self, index: Tensor | None, scale: Tensor | None, record: bool) -> Tensor | None:
        """Gather, forward and backward; ``scale`` may be (K, b), a factor for each example."""
        count = len(self.train) if index is None else index.shape[1]
        factors = 1 if scale is None else scale.shape[1]
        step = self._steps.get((count, factors, record))
        if step is None:
            step = self._lay_down(count, factors, index is None, record)
            self._steps[count, factors, record] = step
        if scale is not None:
            torch.mul(scale.unsqueeze(1), 1 / count, out=step.factor)
        if index is not None:
            picked = index.reshape(-1)
            torch.index_select(self.train.inputs, 0, picked, out=step.inputs)
            torch.index_select(self.train.targets, 0, picked, out=step.targets)
        for operation in step.operations:
            operation()
        return self._recorded.clone() if record else None

    def squared_norms(self) -> Tensor:
        """Return |g_i|^2 (K, N) of each example's own gradient, after a step over all examples.

        Its scale is that of the step: factors of each example over N. A layer's gradient is the
        outer product of what stands above and below it, and its norm the product of their norms
        (Goodfellow 2015, arXiv:1510.01799). Cost: one pass over a step's buffers.

        Raises:
            Refusal: a layer is followed by a norm.
        """
        if any(layer.norm is not None for layer in self.layers):
            raise Refusal("gradients of single examples are not to be had from a step with norms")
        space = self._space(len(self.train), step=True, gather=False)
        below = [self.train.inputs.expand(len(self.weights), -1, -1), *space.hidden]
        above = [*space.deltas, space.outputs.mT]
        squares = torch.zeros_like(space.outputs[:, 0])
        for layer, left, right in zip(self.layers, above, below, strict=True):
            squares += left.square().sum(2) * (right.square().sum(2) + layer.bias)
        return squares

    def evaluate(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (K, b), and whether the largest output is the target's, (K, b)."""
        space = self._space(len(inputs), step=False, gather=False)
        for operation in self._forward(inputs.flatten(1), space, step=False):
            operation()
        return losses.values(self.loss, space.outputs, targets), space.outputs.argmax(1) == targets

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.weights = self.weights[rows]
        self.buffers = {name: each[rows] for name, each in self.buffers.items()}
        self._spaces = {}

    def module(self, row: int) -> nn.Module:
        """Return a module of its own with this row's weights and running statistics."""
        buffers = {name: each[row] for name, each in self.buffers.items()}
        return flat.module_of(self.template, self.weights[row], buffers)

    def _space(self, count: int, *, step: bool, gather: bool) -> Workspace:
        key = len(self.weights), count, step
        if key not in self._spaces:
            new = workspace(self.layers, self.train, *key[:2], step=step, gather=gather)
            self._spaces[key] = new
        return self._spaces[key]

    def _lay_down(self, count: int, factors: int, whole: bool, record: bool) -> Step:
        space = self._space(count, step=True, gather=not whole)
        shape = (len(self.weights), count)
        inputs = self.train.inputs if whole else space.inputs.unflatten(0, shape)
        targets = self.train.targets if whole else space.targets.unflatten(0, shape)
        recorded = self._recorded if record else None
        factor = self.weights.new_full((len(self.weights), 1, factors), 1 / count)
        operations: list[Operation] = [
            *self._forward(inputs, space, step=True),
            *losses.differentiate(self.loss, space.outputs, targets, recorded),
            partial(space.outputs.mul_, factor),
            *self._backward(inputs, space),
        ]
        return Step(space.inputs, space.targets, factor, operations)

    def _forward(self, inputs: Tensor, space: Workspace, *, step: bool) -> Iterator[Operation]:
        """From inputs (K, b, in), or (b, in) for all members, to ``space.outputs``."""
        below = inputs.expand(len(self.weights), *inputs.shape[-2:])
        for layer, hidden, norm in zip(self.layers, space.hidden, space.norms, strict=False):
            bias = layer.offset(self.weights)
            row = bias if bias is None else bias.mT
            out = hidden if norm is None else norm.normalised
            yield _product(row, below, layer.weight(self.weights).mT, out)
            if layer.norm is not None and norm is not None:
                yield from self._normalise(layer.norm, norm, hidden, space.ones, step)
            if layer.relu:
                yield hidden.relu_
            below = hidden
        last = self.layers[-1]
        weight, bias = last.weight(self.weights), last.offset(self.weights)
        yield _product(bias, weight, below.mT, space.outputs)

    def _normalise(
        self, norm: Norm, space: Buffers, hidden: Tensor, ones: Tensor, step: bool
    ) -> Iterator[Operation]:
        if not step:
            return stacked_norms.evaluate(norm, self.weights, self.buffers, space, hidden)
        return stacked_norms.forward(norm, self.weights, self.buffers, ones, space, hidden)

    def _backward(self, inputs: Tensor, space: Workspace) -> Iterator[Operation]:
        """From derivatives at ``space.outputs``, scaled, to those of all parameters.

        A layer's are passed down before its own are accumulated, which may change its weights.
        """
        slope = space.outputs  # (K, units, b)
        for number, layer in reversed(list(enumerate(self.layers))):
            below, above = (space.hidden[number - 1] if number else inputs), slope
            if layer.norm is not None:
                yield from self._denormalise(layer.norm, number, space)
            if number:
                passed = space.deltas[number - 1]
                yield partial(torch.bmm, above.mT, layer.weight(self.weights), out=passed)
                if self.layers[number - 1].relu:
                    yield _masked(passed, below)
                slope = passed.mT
            below = below.expand(len(self.weights), *below.shape[-2:])
            yield partial(layer.weight(self._into).baddbmm_, above, below, beta=self._carry)
            bias = layer.offset(self._into)
            if bias is not None:
                yield partial(bias.mT.baddbmm_, space.ones, above.mT, beta=self._carry)

    def _denormalise(self, norm: Norm, number: int, space: Workspace) -> Iterator[Operation]:
        """The layer's own outputs have been used, and are room to write in."""
        kept = space.norms[number]
        assert kept is not None
        return stacked_norms.backward(
            norm,
            self.weights,
            self._into,
            self._carry,
            space.ones,
            kept,
            space.hidden[number],
            space.deltas[number],
        )


def _product(bias: Tensor | None, left: Tensor, right: Tensor, out: Tensor) -> Operation:
    if bias is None:
        return partial(torch.bmm, left, right, out=out)
    return partial(torch.baddbmm, bias, left, right, out=out)


def _masked(slope: Tensor, hidden: Tensor) -> Operation:
    """Set ``slope`` to 0 where a ReLU's output ``hidden`` is 0."""
    mask = torch.ops.aten.threshold_backward.grad_input
    return partial(mask, slope, hidden, 0, grad_input=slope)
