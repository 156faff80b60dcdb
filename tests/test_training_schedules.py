"""Budgets, schedules and targets: when training ends and how fast it goes meanwhile."""

import math

import pytest
from training_case import mlp, small_task

from bslib.refusal import Refusal
from bslib.training import Budget, Schedule, Target, train


def run(**options):
    settings = {
        "initial": [mlp(1), mlp(2)],
        "batch_size": 8,
        "learning_rates": [0.1, 0.2],
        "seeds": [1, 2],
    }
    return train(small_task(), **settings | options)


class Ticking:
    """A clock that gains a tenth of a second whenever it is read."""

    now = 0.0

    def __call__(self):
        self.now += 0.1
        return self.now


def test_constant_is_one_throughout():
    """Without warm-up the factor is 1 from the first step to past the end."""
    assert {Schedule().factor(progress) for progress in (0.0, 0.3, 1.0, 1.2)} == {1.0}


def test_warm_up_is_linear_and_ends_at_one():
    """Half way through the warm-up the factor is a half; after it, 1."""
    schedule = Schedule("constant", warmup=0.2)
    assert [schedule.factor(p) for p in (0.0, 0.1, 0.2, 0.9)] == pytest.approx([0, 0.5, 1, 1])


def test_cosine_falls_from_one_to_zero():
    """1 at its start, a half in the middle, 0 at the end, and its mean is a half."""
    schedule = Schedule("cosine")
    assert [schedule.factor(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0])
    middles = [schedule.factor((step + 0.5) / 100) for step in range(100)]
    assert math.fsum(middles) / 100 == pytest.approx(0.5, rel=1e-12)


def test_cosine_runs_over_what_the_warm_up_leaves():
    """With half of the run for warm-up, three quarters in, the cosine is at its middle."""
    assert Schedule("cosine", warmup=0.5).factor(0.75) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("budget", "steps", "examples"),
    [
        (Budget(steps=9), 9, 66),  # an epoch is six batches of 8 and one of 2
        (Budget(examples=50), 7, 50),
        (Budget(examples=51), 8, 58),
        (Budget(examples=150), 21, 150),
        (Budget(examples=49), 7, 50),
    ],
)
def test_steps_and_examples(budget, steps, examples):
    """A budget of examples ends with the step that reaches it; ragged batches are counted."""
    members = run(budget=budget).members
    assert list(members["steps"]) == [steps] * 2
    assert list(members["examples"]) == [examples] * 2


def test_without_the_ragged_batch():
    """Left out, an epoch of 50 examples at a batch size of 8 is 48."""
    assert list(run(budget=Budget(steps=12), drop_last=True).members["examples"]) == [96, 96]


def test_seconds_are_read_from_the_clock():
    """At a tenth a reading, a second is ten steps; evaluations do not count."""
    training = run(budget=Budget(seconds=1.0), evaluate_every=4, clock=Ticking())
    # each stretch of steps reads the clock once more, at its end
    assert list(training.members["steps"]) == [8, 8]
    assert training.members["seconds"][0] == pytest.approx(1.0)
    assert list(training.history["step"].unique()) == [0, 4, 8]


def test_a_schedule_over_seconds_follows_the_clock():
    """Rate 0 at the end of a cosine over time: later steps move the weights less and less."""
    clock = Ticking()
    losses = run(
        budget=Budget(seconds=4.0), schedule="cosine", evaluate_every=1, clock=clock
    ).history.query("member == 0")["train_loss"]
    assert losses.diff().abs().iloc[-3:].max() < losses.diff().abs().iloc[1:4].min() / 5


def test_progress_reaches_its_total():
    """The callback sees steps rise to the budget, whether or not all members last as long."""
    seen = []
    run(budget=Budget(steps=10), progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {10}
    steps = [done for done, _ in seen]
    assert steps == sorted(steps)
    assert steps[-1] == 10
    seen.clear()
    run(
        budget=Budget(steps=10),
        target=Target("train_loss", 100.0),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(10, 10)]


@pytest.mark.parametrize(
    ("every", "steps"),
    [(None, [0, 10]), (4, [0, 4, 8, 10]), ([2, 3, 99], [0, 2, 3, 10]), (5, [0, 5, 10])],
)
def test_evaluations_come_when_asked(every, steps):
    """Before the first step, on the cadence or at the given steps, and at the end, once."""
    history = run(budget=Budget(steps=10), evaluate_every=every).history
    assert list(history.query("member == 1")["step"]) == steps


def test_a_target_of_accuracy_is_reached_from_below():
    """A loss is reached at or below the value, an accuracy at or above it; NaN reaches neither."""
    assert Target("train_loss", 0.5).reached(0.5)
    assert not Target("train_loss", 0.5).reached(0.6)
    assert Target("test_accuracy", 0.5).reached(0.5)
    assert not Target("test_accuracy", 0.5).reached(0.4)
    assert not Target("train_loss", 0.5).reached(math.nan)


def test_a_target_met_at_the_start_takes_no_step():
    """Steps to a target that the initial weights meet: 0."""
    training = run(budget=Budget(steps=10), target=Target("train_loss", 100.0))
    assert list(training.members["steps_to_target"]) == [0, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": {"steps": 1, "examples": 2}}, "exactly one"),
        ({"budget": {}}, "exactly one"),
        ({"budget": {"steps": 0}}, "positive"),
        ({"budget": {"seconds": math.inf}}, "finite"),
        ({"batch_size": 51}, "1 to 50"),
        ({"batch_size": 0}, "1 to 50"),
        ({"seeds": [1]}, "a member is"),
        ({"seeds": [], "learning_rates": []}, "a member is"),
        ({"learning_rates": [0.1, math.nan]}, "at least 0"),
        ({"schedule": "linear"}, "constant, cosine"),
        ({"warmup": 1.0}, "fraction"),
        ({"optimizer": "lion"}, "sgd, momentum"),
        ({"strategy": "magic"}, "stacked, vmap"),
        ({"evaluate_on": ["train", "everything"]}, "train, validation, test"),
        ({"evaluate_every": 0}, "1 step or more"),
        ({"checkpoints": [0]}, "1 step or more"),
        ({"target": Target("test_loss", 1.0)}, "evaluate_on"),
        ({"initial": [mlp(1)]}, "1 networks for 2"),
        ({"initial": [mlp(1), mlp(2, outputs=4)]}, "alike"),
        ({"memory_bytes": 1000}, "more than the 1,000"),
    ],
)
def test_refusals_name_what_is_wrong(options, words):
    """Each bad argument is refused before a step is taken, in words that show the way out."""
    options = {"budget": {"steps": 1}} | options

    def attempt():
        return run(**options | {"budget": Budget(**options["budget"])})

    with pytest.raises(Refusal, match=words):
        attempt()


def test_unknown_targets_are_refused():
    """A metric that no part of a task has is refused when the target is made."""
    with pytest.raises(Refusal, match="train_loss"):
        Target("perplexity", 1.0)
