"""Members side by side: what one does is nothing to the others."""

import pandas as pd
import pytest
import torch
from training_case import convolutional, flat, mlp, small_task

from bslib.training import SGD, Adam, Budget, Target, engine, stepping, train

RATES, SEEDS = (0.05, 0.2, 0.02, 0.1), (3, 4, 5, 4)


def run(members=(0, 1, 2, 3), rates=RATES, build=mlp, task=None, **options):
    settings = {"batch_size": 8, "budget": Budget(steps=200), "evaluate_every": 25}
    return train(
        task or small_task(),
        initial=[build(SEEDS[member]) for member in members],
        learning_rates=[rates[member] for member in members],
        seeds=[SEEDS[member] for member in members],
        **settings | options,
    )


CASES = [
    *((optimizer, "stacked") for optimizer in ("sgd", "momentum", "adam")),
    ("momentum", "loop"),
    ("adam", "vmap"),
]


@pytest.mark.parametrize(("optimizer", "strategy"), CASES)
def test_a_member_equals_the_same_training_alone(optimizer, strategy):
    """200 steps in float64, differing rates, warm-up and cosine, ragged last batch: 1e-10."""
    rates = [rate / 5 if optimizer != "sgd" else rate for rate in RATES]
    settings = {
        "optimizer": optimizer,
        "schedule": "cosine",
        "warmup": 0.05,
        "strategy": strategy,
        "record_batch_loss": True,
    }
    together = run(rates=rates, **settings)
    for member in range(4):
        alone = run([member], rates=rates, **settings)
        torch.testing.assert_close(
            flat(together.module(member)), flat(alone.module(0)), rtol=1e-10, atol=1e-10
        )
        torch.testing.assert_close(together.batch_losses[member], alone.batch_losses[0])
        history = together.history[together.history["member"] == member]
        numbers = ["step", "examples", "train_loss", "validation_loss", "validation_accuracy"]
        pd.testing.assert_frame_equal(
            history[numbers].reset_index(drop=True), alone.history[numbers]
        )


@pytest.mark.parametrize("strategy", ["stacked", "vmap", "loop"])
@pytest.mark.parametrize("spare", [0.0, 0.9])
def test_a_diverging_neighbour_changes_nothing(strategy, spare, monkeypatch):
    """With and without a member that blows up, dropped at once or left idle: bit for bit."""
    monkeypatch.setitem(engine.SPARE, "cpu", spare)
    calm = run([0, 2, 3], strategy=strategy, optimizer="momentum", rates=[0.01] * 4)
    wild = run(strategy=strategy, optimizer="momentum", rates=[0.01, 1e9, 0.01, 0.01])
    for ours, others in zip((0, 2, 3), range(3), strict=True):
        assert torch.equal(flat(wild.module(ours)), flat(calm.module(others)))
    assert list(wild.members["status"]) == ["finished", "diverged", "finished", "finished"]
    assert wild.members["steps"][1] == 25
    assert list(calm.members["status"]) == ["finished"] * 3


@pytest.mark.parametrize("strategy", ["stacked", "vmap", "loop"])
@pytest.mark.parametrize("spare", [0.0, 0.9])
def test_one_that_reaches_its_target_stops_there(strategy, spare, monkeypatch):
    """Its weights stay as they were when it did, and the others go on to the budget's end."""
    monkeypatch.setitem(engine.SPARE, "cpu", spare)
    options = {"strategy": strategy, "record_batch_loss": True}
    free = run(**options)
    value = free.history.query("member == 1 and step == 75")["train_loss"].item()
    assert free.history.query("step <= 75 and member != 1")["train_loss"].min() > value
    ended = run(target=Target("train_loss", value), **options)
    assert ended.members["status"][1] == "reached"
    assert ended.members["steps_to_target"][1] == ended.members["steps"][1] == 75
    assert ended.members["train_loss"][1] == pytest.approx(value, rel=1e-12)
    short = run([1], budget=Budget(steps=75), **options)
    torch.testing.assert_close(flat(ended.module(1)), flat(short.module(0)), rtol=1e-10, atol=1e-10)
    assert ended.batch_losses[1, 75:].isnan().all()
    assert ended.batch_losses[1, :75].isfinite().all()


