"""Tasks with a target at every position, through every way that serves their model."""

import functools

import pytest
import torch
from training_case import flat

from bslib import data, models
from bslib.training import Budget, train
from bslib.training.evaluation import PREDICTIONS, chunks_of
from bslib.training.stacking import choose

STRATEGIES = ["vmap", "loop"]


@pytest.fixture(scope="module")
def task() -> data.Task:
    whole = data.load("python-source", examples=20).to("cpu", torch.float64)
    parts = [data.Examples(part.inputs[:20, :12], part.targets[:20, :12]) for part in
             (whole.train, whole.validation, whole.test)]  # fmt: skip
    return data.Task("small", *parts, whole.loss, whole.kind, whole.classes, whole.model, "")


def run(task: data.Task, seeds: list[int], rates: list[float], strategy: str):
    build = functools.partial(models.build, "transformer", task, width=8, depth=1, heads=2)
    return train(
        task, batch_size=6, learning_rates=rates, seeds=seeds, model=build, strategy=strategy,
        budget=Budget(steps=9), evaluate_every=3, optimizer="adam", record_batch_loss=True,
    )  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_member_equals_the_same_training_alone(task: data.Task, strategy: str) -> None:
    """Three transformers side by side in float64, ragged last batch: 1e-10."""
    together = run(task, [1, 2, 3], [0.01, 0.02, 0.005], strategy)
    for member, rate in enumerate([0.01, 0.02, 0.005]):
        alone = run(task, [member + 1], [rate], strategy)
        torch.testing.assert_close(
            flat(together.module(member)), flat(alone.module(0)), rtol=1e-10, atol=1e-10
        )
        torch.testing.assert_close(together.batch_losses[member], alone.batch_losses[0])


def test_all_ways_are_one(task: data.Task) -> None:
    """Mapped and in a loop, the same trainings; without buffers the first serves by default."""
    mapped, looped = (run(task, [1, 2], [0.01, 0.02], strategy) for strategy in STRATEGIES)
    columns = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    for column in columns:
        assert mapped.members[column].tolist() == pytest.approx(looped.members[column], rel=1e-9)
    assert choose(looped.module(0), "cuda") == "vmap"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_metrics_are_means_over_positions(task: data.Task, strategy: str) -> None:
    """Loss and accuracy at the end are those of the networks returned, byte by byte."""
    trained = run(task, [1, 2], [0.01, 0.02], strategy)
    for member, row in trained.members.iterrows():
        with torch.no_grad():
            outputs = trained.module(member)(task.validation.inputs)
        loss = torch.nn.functional.cross_entropy(
            outputs.flatten(0, 1), task.validation.targets.flatten()
        )
        hits = (outputs.argmax(-1) == task.validation.targets).double().mean()
        assert row["validation_loss"] == pytest.approx(loss.item(), rel=1e-9)
        assert row["validation_accuracy"] == pytest.approx(hits.item(), rel=1e-9)


def test_long_examples_are_evaluated_fewer_at_once() -> None:
    """At most so many predictions at once, whatever their number an example; all are covered."""
    sequences = data.load("python-source", examples=1_000).train
    plain = data.load("digits").train
    for members, strategy in ((1, "vmap"), (4, "vmap"), (4, "loop")):
        chunks = chunks_of(sequences, members, strategy)
        assert sum(chunks) == 1_000
        assert max(chunks) * 64 * (1 if strategy == "loop" else members) <= PREDICTIONS
    assert chunks_of(plain, 1, "vmap") == [1_200]
