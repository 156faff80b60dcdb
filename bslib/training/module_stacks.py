"""Members' networks of any kind: through ``torch.func``, or module by module."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from bslib.data import Examples, Loss
from bslib.training import flat


class VmapStack:
    """K copies of a module without state; see :class:`bslib.training.stacking.Stack`."""

    strategy = "vmap"

    def __init__(self, template: nn.Module, weights: Tensor, train: Examples, loss: Loss) -> None:
        self.template, self.weights, self.train, self.loss = template, weights, train, loss
        self._module = copy.deepcopy(template).to(weights.device, weights.dtype)

        def outputs(row: Tensor, inputs: Tensor) -> Any:
            return functional_call(self._module, flat.views(template, row), (inputs,))

        def mean_loss(row: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
            return loss(outputs(row, inputs), targets).mean()

        self._gradients = vmap(grad_and_value(mean_loss))
        self._outputs = vmap(outputs, in_dims=(0, None))

    @property
    def state(self) -> list[Tensor]:
        """The weights."""
        return [self.weights]

    @property
    def example_bytes(self) -> int:
        """Bytes of an example's inputs; what a step makes of them is autograd's."""
        return self.train.inputs[0].nbytes

    def part(self, rows: slice) -> Self:
        """Return the stack of some rows, sharing their memory."""
        part = copy.copy(self)
        part.weights = self.weights[rows]
        return part

    def bind(self, into: Tensor, carry: float) -> None:
        """Accumulate gradients in ``into`` (K, P), after multiplying it by ``carry``."""
        self._into, self._carry = into, carry

    def accumulate(self, index: Tensor | None, scale: Tensor | None, record: bool) -> Tensor | None:
        """All members at once."""
        inputs, targets = self.train.inputs, self.train.targets
        if index is None:
            inputs = inputs.expand(len(self.weights), *inputs.shape)
            targets = targets.expand(len(self.weights), *targets.shape)
        else:
            inputs, targets = inputs[index], targets[index]
        self._module.train()
        gradients, values = self._gradients(self.weights, inputs, targets)
        _add(self._into, self._carry, gradients, scale)
        return values if record else None

    def evaluate(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (K, b), and the share of targets that have the largest output, (K, b)."""
        self._module.eval()
        return _judge(self.loss, self._outputs(self.weights, inputs), targets)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only; ``bind`` anew."""
        self.weights = self.weights[rows]

    def module(self, row: int) -> nn.Module:
        """Return a module of its own with this row's weights."""
        return flat.module_of(self.template, self.weights[row])


class LoopStack:
    """K modules of any kind, one after another, each with buffers of its own.

    Their parameters are views of the rows of ``weights``, so that one update serves them all.
    """

    strategy = "loop"

    def __init__(
        self, modules: list[nn.Module], weights: Tensor, train: Examples, loss: Loss
    ) -> None:
        self.train, self.loss, self.weights = train, loss, weights
        self._modules = [
            copy.deepcopy(module).to(weights.device, weights.dtype) for module in modules
        ]
        self._training = [module.training for module in modules]
        self._attach()

    @property
    def state(self) -> list[Tensor]:
        """The weights, and the modules' buffers."""
        return [self.weights, *(each for module in self._modules for each in module.buffers())]

    @property
    def example_bytes(self) -> int:
        """Bytes of an example's inputs; what a step makes of them is autograd's."""
        return self.train.inputs[0].nbytes

    def part(self, rows: slice) -> Self:
        """Return the stack of some rows, sharing their memory."""
        part = copy.copy(self)
        part.weights = self.weights[rows]
        part._modules = self._modules[rows]
        return part

    def bind(self, into: Tensor, carry: float) -> None:
        """Accumulate gradients in ``into`` (K, P), after multiplying it by ``carry``."""
        self._carry = carry
        self._into = [list(flat.views(self._modules[0], row).values()) for row in into]

    def accumulate(self, index: Tensor | None, scale: Tensor | None, record: bool) -> Tensor | None:
        """Member by member, through autograd."""
        values = []
        for row, module in enumerate(self._modules):
            inputs, targets = self.train.inputs, self.train.targets
            if index is not None:
                inputs = inputs.index_select(0, index[row])
                targets = targets.index_select(0, index[row])
            if inputs.dim() == 4 and inputs.device.type == "cpu":  # as the weights are
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            with torch.enable_grad():
                value = self.loss(module(inputs), targets).mean()
                gradients = torch.autograd.grad(value, list(module.parameters()))
            for into, gradient in zip(self._into[row], gradients, strict=True):
                _add(into, self._carry, gradient, None if scale is None else scale[row])
            values.append(value.detach())
        return torch.stack(values) if record else None

    def evaluate(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (K, b), and the share of targets that have the largest output, (K, b)."""
        outputs = [module.eval()(inputs) for module in self._modules]
        for module in self._modules:
            module.train()
        return _judge(self.loss, torch.stack(outputs), targets)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only; ``bind`` anew."""
        self.weights = self.weights[rows]
        self._modules = [self._modules[row] for row in rows.tolist()]
        self._training = [self._training[row] for row in rows.tolist()]
        self._attach()

    def module(self, row: int) -> nn.Module:
        """Return a module of its own with this row's weights and buffers."""
        module = flat.module_of(self._modules[row], self.weights[row])
        return module.train(self._training[row])

    def _attach(self) -> None:
        for module, row in zip(self._modules, self.weights, strict=True):
            module.train()
            parts = flat.views(module, row)
            for name, parameter in module.named_parameters():
                parameter.data = parts[name]


def _add(into: Tensor, carry: float, gradient: Tensor, scale: Tensor | None) -> None:
    if carry == 0:
        into.copy_(gradient) if scale is None else torch.mul(gradient, scale, out=into)
    elif scale is None:
        into.mul_(carry).add_(gradient)
    else:
        into.mul_(carry).addcmul_(gradient, scale)


def _judge(loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    labels = targets if targets.dim() == outputs.dim() - 2 else targets[..., 0]
    hits = outputs.argmax(-1) == labels
    return loss(outputs, targets), hits if hits.dim() == 2 else hits.double().mean(2)
