"""How much memory a training needs, before it starts."""

import copy

import psutil
import torch
from torch import Tensor, nn

from bslib.data import Task
from bslib.training import flat, optimizers
from bslib.training.evaluation import chunks_of
from bslib.training.linear_layers import Layer, example_bytes, layers_of, workspaces_bytes
from bslib.training.stacking import choose
from bslib.training.stepping import lane_size
from bslib.training.updates import slots


def footprint(
    task: Task,
    module: nn.Module,
    *,
    members: int,
    batch_size: int,
    optimizer: str | optimizers.Optimizer = "sgd",
    strategy: str = "auto",
    drop_last: bool = False,
) -> int:
    """Estimate the peak bytes that ``members`` trainings take side by side.

    Weights, optimiser state, the networks returned, the order of the examples, and what steps
    and evaluations hold; the task, recorded losses and checkpoints are left out. For the
    stacked strategy, whose buffers are its own, it is no less than the peak and at most half
    more. For others a step is reckoned as twice what autograd saves for the backward pass (in
    a forward pass over a few examples), for all members of a lane under ``vmap``, for one in
    a ``loop``: up to four times the peak.
    """
    kind = task.train.inputs.device.type
    strategy = choose(module, kind, strategy)
    row = flat.length(module) * task.train.inputs.element_size()
    state = row * (1 + slots(optimizers.resolve(optimizer)))
    held = members * (state + row + 8 * len(task.train)) + row  # the networks returned, and a copy
    layers = layers_of(module)
    if strategy == "stacked" and layers is not None:
        ragged = 0 if drop_last else len(task.train) % batch_size
        return held + _stacked(task, layers, members, (batch_size, ragged), state)
    inputs = batch_size * _input_bytes(task)
    lane = lane_size(members, state + inputs, strategy, kind)
    saved = saved_bytes(module, task)
    step = lane * (2 * batch_size * saved + inputs + state)
    evaluated = max(_chunks(task, members, strategy)) * (1 if strategy == "loop" else members)
    return held + max(step, evaluated * saved)


def saved_bytes(module: nn.Module, task: Task) -> int:
    """Return the bytes an example that autograd keeps for the backward pass.

    The difference between a batch of four and one of two, so that what is kept once, such as
    the parameters, does not count.
    """
    kept = [_saved(module, task, count) for count in (2, 4)]
    return (kept[1] - kept[0]) // 2


def room(device: torch.device) -> int:
    """Return half of the bytes that are free on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    return int(psutil.virtual_memory().available) // 2


def _stacked(
    task: Task, layers: list[Layer], members: int, batch_sizes: tuple[int, int], state: int
) -> int:
    """Buffers of steps, for lanes and the last lane, of full and of ragged batches; and others."""
    size = task.train.inputs.element_size()
    each = state + batch_sizes[0] * example_bytes(layers, size)
    lane = lane_size(members, each, "stacked", task.train.inputs.device.type)
    stepped = {(k, b) for k in (lane, members % lane) for b in batch_sizes}
    chunks = _chunks(task, members, "stacked")
    evaluated = {(members, count) for count in chunks}
    # a log-sum-exp needs another set of outputs; losses and hits are kept until joined
    judged = members * max(chunks) * (layers[-1].outputs + 2) * size
    return (
        workspaces_bytes(layers, task.train, stepped, step=True)
        + workspaces_bytes(layers, task.train, evaluated, step=False)
        + judged
    )


def _chunks(task: Task, members: int, strategy: str) -> set[int]:
    parts = (task.train, task.validation, task.test)
    return {count for part in parts for count in chunks_of(part, members, strategy)}


def _input_bytes(task: Task) -> int:
    return int(task.train.inputs[0].nbytes)


def _saved(module: nn.Module, task: Task, count: int) -> int:
    """Each storage counts once, however many operations keep it."""
    first = task.train.subset([0] * count)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    probe = copy.deepcopy(module).to(first.inputs.device, first.inputs.dtype)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda each: each):
        task.loss(probe(first.inputs), first.targets).mean()
    return sum(kept.values())
