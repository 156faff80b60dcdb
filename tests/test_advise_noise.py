"""The noise along a training, and the critical batch size that it comes to."""

import math
from typing import Any

import numpy as np
import pandas as pd
import problem_case
import pytest
import torch
from problem_case import Clock, Counted
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from bslib.advise import Problem, noise
from bslib.advise.critical import critical, growth
from bslib.advise.noise import Noise
from bslib.data import Examples
from bslib.noise import adam_metric, exact_noise_scale
from bslib.refusal import Refusal

FEATURES = 12
# A rate at which nothing moves, so that one noise scale is right all along the path.
STILL = 1e-12


def path(steps: Any, inverse: Any, error: Any) -> pd.DataFrame:
    columns = {"step": steps, "inverse": inverse, "inverse_error": error}
    return pd.DataFrame({name: np.asarray(each, float) for name, each in columns.items()})


@pytest.mark.parametrize("batch_size", [1, 32, 10_000])
def test_noise_that_stays_is_the_critical_batch_size(batch_size: int) -> None:
    """However the looks are spaced and whatever batch is trained with."""
    looks = path([4, 8, 16, 100], [1 / 300] * 4, [1e-9] * 4)
    found = critical(looks, batch_size)
    assert found.value == pytest.approx(300, rel=1e-9)
    assert found.low == pytest.approx(300, rel=1e-5)
    assert found.high == pytest.approx(300, rel=1e-5)
    assert found.n == 4


def test_two_phases_give_the_ratio_of_fewest_examples_to_fewest_steps() -> None:
    """Phases that take n_i steps at B take n_i / (1 + B_i / B) at best, and B_i times that in
    examples; the critical batch size is the ratio of their sums."""
    steps, scales, batch_size = np.array([100.0, 700.0]), np.array([50.0, 2_000.0]), 128
    least = steps / (1 + scales / batch_size)
    wanted = (least * scales).sum() / least.sum()
    looks = path(np.cumsum(steps), 1 / scales, [1e-9, 1e-9])
    assert critical(looks, batch_size).value == pytest.approx(wanted, rel=1e-9)


def test_a_signal_not_told_from_zero_has_no_upper_end() -> None:
    """The lower end stays; with a sum below zero the value is infinite too."""
    found = critical(path([4, 8], [1e-3, 1e-3], [2e-3, 2e-3]), 32)
    assert found.value == pytest.approx(1_000)
    assert math.isinf(found.high)
    assert 0 < found.low < 1_000
    assert found.reason == "the signal is not told from zero"
    below = critical(path([4], [-1e-4], [1e-3]), 32)
    assert (below.value, below.high) == (math.inf, math.inf)
    assert below.low > 0


def test_looks_that_tell_nothing_are_refused_or_passed_over() -> None:
    """Without an error a look counts for nothing, and its steps go to the next one."""
    assert critical(path([4], [math.nan], [math.nan]), 32).value is None
    assert critical(path([4, 8], [-1.0, -1.0], [1e-6, 1e-6]), 32).value is None
    found = critical(path([4, 8], [math.nan, 1 / 70], [1.0, 1e-9]), 32)
    assert (found.value, found.n) == (pytest.approx(70, rel=1e-9), 1)


