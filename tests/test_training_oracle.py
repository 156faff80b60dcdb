"""Training against torch's own modules, autograd and optimisers, one member at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from training_case import convolutional, flat, mlp, plain_loop, small_task, warm_cosine

from bslib.training import SGD, Adam, Budget, train

STEPS = 200
RATES, SEEDS = (0.05, 0.03, 0.02), (3, 4, 5)

OPTIMIZERS: dict[str, tuple[Any, Callable[..., torch.optim.Optimizer]]] = {
    "sgd": ("sgd", lambda p, lr: torch.optim.SGD(p, lr)),
    "sgd with decay": (
        SGD(weight_decay=0.1),
        lambda p, lr: torch.optim.SGD(p, lr, weight_decay=0.1),
    ),
    "momentum": ("momentum", lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
    "momentum with decay": (
        SGD(momentum=0.8, weight_decay=0.1),
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.8, weight_decay=0.1),
    ),
    "nesterov": (
        SGD(momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "adam": ("adam", lambda p, lr: torch.optim.Adam(p, lr)),
    "adam with decay": (
        Adam(betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
        lambda p, lr: torch.optim.Adam(p, lr, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    ),
    "adamw": ("adamw", lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0.01)),
}


def assert_equal(training, task, build, make, **settings):
    for member, (rate, seed) in enumerate(zip(RATES, SEEDS, strict=True)):
        module = build(seed)
        losses = plain_loop(
            task,
            module,
            lambda parameters, rate=rate: make(parameters, rate),
            seed=seed,
            steps=STEPS,
            **settings,
        )
        # rounding is of order 1e-16 a step; a contracting training does not amplify it
        torch.testing.assert_close(
            flat(training.module(member)), flat(module), rtol=1e-10, atol=1e-10
        )
        expected = torch.tensor(losses, dtype=torch.float64)
        torch.testing.assert_close(training.batch_losses[member], expected, rtol=1e-10, atol=1e-10)


CASES = [
    *((optimizer, "stacked") for optimizer in OPTIMIZERS),
    *((optimizer, "loop") for optimizer in ("sgd", "momentum with decay", "adamw")),
    *((optimizer, "vmap") for optimizer in ("sgd", "nesterov")),
]


@pytest.mark.parametrize(("optimizer", "strategy"), CASES)
def test_each_optimizer_is_torchs(optimizer, strategy):
    """200 steps with a ragged last batch, a rate a member, warm-up and cosine: equal to 1e-10."""
    task, (ours, torchs) = small_task(), OPTIMIZERS[optimizer]
    training = train(
        task,
        initial=[mlp(seed) for seed in SEEDS],
        batch_size=8,
        learning_rates=RATES,
        seeds=SEEDS,
        optimizer=ours,
        schedule="cosine",
        warmup=0.1,
        budget=Budget(steps=STEPS),
        record_batch_loss=True,
        strategy=strategy,
    )
    assert training.strategy == strategy
    factor = warm_cosine(STEPS, 0.1)
    assert_equal(training, task, mlp, torchs, batch_size=8, factor=factor)


@pytest.mark.parametrize("batch_size", [1, 13, 50])
@pytest.mark.parametrize("regression", [False, True])
def test_batches_of_any_size(batch_size, regression):
    """Single examples, ragged epochs and the full batch; classes and values: equal to 1e-10."""
    task = small_task(regression=regression)

    def build(seed):
        return mlp(seed, outputs=1 if regression else 3)

    training = train(
        task,
        initial=[build(seed) for seed in SEEDS],
        batch_size=batch_size,
        learning_rates=RATES,
        seeds=SEEDS,
        optimizer="momentum",
        budget=Budget(steps=STEPS),
        record_batch_loss=True,
    )
    assert training.strategy == "stacked"
    make = OPTIMIZERS["momentum"][1]
    assert_equal(training, task, build, make, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [8, 50])
def test_batches_with_replacement(batch_size):
    """Drawn independently, at a batch size of all examples too: equal to 1e-10."""
    task = small_task()
    training = train(
        task,
        initial=[mlp(seed) for seed in SEEDS],
        batch_size=batch_size,
        learning_rates=RATES,
        seeds=SEEDS,
        budget=Budget(steps=STEPS),
        record_batch_loss=True,
        replacement=True,
    )
    make = OPTIMIZERS["sgd"][1]
    assert_equal(training, task, mlp, make, batch_size=batch_size, replacement=True)


def test_modules_with_buffers():
    """Batch normalisation keeps each member's running statistics as torch does."""
    task = small_task(image=True)
    training = train(
        task,
        initial=[convolutional(seed) for seed in SEEDS],
        batch_size=8,
        learning_rates=RATES,
        seeds=SEEDS,
        optimizer="sgd",
        budget=Budget(steps=STEPS),
        evaluate_every=30,
        record_batch_loss=True,
    )
    assert training.strategy == "loop"
    make = OPTIMIZERS["sgd"][1]
    assert_equal(training, task, convolutional, make, batch_size=8)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("strategy", ["stacked", "vmap", "loop"])
def test_metrics_are_means_over_the_part(part, strategy):
    """Loss and accuracy in the table are those of the returned network over all examples."""
    task = small_task()
    training = train(
        task,
        initial=[mlp(seed) for seed in SEEDS],
        batch_size=8,
        learning_rates=RATES,
        seeds=SEEDS,
        budget=Budget(steps=20),
        evaluate_on=[part],
        strategy=strategy,
    )
    examples = getattr(task, part)
    for member, row in training.members.iterrows():
        outputs = training.module(member)(examples.inputs)
        loss = task.loss(outputs, examples.targets).mean().item()
        accuracy = (outputs.argmax(1) == examples.targets).double().mean().item()
        assert row[f"{part}_loss"] == pytest.approx(loss, rel=1e-12)
        assert row[f"{part}_accuracy"] == pytest.approx(accuracy, rel=1e-12)
