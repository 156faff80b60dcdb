"""What a training returns, and what it leaves alone."""

import functools

import pytest
import torch
from training_case import convolutional, flat, mlp, small_task

from bslib import data, models
from bslib.refusal import Refusal
from bslib.training import Budget, train


def run(**options):
    settings = {
        "batch_size": 8,
        "learning_rates": [0.1, 0.2],
        "seeds": [1, 2],
        "budget": Budget(steps=30),
    }
    if "model" not in options:
        settings["initial"] = [mlp(1), mlp(2)]
    return train(options.pop("task", None) or small_task(), **settings | options)


def test_checkpoints_are_the_networks_on_the_way():
    """At a checkpoint a member is what a shorter training leaves, and the end is another."""
    training = run(checkpoints=[10, 20])
    for step in (10, 20):
        short = run(budget=Budget(steps=step))
        assert torch.equal(flat(training.module(1, step)), flat(short.module(1)))
    assert not torch.equal(flat(training.module(1, 20)), flat(training.module(1)))


def test_a_checkpoint_that_was_not_kept_is_an_error():
    """Neither an unplanned step nor one after the member's end has a network."""
    training = run(checkpoints=[20], learning_rates=[0.1, 1e9], evaluate_every=10)
    assert training.members["status"][1] == "diverged"
    training.module(0, 20)
    for member, step in ((0, 10), (1, 20), (2, None)):
        with pytest.raises(ValueError, match="no checkpoint"):
            training.module(member, step)


def test_going_on_from_a_training():
    """From the last networks, or from a training, plain SGD goes on where it stood."""
    first = run()
    onward = run(initial=first, seeds=[11, 12])
    modules = run(initial=[first.module(0), first.module(1)], seeds=[11, 12])
    assert torch.equal(flat(onward.module(0)), flat(modules.module(0)))
    ended = first.members["train_loss"].tolist()
    assert onward.history.query("step == 0")["train_loss"].tolist() == ended


def test_networks_that_are_given_stay_as_they_are():
    """Training changes neither the given weights nor the mode, and returns networks of its own."""
    modules = [convolutional(1).eval(), convolutional(2).eval()]
    before = [flat(module) for module in modules]
    training = run(task=small_task(image=True), initial=modules)
    assert all(torch.equal(flat(m), b) for m, b in zip(modules, before, strict=True))
    assert not training.module(0).training
    with torch.no_grad():
        training.module(0)[0].weight.zero_()
    assert training.module(0)[0].weight.abs().sum() == 0
    assert training.module(1)[0].weight.abs().sum() > 0


@pytest.mark.parametrize("strategy", ["stacked", "vmap", "loop"])
def test_the_same_seeds_give_the_same_bits(strategy):
    """Twice with one seed: equal; with another: not. The global generator has not moved."""
    before = torch.get_rng_state()
    first, again = run(strategy=strategy), run(strategy=strategy)
    other = run(strategy=strategy, seeds=[1, 3])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(flat(first.module(1)), flat(again.module(1)))
    assert torch.equal(flat(first.module(0)), flat(other.module(0)))
    assert not torch.equal(flat(first.module(1)), flat(other.module(1)))


def test_gradients_stay_switched_on():
    """Autograd works as before for whoever called, and trained networks can be measured on."""
    module = run().module(0)
    module(small_task().train.inputs).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("model", [None, "mlp", functools.partial(mlp, outputs=3)])
def test_models_by_name_or_maker(model):
    """By default the task's model from each seed; a name; or a function of ``seed``."""
    task = small_task()
    training = run(model=model, task=task, learning_rates=[0.0, 0.0])
    built = model(seed=2) if callable(model) else models.build("mlp", task, seed=2)
    assert torch.equal(flat(training.module(1)), flat(built))


@pytest.mark.parametrize(
    ("module", "strategy"),
    [
        (mlp(1), "stacked"),
        (torch.nn.Linear(6, 3).double(), "vmap"),
        (torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.Tanh()).double(), "vmap"),
        (torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.ReLU()).double(), "vmap"),
        (torch.nn.Sequential(torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 3)).double(), "loop"),
    ],
)
def test_the_strategy_fits_the_module(module, strategy):
    """Hand-stacked where every layer is known; else vmap; a loop where there are buffers."""
    assert run(initial=[module, module]).strategy == strategy


def test_convolutions_are_looped_over_on_a_cpu():
    """There vmap makes grouped convolutions of them, which are slower."""
    convolution = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 6), torch.nn.Flatten()).double()
    training = run(task=small_task(image=True), initial=[convolution, convolution])
    assert training.strategy == "loop"


def test_dropout_is_refused():
    """It draws from the global generator, so that neighbours would not be independent."""
    noisy = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(6, 3)).double()
    with pytest.raises(Refusal, match="dropout"):
        run(initial=[noisy, noisy])


def test_the_noisy_quadratic_learns():
    """Its parameter vector, as a module that is no network, contracts as (1 - rate h)."""
    task = data.load("noisy-quadratic", examples=64, seed=0).to("cpu", torch.float64)
    start = models.build("quadratic", task, seed=5).double()
    training = train(
        task,
        batch_size=64,
        learning_rates=[0.5],
        seeds=[5],
        initial=[start],
        budget=Budget(steps=10),
    )
    assert training.strategy == "vmap"
    center = task.train.inputs.mean(0)
    shrunk = (1 - 0.5 * task.loss.curvature) ** 10 * (start.theta - center)
    torch.testing.assert_close(training.module(0).theta - center, shrunk, rtol=1e-10, atol=1e-12)
    assert "train_accuracy" not in training.history