@pytest.mark.parametrize("looks", [1, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says(looks: int) -> None:
    """With errors from sixteen micro-batches, in 95 % of repeats for one look, or in more.

    Within three standard errors of 400 repeats; over several looks t's quantile is generous.
    """
    random, repeats = np.random.default_rng(looks), 400
    truth = np.geomspace(1 / 100, 1 / 400, looks)
    steps = 4.0 * 2 ** np.arange(looks)
    wanted = critical(path(steps, truth, 1e-9 * truth), 32).value
    assert wanted is not None
    held = 0
    for _ in range(repeats):
        spread = 0.15 * truth
        inverse = truth + spread * random.standard_normal(looks)
        error = spread * np.sqrt(random.chisquare(15, looks) / 15)
        found = critical(path(steps, inverse, error), 32)
        held += found.low <= wanted <= found.high
    slack = 3 * math.sqrt(0.95 * 0.05 / repeats)
    assert held / repeats >= 0.95 - slack
    assert looks > 1 or held / repeats <= 0.95 + slack


def test_growth_is_the_exponent_of_a_power_law() -> None:
    """Noise that grows as the square root of the steps has exponent 1/2; three looks tell none."""
    steps = np.array([4, 8, 16, 32, 64])
    table = pd.DataFrame({"step": steps, "noise_scale": 10.0 * np.sqrt(steps)})
    assert growth(table).value == pytest.approx(0.5, abs=1e-9)
    assert growth(table.head(3)).value is None


WHOLE = 15  # examples so few that each is a micro-batch of its own, and all are looked at


def regression(size: int = 600, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = problem_case.generator(seed)
    inputs = torch.randn(size, FEATURES, generator=generator, dtype=torch.float64)
    targets = inputs.sum(dim=1) + torch.randn(size, generator=generator, dtype=torch.float64)
    return inputs * torch.linspace(0.3, 2.0, FEATURES), targets


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets).square()


def mean_square(model: nn.Module, batch: Any) -> Tensor:
    return squares(model(batch[0]), batch[1]).mean()


def linear(**given: Any) -> Problem:
    model = nn.Linear(FEATURES, 1).double()
    with torch.no_grad():
        for each in model.parameters():
            each.fill_(0.1)
    fields = {"loss": mean_square, "dataset": TensorDataset(*regression()), "batch_size": 32}
    return problem_case.problem(model, **fields | given)


def measured(asked: Problem, *, seed: int = 0, budget_s: float = 8.0, **given: Any) -> Noise:
    held = problem_case.subject(asked, seed=seed)
    options = {"most": 10**6, "step_time_s": lambda size: 1e-3, "clock": Clock()} | given
    return noise.measure(held, budget_s=budget_s, generator=problem_case.generator(seed), **options)


def test_a_path_that_stands_still_shows_the_exact_noise_scale() -> None:
    """At weights that do not move, looks of ten seeds hold it as often as intervals at 95 % do.

    Of some sixty, at most eight miss it: more than that come once in a thousand. They take a
    part of the data, whose own noise scale is asked for.
    """
    asked = linear(optimizer=lambda each: torch.optim.SGD(each, lr=STILL))
    exact = exact_noise_scale(asked.model, Examples(*regression()), squares).estimate.value
    assert exact is not None
    missed, looked = 0, 0
    for seed in range(10):
        found = measured(asked, seed=seed)
        missed += int(((found.path["low"] > exact) | (exact > found.path["high"])).sum())
        looked += len(found.path)
        whole = found.critical_batch_size
        assert whole.low <= exact * 1.2
        assert whole.high >= exact / 1.2
        assert found.metric == "Euclidean"
    assert looked >= 40
    assert missed <= 8


def test_a_look_at_all_the_data_is_exact() -> None:
    """Taken whole, a data set shows its own noise scale to rounding, at each look."""
    data = regression(WHOLE)
    asked = linear(
        dataset=TensorDataset(*data), optimizer=lambda each: torch.optim.SGD(each, lr=STILL),
        batch_size=7,
    )  # fmt: skip
    found = measured(asked)
    exact = exact_noise_scale(asked.model, Examples(*data), squares).estimate.value
    assert found.path["noise_scale"].to_numpy() == pytest.approx(exact, rel=1e-6)
    assert (found.path["sampled"] == WHOLE).all()


def test_a_part_of_the_data_speaks_for_all_of_them() -> None:
    """With n of N examples held, by Cochran's correction from the n's own mean and spread."""
    asked = linear(optimizer=lambda each: torch.optim.SGD(each, lr=STILL))
    held = problem_case.subject(asked, most=WHOLE)
    found = noise.measure(
        held, most=600, step_time_s=lambda size: 1e-3, budget_s=2.0,
        generator=problem_case.generator(), clock=Clock(),
    )  # fmt: skip
    own = exact_noise_scale(asked.model, Examples(*held.examples), squares)
    spread = own.trace * WHOLE / (WHOLE - 1)
    signal = own.signal - spread / WHOLE + spread / 600
    wanted = spread * (1 - 1 / 600) / signal
    assert found.path["noise_scale"].to_numpy() == pytest.approx(wanted, rel=1e-6)


def test_adams_noise_is_in_adams_metric() -> None:
    """The first look is the exact noise scale in the metric of the same four steps."""
    data = regression(WHOLE)
    asked = linear(
        dataset=TensorDataset(*data), optimizer=lambda each: torch.optim.Adam(each, lr=STILL),
        batch_size=7,
    )  # fmt: skip
    found = measured(asked, budget_s=0.6)
    training = noise._Training(problem_case.subject(asked), 7, problem_case.generator(0))
    for _ in range(4):
        training.advance()
    metric = adam_metric(training.module, training.optimizer)
    examples = Examples(*data)
    exact = exact_noise_scale(training.module, examples, squares, metric=metric).estimate.value
    other = exact_noise_scale(training.module, examples, squares).estimate.value
    assert exact is not None
    assert other is not None
    assert abs(exact / other - 1) > 0.01
    assert found.metric == "Adam's"
    assert found.path["noise_scale"][0] == pytest.approx(exact, rel=1e-6)
    weights = noise._metric(training.trained, training.optimizer)
    assert weights is not None
    assert torch.equal(weights, metric)


def test_a_seed_gives_the_path_again_and_another_does_not() -> None:
    """Batches, dropout and micro-batches all follow from it."""
    asked = linear(optimizer=problem_case.adam)
    one, same, other = (measured(asked, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one.path, same.path)
    assert one.critical_batch_size == same.critical_batch_size
    assert one.path["noise_scale"].tolist() != other.path["noise_scale"].tolist()


def test_examples_are_those_that_the_loss_saw() -> None:
    """What is reported as processed is what training and looking took."""
    counted = Counted(mean_square)
    asked = linear(loss=counted)
    held = problem_case.subject(asked)
    before = counted.examples
    found = noise.measure(
        held, most=10**6, step_time_s=lambda size: 1e-3, budget_s=4.0,
        generator=problem_case.generator(), clock=Clock(),
    )  # fmt: skip
    assert found.examples == counted.examples - before


def test_training_ends_after_ten_passes_over_what_is_held() -> None:
    """However much time and however large the data set that the examples were drawn from."""
    asked = linear(batch_size=8)
    held = problem_case.subject(asked, most=40)
    found = noise.measure(
        held, most=10**6, step_time_s=lambda size: 1e-3, budget_s=1e6,
        generator=problem_case.generator(), clock=Clock(),
    )  # fmt: skip
    assert (held.held, held.size) == (40, 600)
    assert found.path["examples"].max() <= 400
    assert (found.path["sampled"] <= 40).all()


@pytest.mark.parametrize(("most", "micro"), [(3, 3), (16, 16), (100, 16)])
def test_micro_batches_are_no_larger_than_memory(most: int, micro: int) -> None:
    """Nor are the training's own batches, whatever size is in use."""
    largest = 0

    def loss(model: nn.Module, batch: Any) -> Tensor:
        nonlocal largest
        largest = max(largest, len(batch[0]))
        return mean_square(model, batch)

    asked = linear(loss=loss, batch_size=200)
    held = problem_case.subject(asked)
    largest = 0
    found = noise.measure(
        held, most=most, step_time_s=lambda size: 1e-3, budget_s=2.0,
        generator=problem_case.generator(), clock=Clock(),
    )  # fmt: skip
    assert found.micro_batch_size == micro
    assert largest == found.batch_size == most


@pytest.mark.parametrize(
    ("in_use", "size", "micro"), [(8, 600, 8), (32, 600, 32), (8, 40, 2), (None, 6, 2)]
)
def test_batch_norm_is_measured_in_batches_as_they_are_trained(
    in_use: int | None, size: int, micro: int
) -> None:
    """Over the batch in use, or less where the data do not hold sixteen, and it says so."""
    asked = problem_case.problem(
        problem_case.mlp(nn.BatchNorm1d(8)), dataset=problem_case.data(size), batch_size=in_use
    )
    found = measured(asked, budget_s=4.0)
    assert found.ghost_batch_size == found.micro_batch_size == micro


@pytest.mark.parametrize("size", [4, 5, 7, 16, 40])
def test_tiny_data_sets_are_looked_at_whole(size: int) -> None:
    """With a handful of examples the looks take all of them, one or two at a time."""
    found = measured(problem_case.problem(dataset=problem_case.data(size), batch_size=None))
    assert (found.path["sampled"] >= size - size % found.micro_batch_size).all()
    assert found.micro_batch_size <= 2


def test_a_large_model_is_sketched_and_gives_the_same_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The value from sketches is the one from whole gradients, to rounding."""
    whole = measured(linear(optimizer=problem_case.sgd), budget_s=1.0)
    monkeypatch.setattr(noise, "KEPT_WHOLE", 5)
    monkeypatch.setattr(noise, "SKETCH", 64)
    sketched = measured(linear(optimizer=problem_case.sgd), budget_s=1.0)
    assert sketched.path["noise_scale"][0] == pytest.approx(whole.path["noise_scale"][0], rel=1e-9)


def test_only_what_the_optimizer_holds_makes_noise() -> None:
    """A layer that no optimiser holds has no part in the gradients, nor in Adam's metric."""
    model = problem_case.mlp()
    asked = problem_case.problem(model, optimizer=problem_case.adam(model[2].parameters()))
    training = noise._Training(problem_case.subject(asked), 8, problem_case.generator())
    for _ in range(4):
        training.advance()
    count = sum(each.numel() for each in model[2].parameters())
    assert training.gradient(torch.arange(4)).shape == (count,)
    weights = noise._metric(training.trained, training.optimizer)
    assert weights is not None
    assert weights.shape == (count,)


def test_a_look_leaves_no_trace_in_the_training() -> None:
    """Batch norm's statistics are those of the training's own batches."""
    model = problem_case.mlp(nn.BatchNorm1d(8))
    training = noise._Training(
        problem_case.subject(problem_case.problem(model)), 8, problem_case.generator()
    )
    training.advance()
    before = [each.clone() for each in (*training.module.parameters(), *training.module.buffers())]
    training.gradient(torch.arange(8))
    after = [*training.module.parameters(), *training.module.buffers()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_too_few_examples_at_hand_are_refused_not_failed_on() -> None:
    """Where three of many could be read, batch norm trains on two, and no noise can be told."""
    asked = problem_case.problem(problem_case.mlp(nn.BatchNorm1d(8)))
    held = problem_case.subject(asked, most=3)
    with pytest.raises(Refusal, match="3 examples hold fewer than 3 micro-batches of 2"):
        noise.measure(
            held, most=96, step_time_s=lambda size: 1e-3, budget_s=2.0,
            generator=problem_case.generator(), clock=Clock(),
        )  # fmt: skip


def test_no_time_for_a_look_is_refused() -> None:
    """Where the budget ends before the fourth step there is nothing to say."""
    with pytest.raises(Refusal, match="before the noise was looked at once"):
        measured(linear(), budget_s=0.1)
