"""The memory that a training is said to need, against what it takes."""

import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_case import convolutional, mlp, small_task

from bslib.training import Budget, footprint, train


class Live(TorchDispatchMode):
    """Follows the bytes of all storages that operations make, until they are freed."""

    def __init__(self, task):
        super().__init__()
        parts = (task.train, task.validation, task.test)
        held = [each for part in parts for each in (part.inputs, part.targets)]
        self.bytes, self.peak = 0, 0
        self.known = {each.untyped_storage()._cdata for each in held}

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                self.note(tensor.untyped_storage())
        return result

    def note(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self.forget, key, size)

    def forget(self, key, size):
        self.known.discard(key)
        self.bytes -= size


def measured(task, modules, **options):
    with Live(task) as live:
        train(
            task,
            initial=modules,
            learning_rates=[0.01] * len(modules),
            seeds=range(len(modules)),
            budget=Budget(steps=3),
            evaluate_on=["train", "validation", "test"],
            **options,
        )
    return live.peak


@pytest.mark.parametrize("members", [1, 6])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("batch_size", [16, 700, 2000])
def test_stacked_trainings_take_what_is_foretold(batch_size, optimizer, members):
    """Between all of the estimate and two thirds of it."""
    task = small_task(2000)
    need = footprint(task, mlp(0), members=members, batch_size=batch_size, optimizer=optimizer)
    modules = [mlp(seed) for seed in range(members)]
    peak = measured(task, modules, batch_size=batch_size, optimizer=optimizer)
    assert 2 / 3 * need <= peak <= need


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_the_optimizers_state_counts(optimizer):
    """With few examples and many parameters what is foretold is mostly weights and state."""
    task = small_task(60)
    modules = [nn.Sequential(nn.Linear(6, 2000), nn.ReLU(), nn.Linear(2000, 3)).double()] * 4
    need = footprint(task, modules[0], members=4, batch_size=4, optimizer=optimizer)
    peak = measured(task, modules, batch_size=4, optimizer=optimizer)
    assert 2 / 3 * need <= peak <= need


@pytest.mark.parametrize("strategy", ["vmap", "loop"])
@pytest.mark.parametrize("batch_size", [16, 700])
def test_other_trainings_take_no_more_than_foretold(batch_size, strategy):
    """An estimate from what autograd saves is on the safe side, by less than a factor of 4."""
    task = small_task(2000, image=strategy == "loop")
    build = convolutional if strategy == "loop" else mlp
    need = footprint(task, build(0), members=4, batch_size=batch_size, strategy=strategy)
    modules = [build(seed) for seed in range(4)]
    peak = measured(task, modules, batch_size=batch_size, strategy=strategy)
    assert need / 4 <= peak <= need
