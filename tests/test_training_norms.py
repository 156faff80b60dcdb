"""Stacked networks with norms against torch's modules and autograd, one member at a time."""

import functools

import pytest
import torch
from test_training_memory import measured
from test_training_replay import Replayed
from torch import nn
from training_case import flat, plain_loop, small_task

from bslib import models
from bslib.refusal import Refusal
from bslib.training import Budget, ensemble, footprint, replay, stacking, train
from bslib.training import flat as rows

STEPS = 40
RATES, SEEDS = (0.05, 0.02), (1, 2)
NORMS = {
    "batch norm": {"norm": "batch"},
    "batch norm in the first layer": {"norm": "batch", "normalized": 1},
    "ghost batch norm": {"norm": "ghost", "group": 4},
    "group norm": {"norm": "group", "group": 4},
    "layer norm in two layers": {"norm": "group", "group": 8, "normalized": 2},
}


def network(task, seed, **options):
    """Three hidden layers in float64, with scales that differ from one another."""
    module = models.build("mlp", task, seed=seed, width=8, depth=3, **options).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.mark.parametrize("strategy", ["stacked", "loop"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
@pytest.mark.parametrize("name", NORMS)
def test_a_training_is_torchs(name, optimizer, strategy):
    """Weights, running statistics and losses equal a plain loop's to 1e-9, ragged batches too.

    Rounding of 1e-16 is multiplied by 1 / standard deviation where a group hardly varies, step
    after step: few steps, and a tolerance that a wrong term would miss by far.
    """
    task = small_task(52)  # by 8: a ragged batch of 4
    build = functools.partial(network, task, **NORMS[name])
    training = train(
        task,
        initial=[build(seed) for seed in SEEDS],
        batch_size=8,
        learning_rates=RATES,
        seeds=SEEDS,
        optimizer=optimizer,
        budget=Budget(steps=STEPS),
        evaluate_every=30,
        record_batch_loss=True,
        strategy=strategy,
    )
    assert training.strategy == strategy
    momentum = 0.9 if optimizer == "momentum" else 0.0
    for member, (rate, seed) in enumerate(zip(RATES, SEEDS, strict=True)):
        module = build(seed)
        make = functools.partial(torch.optim.SGD, lr=rate, momentum=momentum)
        losses = plain_loop(task, module, make, batch_size=8, seed=seed, steps=STEPS)
        torch.testing.assert_close(
            flat(training.module(member)), flat(module), rtol=1e-9, atol=1e-9
        )
        expected = torch.tensor(losses, dtype=torch.float64)
        torch.testing.assert_close(training.batch_losses[member], expected, rtol=1e-9, atol=1e-9)
        outputs = module.eval()(task.validation.inputs)
        loss = task.loss(outputs, task.validation.targets).mean().item()
        assert training.members["validation_loss"][member] == pytest.approx(loss, rel=1e-8)


@pytest.mark.parametrize("name", NORMS)
def test_every_gradient_is_autograds(name):
    """Those of scales and shifts too, accumulated with a carry, equal autograd's to 1e-12."""
    task = small_task(16)
    modules = [network(task, seed, **NORMS[name]) for seed in SEEDS]
    stack = stacking.stack(modules, task, "stacked")
    into = torch.ones_like(stack.weights)
    stack.bind(into, 0.5)
    stack.accumulate(None, torch.tensor([[2.0], [3.0]], dtype=torch.float64), record=False)
    for row, (module, factor) in enumerate(zip(modules, (2, 3), strict=True)):
        loss = task.loss(module(task.train.inputs), task.train.targets).mean()
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        parts = rows.views(module, into[row]).values()
        for part, gradient in zip(parts, gradients, strict=True):
            torch.testing.assert_close(part, 0.5 + factor * gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["batch norm", "ghost batch norm"])
def test_members_that_leave_take_nothing_along(name):
    """Running statistics stay with their members when one diverges on the way."""
    task = small_task(48)
    build = functools.partial(network, task, **NORMS[name])
    settings = {"batch_size": 8, "budget": Budget(steps=60), "evaluate_every": 10}
    together = train(
        task,
        initial=[build(seed) for seed in (1, 2, 3)],
        learning_rates=[0.02, 1e30, 0.05],
        seeds=[1, 2, 3],
        **settings,
    )
    assert list(together.members["status"]) == ["finished", "diverged", "finished"]
    alone = train(task, initial=[build(3)], learning_rates=[0.05], seeds=[3], **settings)
    torch.testing.assert_close(flat(together.module(2)), flat(alone.module(0)))


@pytest.mark.parametrize("name", ["batch norm", "ghost batch norm", "group norm"])
def test_replayed_steps_are_the_hosts(name, monkeypatch):
    """Recorded once and replayed, running statistics move as they do launched one by one."""

    def run():
        task = small_task(52)
        return train(
            task,
            initial=[network(task, seed, **NORMS[name]) for seed in SEEDS],
            batch_size=8,
            learning_rates=RATES,
            seeds=SEEDS,
            optimizer="momentum",
            budget=Budget(steps=60),
        )

    monkeypatch.setattr(replay, "RUN", 5)
    hosts = run()
    monkeypatch.setattr(ensemble, "Run", Replayed)
    replayed = run()
    for member in range(len(SEEDS)):
        torch.testing.assert_close(flat(replayed.module(member)), flat(hosts.module(member)))


@pytest.mark.parametrize("name", ["batch norm", "group norm"])
@pytest.mark.parametrize("batch_size", [16, 700])
def test_memory_is_foretold(name, batch_size):
    """A training with norms takes between two thirds and all of the estimate."""
    task = small_task(2000)
    modules = [network(task, seed, **NORMS[name]) for seed in range(4)]
    need = footprint(task, modules[0], members=4, batch_size=batch_size, optimizer="momentum")
    peak = measured(task, modules, batch_size=batch_size, optimizer="momentum")
    assert 2 / 3 * need <= peak <= need


@pytest.mark.parametrize(
    ("options", "batch_size", "reason"),
    [
        ({"norm": "batch"}, 1, "no statistics over one example"),
        ({"norm": "batch"}, 7, "no statistics over one example"),
        ({"norm": "ghost", "group": 4}, 6, "not 6"),
        ({"norm": "ghost", "group": 4}, 8, None),
    ],
)
def test_a_batch_without_statistics_is_refused_at_the_door(options, batch_size, reason):
    """Single examples, ragged ones too, and uneven groups; ``drop_last`` leaves ragged ones out."""
    task = small_task(50)  # 7 leave 1 over, 8 leave 2
    settings = {"learning_rates": [0.01], "seeds": [0], "budget": Budget(steps=12)}
    settings |= {"initial": [network(task, 0, **options)], "batch_size": batch_size}
    if reason is None:
        assert len(train(task, **settings).members) == 1
        return
    with pytest.raises(Refusal, match=reason):
        train(task, **settings)
    if batch_size == 7:
        assert len(train(task, drop_last=True, **settings).members) == 1


def test_dropped_batches_ask_for_no_memory():
    """A ragged batch that no group divides is no matter where it is left out."""
    task = small_task(54)  # by 12: 6 are left over, in groups of 4
    settings = {"learning_rates": [0.01], "seeds": [0], "budget": Budget(steps=9)}
    settings |= {"initial": [network(task, 0, norm="ghost", group=4)], "batch_size": 12}
    assert train(task, drop_last=True, **settings).members["status"].tolist() == ["finished"]


def test_other_modules_are_left_to_the_loop():
    """Batch norm without running statistics, after a ReLU or at the output is not stacked."""
    linear, last = nn.Linear(6, 4), nn.Linear(4, 3)
    for module in (
        nn.Sequential(linear, nn.BatchNorm1d(4, momentum=None), nn.ReLU(), last),
        nn.Sequential(linear, nn.ReLU(), nn.BatchNorm1d(4), last),
        nn.Sequential(linear, nn.ReLU(), last, nn.BatchNorm1d(3)),
    ):
        assert stacking.choose(module, "cpu") == "loop"


def test_single_gradients_are_refused():
    """Examples that share statistics have no gradients of their own."""
    task = small_task(16)
    stack = stacking.stack([network(task, 0, norm="batch")], task, "stacked")
    with pytest.raises(ValueError, match="single examples"):
        stack.squared_norms()
