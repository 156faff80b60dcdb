"""What a notebook's parameters may be."""

import types
from typing import Any

import pytest

from bslib import parameters
from bslib.refusal import Refusal

GOOD: dict[str, Any] = {
    "task": "digits",
    "examples": 1_000,
    "batch_sizes": [8, 64],
    "seeds": 3,
    "device": "cpu",
}


def test_good_values_pass() -> None:
    """The values that pages use are taken."""
    parameters.check(**GOOD)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("batch_sizes", [], "empty"),
        ("batch_sizes", [0], "between 1"),
        ("batch_sizes", [-4], "between 1"),
        ("batch_sizes", [2.5], "whole number"),
        ("batch_sizes", ["many"], "whole number"),
        ("batch_sizes", "many", "list of whole numbers"),
        ("batch_sizes", "[8, 64]", "list of whole numbers"),
        ("batch_sizes", [True], "whole number"),
        ("batch_sizes", [8, 8], "twice"),
        ("batch_sizes", [8, 1_001], "more than the 1,000 examples"),
        ("learning_rates", [0.3], "takes 2 values, not 1"),
        ("learning_rates", [0.3, 1.0, 3.0], "takes 2 values, not 3"),
        ("learning_rates", 0.3, "such as [0.5,4.0]"),
        ("local_batch_sizes", [8, 16], "takes at least 3 values, not 2"),
        ("data_sizes", [100], "takes at least 2 values, not 1"),
        ("batch_sizes", "8,64", "such as [8,64], not '8,64'"),
        ("seeds", 0, "between 2"),
        ("seeds", 3.0, "whole number"),
        ("task", "imagenet", "unknown task 'imagenet'"),
        ("examples", 1_000_000, "1,200"),
        ("device", "tpu", "unknown"),
        ("device", "cuda:99", "not there"),
        ("nonsense", 1, "no rule"),
    ],
)
def test_bad_values_are_named(name: str, value: Any, says: str) -> None:
    """Each wrong value is refused in a message that names the parameter and the rule."""
    with pytest.raises(Refusal, match=name) as refusal:
        parameters.check(**{**GOOD, name: value})
    assert says in str(refusal.value)


def test_all_problems_are_told_at_once() -> None:
    """A reader with two mistakes hears of both."""
    assert len(parameters.problems({"seeds": 0, "batch_sizes": []})) == 2


def test_batch_sizes_are_bounded_by_the_tasks_data() -> None:
    """Without ``examples`` the task's own number of training examples is the bound."""
    (problem,) = parameters.problems({"task": "digits", "batch_sizes": [1_201]})
    assert "1,200" in problem


def test_beside_data_sizes_a_larger_batch_stands_for_all_data() -> None:
    """The page says so of its batch sizes; the data sizes themselves are still bounded."""
    sizes = {"task": "digits", "data_sizes": [100, 200], "batch_sizes": [8, 512]}
    assert parameters.problems(sizes) == []
    (problem,) = parameters.problems({**sizes, "data_sizes": [100, 2_000]})
    assert "1,200" in problem


def test_numbers_that_yaml_reads_as_words() -> None:
    """YAML 1.1 reads 1e-3 as a word; a float parameter takes it as the number it is."""
    assert parameters.typed("learning_rate", "1e-3") == 1e-3
    assert parameters.typed("learning_rate", 1) == 1.0
    assert parameters.typed("learning_rate", "fast") == "fast"
    assert parameters.typed("task", "1e-3") == "1e-3"


def test_rehearsal_values_obey_the_rules() -> None:
    """A rehearsal is tiny, and is accepted by the same check."""
    tiny = parameters.rehearsal({**GOOD, "steps": 4_000})
    assert tiny["steps"] == 2
    assert tiny["task"] == "digits"
    assert not parameters.problems(tiny)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Any:
    shell = types.SimpleNamespace(user_ns={"In": [""]})
    monkeypatch.setattr(parameters, "get_ipython", lambda: shell)
    return shell


def test_injected_names_that_nobody_declared_are_refused(shell: Any) -> None:
    """Papermill only warns of a misspelt name; the check cell refuses it and suggests."""
    shell.user_ns["In"] = ["seeds = 3", "# Parameters\nsedes = 4\n"]
    with pytest.raises(Refusal, match=r"'sedes' \(did you mean 'seeds'\?\)"):
        parameters.check(**GOOD)


def test_other_globals_are_ignored(shell: Any) -> None:
    """Running all cells again in one kernel works, whatever else was assigned there."""
    shell.user_ns["In"] = ["# Parameters\nseeds = 4\n", "sedes = 4", "x = 1"]
    parameters.check(**GOOD)
