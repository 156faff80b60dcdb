"""The roughness of loss curves, on curves whose roughness is known."""

import pytest
import torch

from bslib import data, noise


def white(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_roughness_of_white_noise_is_its_standard_deviation() -> None:
    """White noise of sd 3 on a steep line reads 3, within the estimator's standard error."""
    length = 20_000
    series = 3 * white(length) + torch.linspace(50, -50, length, dtype=torch.float64)
    # Relative variance of the mean square of pseudo-residuals: 35/18 over T (Gasser et al.).
    assert noise.roughness(series).item() == pytest.approx(3, rel=4 * (35 / 18 / length) ** 0.5 / 2)


def test_a_straight_line_has_no_roughness() -> None:
    """A trend alone is not noise."""
    assert noise.roughness(torch.arange(50.0)).item() == pytest.approx(0, abs=1e-6)


def test_too_short_a_series_has_no_roughness() -> None:
    """Fewer than three entries say nothing, and that is not zero."""
    assert noise.roughness(torch.zeros(2)).isnan()


def test_windows_average_whole_windows_only() -> None:
    """Means of consecutive windows, the ragged end left out."""
    assert noise.window_means(torch.arange(7.0), 3).tolist() == [1.0, 4.0]


def test_sampling_sd_matches_drawn_batches() -> None:
    """The closed form is the sd of the mean loss over random batches at frozen weights."""
    losses = white(100).exp()
    generator = torch.Generator().manual_seed(1)
    batches = torch.rand(20_000, 100, generator=generator).argsort(dim=1)[:, :20]
    drawn = losses[batches].mean(dim=1).std().item()
    assert noise.sampling_sd(losses, 20) == pytest.approx(drawn, rel=4 / (2 * 20_000) ** 0.5)
    assert noise.sampling_sd(losses, 100) == 0


@pytest.fixture(scope="module")
def curves() -> noise.LossCurves:
    task = data.load("linear-regression", examples=8_192, seed=0)
    return noise.loss_curves(
        task, batch_sizes=[4, 32], learning_rate=0.02, steps=4_000, seeds=[0, 1, 2], evaluations=128
    )


def test_one_row_a_run(curves: noise.LossCurves) -> None:
    """Two rules, two batch sizes, three seeds: twelve rows, every number finite."""
    columns = ["displayed_sd", "windowed_sd", "full_sd", "predicted_sd"]
    assert len(curves.noise) == 12
    assert curves.noise[columns].notna().all().all()


def test_rules_agree_at_the_smallest_batch(curves: noise.LossCurves) -> None:
    """At B0 both rules are the same run, so the same numbers come out."""
    smallest = curves.noise[curves.noise["batch_size"] == 4].set_index("rule")
    fixed, scaled = smallest.loc[noise.FIXED], smallest.loc[noise.SCALED]
    assert fixed["full_sd"].tolist() == scaled["full_sd"].tolist()


def test_scaled_runs_see_as_many_examples_at_every_size(curves: noise.LossCurves) -> None:
    """Under the scaled rule learning rate times steps is equal, so examples are too."""
    scaled = curves.curves[curves.curves["rule"] == noise.SCALED]
    ends = scaled.groupby("batch_size")["examples"].max()
    assert ends[4] == ends[32]


def test_least_squares_noise_follows_its_closed_form(curves: noise.LossCurves) -> None:
    """Displayed noise is what sampling predicts; full-loss noise falls as B at a fixed rate.

    The excess loss of least squares at a small rate is proportional to rate over batch size
    (its stationary law has this as its only scale), so eight times the batch divides its
    standard deviation by eight at a fixed rate, and leaves it under the scaled rule. An epoch
    must outlast the relaxation (50 steps), or drawing without replacement cancels noise too.
    """
    mean = curves.noise.drop(columns="seed").groupby(["rule", "batch_size"]).mean()
    fixed, scaled = mean.loc[noise.FIXED], mean.loc[noise.SCALED]
    assert fixed["displayed_sd"][32] == pytest.approx(fixed["predicted_sd"][32], rel=0.25)
    assert 4 < fixed["full_sd"][4] / fixed["full_sd"][32] < 16
    assert 0.5 < scaled["full_sd"][4] / scaled["full_sd"][32] < 2
