"""Sweeps over data sizes: what seeds draw, where targets lie, and what memory a step takes."""

import math

import pandas as pd
import pytest
import torch

from bslib import memory, models
from bslib.refusal import Refusal
from bslib.scaling import data_exponents, data_sizes, drawn_data
from bslib.scaling.data_sizes import COMMON, OWN
from bslib.scaling.drawn_data import Trainings

SETTINGS = {
    "task": "digits",
    "data_sizes": [60, 240],
    "batch_sizes": [4, 16, 64, 512],
    "target_share": 0.7,
    "options": {"width": 16, "depth": 1},
}


@pytest.fixture(scope="module")
def swept() -> dict[str, pd.DataFrame]:
    return data_sizes.sweep(seeds=4, seed=5, **SETTINGS)


def test_every_size_is_trained_to_both_targets(swept: dict[str, pd.DataFrame]) -> None:
    """Four reruns at each batch size, data size and target; a batch larger than the data is all."""
    reruns = swept["runs"].query("role == 'rerun'")
    assert set(reruns["seed"]) == {1005, 1006, 1007, 1008}
    counts = reruns.groupby(["target", "data_size", "batch_size"]).size()
    assert set(counts) == {4}
    for target in (COMMON, OWN):
        assert [key[1:] for key in counts.index if key[0] == target] == [
            (60, 4), (60, 16), (60, 60), (240, 4), (240, 16), (240, 64), (240, 240)
        ]  # fmt: skip
    assert set(swept["winners"]["outcome"]) == {"tuned"}


def test_targets_lie_between_guessing_and_the_best(swept: dict[str, pd.DataFrame]) -> None:
    """A target is that share of the way from ln 10; the smallest size's is the common one."""
    table = swept["targets"].set_index(["data_size", "target"])
    for size in (60, 240):
        best, own = table.loc[(size, OWN)]
        assert own == pytest.approx(math.log(10) - 0.7 * (math.log(10) - best))
        assert table.loc[(size, COMMON), "target_loss"] == table.loc[(60, OWN), "target_loss"]
    assert table.loc[(240, OWN), "best_loss"] < table.loc[(60, OWN), "best_loss"]


def test_the_smallest_size_has_one_target(swept: dict[str, pd.DataFrame]) -> None:
    """There, both targets are the same trainings; at a larger size the common one is sooner."""
    reruns = swept["runs"].query("role == 'rerun'")
    columns = ["batch_size", "seed", "learning_rate", "steps_to_target"]
    small = [reruns[(reruns["data_size"] == 60) & (reruns["target"] == each)][columns]
             for each in (COMMON, OWN)]  # fmt: skip
    pd.testing.assert_frame_equal(*(each.reset_index(drop=True) for each in small))
    large = reruns[reruns["data_size"] == 240].pivot_table(
        index="batch_size", columns="target", values="steps_to_target"
    )
    assert (large[COMMON] < large[OWN]).all()


def test_a_sweep_is_the_same_twice_and_leaves_the_generator_alone() -> None:
    """One seed gives equal tables, another other steps."""
    state = torch.get_rng_state()
    few = SETTINGS | {"batch_sizes": [8, 60], "data_sizes": [60]}
    first, again, other = (data_sizes.sweep(seeds=2, seed=seed, **few) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first["runs"], again["runs"])
    assert not first["runs"]["steps_to_target"].equals(other["runs"]["steps_to_target"])
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_draw_nested_data() -> None:
    """A seed's smaller set is the start of its larger one; another seed's is another."""
    draws = drawn_data.Draws("digits", 1_200, "cpu")
    small, large, other = draws(50, 1), draws(200, 1), draws(50, 2)
    assert torch.equal(large.train.inputs[:50], small.train.inputs)
    assert torch.equal(large.train.targets[:50], small.train.targets)
    assert not torch.equal(other.train.inputs, small.train.inputs)
    assert torch.equal(other.validation.inputs, small.validation.inputs)
    assert draws.guess == pytest.approx(math.log(10))


def test_a_target_that_untrained_networks_meet_is_none() -> None:
    """It counts as missed, and no batch size is compared on it."""
    draws = drawn_data.Draws("digits", 60, "cpu")
    trainings = Trainings(lambda seed: draws(60, seed), "sgd", {"width": 8, "depth": 1})
    trainings.target_loss = 100.0
    members = trainings(batch_size=8, learning_rates=[0.1], seeds=[0], most_examples=100).members
    assert members["steps_to_target"].isna().all()


def test_what_is_known_is_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An easier target is read from the curves; a harder one, or more patience, is trained."""
    calls = []
    train = drawn_data.training.train

    def counted(*positional, **named):
        calls.append(named["learning_rates"])
        return train(*positional, **named)

    monkeypatch.setattr(drawn_data.training, "train", counted)
    draws = drawn_data.Draws("digits", 60, "cpu")
    trainings = Trainings(lambda seed: draws(60, seed), "sgd", {"width": 8, "depth": 1})
    asked = {"batch_size": 8, "learning_rates": [0.1, 0.2], "seeds": [0, 0]}
    trainings.target_loss = 1.5
    hard = trainings(**asked, most_examples=math.inf).members["steps_to_target"]
    trainings.target_loss = 2.0
    easy = trainings(**asked, most_examples=100).members["steps_to_target"]
    assert calls == [[0.1, 0.2]]
    assert (easy < hard).all()
    trainings.target_loss = 0.0
    trainings(**asked, most_examples=100)
    trainings(**asked, most_examples=100)
    trainings(**asked, most_examples=200)
    assert len(calls) == 3


def test_tasks_without_classes_are_refused() -> None:
    """Where guessing has no loss there is no way from it."""
    with pytest.raises(Refusal, match="guessing no loss"):
        data_sizes.sweep(seeds=2, **SETTINGS | {"task": "linear-regression", "options": {}})


def test_a_steps_memory_is_measured_without_the_data() -> None:
    """The peak is the instrument's own for a step of that size, and the data grow by their rows."""
    table = data_sizes.step_memory("digits", [64, 256, 1024], 64)
    draws = drawn_data.Draws("digits", 64, "cpu")
    task = draws(64, 0)
    step = memory.training_step(task, models.build(task.model, task, seed=0))
    expected = memory.timeline(step, 64).peak_bytes
    assert list(table["peak_bytes"]) == [expected] * 3
    assert list(table["data_bytes"]) == [size * (64 * 4 + 8) for size in (64, 256, 1024)]
    assert data_exponents.arms(
        pd.DataFrame(
            {"target": [], "role": [], "data_size": [], "seed": [], "steps_to_target": []}
        ),
        pd.DataFrame({"target": [], "outcome": []}),
        table,
    )[data_exponents.MEMORY].value == pytest.approx(0, abs=1e-12)
