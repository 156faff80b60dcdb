"""The step that a GPU replays, run here by the host: its counter, tables and buffers."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_case import flat, mlp, small_task, three_trainings

from bslib.training import Budget, engine, ensemble, replay, train


class Recording(TorchDispatchMode):
    """A CUDA graph's rules on a CPU: the operations of one call, replayed on the same memory.

    What Python decided while recording stays as it was, and nothing may be read by the host.
    """

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, "the host waits"
        result = function(*arguments, **(keywords or {}))
        self.calls.append((function, arguments, keywords or {}, result))
        return result

    def replay(self):
        for function, arguments, keywords, recorded in self.calls:
            fresh = function(*arguments, **keywords)
            for old, new in zip(tree_leaves(recorded), tree_leaves(fresh), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def stand_in(step, changed):
    """Record as :func:`bslib.training.replay.cuda_graph` does: warm up, record, put back."""
    before = [tensor.clone() for tensor in changed]
    for _ in range(3):
        step()
    with Recording() as recording:
        step()
    for tensor, value in zip(changed, before, strict=True):
        tensor.copy_(value)
    return recording.replay


class Replayed(engine.Run):
    """A run that replays on any device."""

    def _stepper(self):
        record = self.setup.record_batch_loss
        parts = (self.stack, self.update, self.setup.optimizer, self.shuffle, self.pace, record)
        return replay.ReplayStepper(*parts, recorder=stand_in)


CASES = [
    *(("stacked", optimizer, size) for optimizer in ("sgd", "adamw") for size in (4, 8, 50)),
    ("stacked", "momentum", 8),
    ("loop", "momentum", 8),
    ("vmap", "sgd", 8),
]


@pytest.mark.parametrize(("strategy", "optimizer", "batch_size"), CASES)
def test_replayed_steps_are_the_hosts(strategy, optimizer, batch_size, monkeypatch):
    """Ragged, whole and full batches, schedules, an end on the way: equal to rounding."""

    def run():
        return three_trainings(
            small_task(), mlp, strategy=strategy, optimizer=optimizer, batch_size=batch_size
        )

    monkeypatch.setattr(replay, "RUN", 5)
    hosts = run()
    monkeypatch.setattr(ensemble, "Run", Replayed)
    replayed = run()
    assert list(replayed.members["status"]) == list(hosts.members["status"])
    for member in (0, 2):
        torch.testing.assert_close(
            flat(replayed.module(member)), flat(hosts.module(member)), rtol=1e-10, atol=1e-10
        )
        torch.testing.assert_close(replayed.batch_losses[member], hosts.batch_losses[member])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_a_recorded_graph_is_the_step(optimizer, monkeypatch):
    """On a GPU: a CUDA graph replayed equals the same steps launched one by one."""

    def run():
        return train(
            small_task().to("cuda"),
            initial=[mlp(1), mlp(2)],
            batch_size=8,
            learning_rates=[0.02, 0.01],
            seeds=[1, 2],
            optimizer=optimizer,
            budget=Budget(steps=100),
        )

    graphed = run()
    monkeypatch.setattr(engine, "cuda_graph", lambda step, changed: step)
    for member in (0, 1):
        torch.testing.assert_close(
            flat(graphed.module(member)), flat(run().module(member)), rtol=1e-10, atol=1e-10
        )
