"""The variance of the mini-batch gradient, against closed forms and autograd."""

import itertools

import pytest
import torch

from bslib import data, models, noise


def by_autograd(module: torch.nn.Module, task: data.Task, rows: torch.Tensor) -> torch.Tensor:
    outputs = module(task.train.inputs[rows])
    loss = task.loss(outputs, task.train.targets[rows]).mean()
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    return torch.cat([each.flatten() for each in gradients])


@pytest.mark.parametrize("name", ["digits", "linear-regression", "noisy-quadratic"])
def test_a_batch_gradient_is_the_mean_of_its_examples(name: str) -> None:
    """The mean of some rows equals autograd's gradient of those examples' mean loss."""
    task = data.load(name, examples=64, seed=0)
    module = models.build(task.model, task, seed=1)
    rows = torch.tensor([3, 14, 15, 60])
    mean = noise.per_example_gradients(module, task.train, task.loss, chunk=10)[rows].mean(dim=0)
    # Sums of a few hundred float32 products, in another order.
    torch.testing.assert_close(mean, by_autograd(module, task, rows), rtol=1e-4, atol=1e-6)


def test_batch_normalisation_is_refused() -> None:
    """Under batch norm an example has no gradient of its own."""
    task = data.load("digits", examples=16, seed=0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(64))
    with pytest.raises(ValueError, match="batch normalisation"):
        noise.per_example_gradients(module, task.train, task.loss)


def test_predicted_variance_is_exact() -> None:
    """Averaged over all batches of size B, the squared distance is the closed form."""
    gradients = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    trace = noise.centred_gram(gradients).trace().item() / 6
    for size in range(1, 7):
        batches = [list(each) for each in itertools.combinations(range(6), size)]
        means = torch.stack([gradients[batch].mean(dim=0) for batch in batches])
        exact = (means - gradients.mean(dim=0)).square().sum(dim=1).mean().item()
        (predicted,) = noise.predicted_variance(trace, [size], 6)
        assert predicted == pytest.approx(exact, rel=1e-12, abs=1e-14)


def test_weights_give_the_mean_of_a_batch() -> None:
    """Weights times the examples are the mean over the batch."""
    batches = torch.tensor([[0, 3], [4, 1]])
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    assert (noise.batch_weights(batches, 5) @ values).tolist() == [4.5, 9.0]


def test_noisy_quadratic_has_slope_minus_one_and_the_finite_population_factor() -> None:
    """Measured variance equals (tr S/B)(N - B)/(N - 1) within its standard error, and 0 at N."""
    task = data.load("noisy-quadratic", examples=256, seed=0)
    module = models.build(task.model, task, seed=0)
    generator = torch.Generator().manual_seed(1)
    sizes = [1, 4, 16, 64, 128, 192, 256]
    frame = noise.variance_at(task, module, sizes, draws=2_000, generator=generator)
    below = frame[frame["batch_size"] < 256]
    scores = (below["variance"] - below["predicted"]) / below["standard_error"]
    assert scores.abs().max() < 4
    whole = frame[frame["batch_size"] == 256]["variance"].item()
    # The squared rounding error of a mean of 256 float32 numbers, beside tr S.
    assert whole < 1e-10 * frame["trace"].iloc[0]


def test_seeds_decide_the_draws() -> None:
    """One seed gives one result, another seed another."""
    task = data.load("digits", examples=64, seed=0)

    def measure(seed: int) -> list[float]:
        frame = noise.gradient_variance(
            task, batch_sizes=[2, 8], draws=20, steps=4, learning_rate=0.05, seeds=[seed]
        )
        return frame["variance"].tolist()

    assert measure(0) == measure(0)
    assert measure(0) != measure(1)


def test_progress_runs_to_its_end() -> None:
    """The callback hears of each piece of work, and of the end."""
    task = data.load("digits", examples=32, seed=0)
    heard: list[tuple[int, int]] = []
    noise.gradient_variance(
        task,
        batch_sizes=[2],
        draws=4,
        steps=2,
        learning_rate=0.05,
        seeds=[0, 1],
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(done, 6) for done in range(7)]
