"""A module's parameters as one row of numbers, and back."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

# A row is filled up with zeros, in the numbers below: rows that start on a cache line make the
# products and updates over them a twentieth faster.
ALIGNMENT = 16


def rows(modules: Sequence[nn.Module], like: Tensor) -> Tensor:
    """Return the modules' parameters, (K, P), on the device and in the dtype of ``like``."""
    row = like.new_zeros(len(modules), length(modules[0]))
    with torch.no_grad():
        for place, module in zip(row, modules, strict=True):
            parts = views(module, place)
            for name, parameter in module.named_parameters():
                parts[name].copy_(parameter)
    return row


def buffers(modules: Sequence[nn.Module], like: Tensor) -> dict[str, Tensor]:
    """Return the modules' buffers by name, (K, ...), on the device of ``like``, floats as it is."""
    found: dict[str, Tensor] = {}
    for name, first in modules[0].named_buffers():
        values = torch.stack([module.get_buffer(name) for module in modules])
        kind = like.dtype if first.is_floating_point() else first.dtype
        found[name] = values.to(like.device, kind)
    return found


def length(module: nn.Module) -> int:
    """Return P: the number of parameters, rounded up."""
    count = sum(parameter.numel() for parameter in module.parameters())
    return -(-count // ALIGNMENT) * ALIGNMENT


def views(module: nn.Module, weights: Tensor) -> dict[str, Tensor]:
    """Return each parameter of the module as a view of ``weights`` (..., P), by its name.

    On a CPU a convolution's weights stand channels last, and so its outputs do: its step is a
    quarter faster.
    """
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]
    parts = weights.split([*sizes, weights.shape[-1] - sum(sizes)], dim=-1)
    return {
        name: _shaped(part, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=False)
    }


def module_of(
    template: nn.Module, row: Tensor, buffers: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Return a copy of the template that holds a copy of ``row`` (P,) as its parameters.

    Buffers too are copied, where they are given by name.
    """
    module = copy.deepcopy(template).to(row.device, row.dtype)
    values = views(template, row)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(values[name])
        for name, value in (buffers or {}).items():
            module.get_buffer(name).copy_(value)
    return module


def _shaped(part: Tensor, shape: torch.Size) -> Tensor:
    leading = part.shape[:-1]
    if len(shape) != 4 or part.device.type != "cpu":
        return part.reshape(*leading, *shape)
    last = part.reshape(*leading, shape[0], shape[2], shape[3], shape[1])
    return last.movedim(-1, -3)