def test_later_members_are_censored_at_the_budget():
    """A target that is not reached leaves NaN, with the steps at which the run was cut."""
    ended = run(target=Target("validation_accuracy", 1.1))
    assert ended.members["steps_to_target"].isna().all()
    assert list(ended.members["steps"]) == [200] * 4
    assert list(ended.members["status"]) == ["finished"] * 4


def test_buffers_go_with_their_member():
    """Members of modules with buffers that outlast a neighbour keep their own statistics."""
    task, rates = small_task(image=True), (0.1, 1e9, 0.02, 0.1)
    options = {"build": convolutional, "task": task, "rates": rates, "optimizer": SGD()}
    together = run(**options)
    assert together.members["status"][1] == "diverged"
    for member in (0, 2, 3):
        alone = run([member], **options)
        assert torch.equal(flat(together.module(member)), flat(alone.module(0)))


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_each_member_has_its_own_weight_decay(kind):
    """A sequence of decays is one a member, beside others and alone."""
    decays = (0.0, 0.1, 0.01, 0.3)
    together = run(optimizer=kind(weight_decay=decays), rates=[0.01] * 4)
    assert list(together.members["weight_decay"]) == list(decays)
    for member, decay in enumerate(decays):
        alone = run([member], optimizer=kind(weight_decay=decay), rates=[0.01] * 4)
        torch.testing.assert_close(
            flat(together.module(member)), flat(alone.module(0)), rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("lane_size", [1, 2])
def test_lanes_change_nothing(lane_size, optimizer, monkeypatch):
    """Members taken a few at a time, for many steps in a row, learn what they would together."""
    options = {"optimizer": optimizer, "record_batch_loss": True, "rates": [0.01, 1e9, 0.02, 0.03]}
    together = run(**options)
    monkeypatch.setattr(stepping, "lane_size", lambda *_: lane_size)
    monkeypatch.setattr(stepping, "TURN_STEPS", 5)
    apart = run(**options)
    assert list(apart.members["status"]) == list(together.members["status"])
    for member in (0, 2, 3):
        torch.testing.assert_close(
            flat(apart.module(member)), flat(together.module(member)), rtol=1e-10, atol=1e-10
        )
        torch.testing.assert_close(apart.batch_losses[member], together.batch_losses[member])


@pytest.mark.parametrize(
    ("members", "device", "strategy", "size"),
    [
        (16, "cpu", "stacked", 4),
        (5, "cpu", "stacked", 3),
        (16, "cpu", "loop", 1),
        (16, "cuda", "stacked", 16),
    ],
)
def test_lanes_fit_a_cache(members, device, strategy, size):
    """As many members as fit, in lanes of nearly equal size; one in a loop; all on a GPU."""
    assert stepping.lane_size(members, stepping.LANE_BYTES // 4, strategy, device) == size


@pytest.mark.parametrize("optimizer", ["momentum", Adam(weight_decay=(0.0, 0.1, 0.2, 0.3))])
def test_splitting_to_fit_changes_nothing(optimizer):
    """Members in several runs are numbered, joined and trained as in one."""
    whole = run(optimizer=optimizer, record_batch_loss=True)
    tight = run(optimizer=optimizer, record_batch_loss=True, memory_bytes=whole.peak_bytes - 1)
    assert (whole.chunks, tight.chunks) == (1, 2)
    torch.testing.assert_close(tight.batch_losses, whole.batch_losses)
    columns = whole.members.columns.drop("seconds")
    pd.testing.assert_frame_equal(tight.members[columns], whole.members[columns])
    ordered = tight.history.sort_values(["step", "member"], ignore_index=True)
    columns = whole.history.columns.drop("seconds")
    pd.testing.assert_frame_equal(ordered[columns], whole.history[columns])
