"""The step that a GPU replays, run here by the host: its counter, tables and buffers."""

import pytest
import torch
from training_case import flat, mlp, small_task

from bslib.training import Budget, Target, engine, ensemble, replay, train


def stand_in(step, changed):
    """Do as a recording does: run the step a few times, and put back what it changed."""
    before = [tensor.clone() for tensor in changed]
    for _ in range(3):
        step()
    for tensor, value in zip(changed, before, strict=True):
        tensor.copy_(value)
    return step


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
        return train(
            small_task(),
            initial=[mlp(1), mlp(2), mlp(3)],
            batch_size=batch_size,
            learning_rates=[0.02, 1e9, 0.01],
            seeds=[1, 2, 3],
            optimizer=optimizer,
            schedule="cosine",
            warmup=0.1,
            budget=Budget(steps=150),
            target=Target("train_loss", 0.0),
            evaluate_every=33,
            record_batch_loss=True,
            strategy=strategy,
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
