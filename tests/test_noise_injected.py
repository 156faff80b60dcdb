"""Noise injected into full-batch gradients, against its algebra, autograd and plain training."""

import itertools
import math

import pandas as pd
import pytest
import torch
from torch import Tensor

from bslib import data, models, noise
from bslib.noise import injected
from bslib.refusal import Refusal
from bslib.training import Budget, train
from bslib.training.linear_stack import LinearStack
from bslib.training.stacking import stack

N = 12


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("digits", examples=N, seed=0).to("cpu", torch.float64)


@pytest.fixture
def stacked(task: data.Task) -> LinearStack:
    modules = [models.build("mlp", task, seed=seed, width=5) for seed in (1, 2)]
    made = stack(modules, task, "stacked")
    assert isinstance(made, LinearStack)
    return made


def exact_gradients(stacked: LinearStack, task: data.Task, row: int) -> Tensor:
    return noise.per_example_gradients(stacked.module(row), task.train, task.loss)


def covariance_of_batches(gradients: Tensor, batch_size: int) -> Tensor:
    """Covariance of the mean over all batches of that size, one by one."""
    batches = itertools.combinations(range(len(gradients)), batch_size)
    means = torch.stack([gradients[list(batch)].mean(0) for batch in batches])
    return torch.cov(means.T, correction=0)


def unit_draws(count: int) -> Tensor:
    """Draws (count, count) whose second moments, averaged over them, are exactly the identity's."""
    return math.sqrt(count) * torch.eye(count, dtype=torch.float64)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 6])
def test_weights_have_the_covariance_of_a_batch(batch_size: int) -> None:
    """Weighted means have the mean and the whole covariance of the means of all batches."""
    gradients = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = injected.example_weights(unit_draws(6), batch_size)
    means = weights @ gradients / 6
    torch.testing.assert_close(means.mean(0), gradients.mean(0), rtol=1e-12, atol=1e-12)
    expected = covariance_of_batches(gradients, batch_size)
    torch.testing.assert_close(torch.cov(means.T, correction=0), expected, rtol=1e-12, atol=1e-12)


def test_without_centring_the_trace_is_wrong() -> None:
    """Weights whose draws are not centred add a^2 |g|^2 / N to the trace, as the text says."""
    generator = torch.Generator().manual_seed(0)
    gradients = 3 + torch.randn(6, 3, generator=generator, dtype=torch.float64)
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=6)), dtype=torch.float64)
    scale = 6 * (6 - 2) / (2 * (6 - 1))  # a^2 at B = 2; signs have exactly the identity's moments
    noisy = (signs * scale**0.5) @ gradients / 6
    trap = noisy.square().sum(1).mean()
    centred = (injected.example_weights(signs, 2) - 1) @ gradients / 6
    right = covariance_of_batches(gradients, 2).trace()
    torch.testing.assert_close(centred.square().sum(1).mean(), right, rtol=1e-12, atol=0)
    excess = scale * gradients.mean(0).square().sum() / 6
    torch.testing.assert_close(trap, right + excess, rtol=1e-12, atol=0)
    assert excess > right


def test_a_step_weighs_the_examples(stacked: LinearStack, task: data.Task) -> None:
    """A stack's step with a factor for each example adds their weighted mean gradient."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, N, generator=generator, dtype=torch.float64)
    into = torch.zeros_like(stacked.weights)
    stacked.bind(into, 0.0)
    with torch.no_grad():
        stacked.accumulate(None, weights, record=False)
    for row in range(2):
        expected = weights[row] @ exact_gradients(stacked, task, row) / N
        got = into[row, : len(expected)]
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 4, N])
def test_the_trace_is_that_of_all_gradients(
    stacked: LinearStack, task: data.Task, batch_size: int
) -> None:
    """The isotropic noise's variance is (tr S / B) (N - B)/(N - 1) of per-example gradients."""
    gradient = torch.zeros_like(stacked.weights)
    stacked.bind(gradient, 0.0)
    with torch.no_grad():
        stacked.accumulate(None, None, record=False)
        traces = injected.noise_trace(stacked, gradient, batch_size)
    for row in range(2):
        gradients = exact_gradients(stacked, task, row)
        trace = noise.centred_gram(gradients).trace().item() / N
        (expected,) = noise.predicted_variance(trace, [batch_size], N)
        assert traces[row].item() == pytest.approx(expected, rel=1e-10, abs=1e-14)


def run(task: data.Task, kind: str, **changes: object) -> pd.DataFrame:
    settings = {"batch_size": 3, "learning_rate": 0.1, "seeds": [1, 2], "steps": 6}
    return injected.full_batch(task, noise=kind, **(settings | changes))


@pytest.mark.parametrize("kind", [injected.EXAMPLES, injected.ISOTROPIC])
def test_without_noise_it_is_plain_training(task: data.Task, kind: str) -> None:
    """At B = N both kinds of noise vanish, and training is the engine's at each evaluation."""
    noiseless = run(task, kind, batch_size=N, evaluations=3)
    plain = train(
        task,
        batch_size=N,
        learning_rates=[0.1, 0.1],
        seeds=[1, 2],
        budget=Budget(steps=6),
        evaluate_every=2,
        model="mlp",
    ).history
    plain = plain[plain["step"] > 0].sort_values(["step", "seed"])
    for column in ("seed", "step", "train_loss", "validation_loss", "validation_accuracy"):
        assert noiseless[column].tolist() == pytest.approx(plain[column].tolist(), rel=1e-9)


@pytest.mark.parametrize("kind", [injected.EXAMPLES, injected.ISOTROPIC])
def test_one_step_has_the_variance_of_a_batch(task: data.Task, kind: str) -> None:
    """Over seeds, a step's mean squared distance from the plain one is rate^2 tr C."""
    members, rate = 1_500, 0.3
    module = models.build("linear", task, seed=0)
    stacked = stack([module] * members, task, "stacked")
    assert isinstance(stacked, LinearStack)
    gradients = exact_gradients(stacked, task, 0)
    before = stacked.weights[:, : gradients.shape[1]].clone()
    step = injected.STEPS[kind](stacked, 3, rate, range(members))
    with torch.no_grad():
        step()
    noisy = stacked.weights[:, : gradients.shape[1]] - before + rate * gradients.mean(0)
    squares = noisy.square().sum(1) / rate**2
    trace = noise.centred_gram(gradients).trace().item() / N
    (expected,) = noise.predicted_variance(trace, [3], N)
    assert abs(squares.mean() - expected) < 4 * squares.std() / members**0.5
    # the noise is unbiased: |mean|^2 has the expectation tr C / members, and few times that at most
    assert noisy.mean(0).square().sum() / rate**2 < 3 * expected / members


def test_isotropic_noise_is_even_and_stays_so(task: data.Task) -> None:
    """Each quarter of the parameters has its share of the variance, at a later step too."""
    members, rate = 600, 0.01
    module = models.build("mlp", task, seed=0, width=5)
    stacked = stack([module] * members, task, "stacked")
    assert isinstance(stacked, LinearStack)
    count = sum(each.numel() for each in module.parameters())
    step = injected.STEPS[injected.ISOTROPIC](stacked, 3, rate, range(members))
    with torch.no_grad():
        for _ in range(4):
            stacked.weights[:, :count] = torch.nn.utils.parameters_to_vector(module.parameters())
            step()
    assert stacked.weights.shape[1] > count  # rows are padded,
    assert not stacked.weights[:, count:].any()  # and noise there would count as gradient
    gradients = exact_gradients(stack([module], task, "stacked"), task, 0)
    trace = noise.centred_gram(gradients).trace().item() / N
    (expected,) = noise.predicted_variance(trace, [3], N)
    deviations = (stacked.weights[:, :count] - stacked.weights[:, :count].mean(0)) / rate
    for quarter in deviations.chunk(4, dim=1):
        share = quarter.square().sum(1) * count / quarter.shape[1]
        assert abs(share.mean() - expected) < 5 * share.std() / members**0.5 + expected / members


@pytest.mark.parametrize("kind", [injected.EXAMPLES, injected.ISOTROPIC])
def test_a_member_depends_on_its_seed_alone(task: data.Task, kind: str) -> None:
    """One seed gives one result whoever trains beside it; other seeds give others."""
    both = run(task, kind)
    alone = run(task, kind, seeds=[2])
    same = both[both["seed"] == 2]["train_loss"].tolist()
    assert alone["train_loss"].tolist() == pytest.approx(same, rel=1e-9)
    assert run(task, kind)["train_loss"].tolist() == both["train_loss"].tolist()
    assert both[both["seed"] == 1]["train_loss"].tolist() != pytest.approx(same, rel=1e-3)


def test_refusals_say_what_is_right(task: data.Task) -> None:
    """Unknown noise and a batch larger than the data are refused."""
    with pytest.raises(Refusal, match="examples, isotropic"):
        run(task, "pink")
    with pytest.raises(Refusal, match="1 to 12"):
        run(task, injected.EXAMPLES, batch_size=13)
