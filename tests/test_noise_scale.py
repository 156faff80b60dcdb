"""The statistics of the gradient noise scale, on noisy quadratics whose answer is known."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binom

from bslib import data, models, noise, stats
from bslib.data import noisy_quadratic
from bslib.stats import Estimate

# The noisy quadratic's curvature h and gradient variance c, and its model's initial weights.
H = noisy_quadratic.curvature().double().numpy()
C = noisy_quadratic.gradient_variance().double().numpy()
TASK = data.load("noisy-quadratic", examples=2, seed=0)
START = models.build("quadratic", TASK, seed=0).theta.detach().double().numpy()  # type: ignore[union-attr,operator]


def mean_gradient(steps: int) -> np.ndarray:
    """G after so many steps of gradient descent with learning rate 0.5."""
    return H * START * (1 - 0.5 * H) ** steps


def truth(steps: int) -> float:
    return C.sum() / (mean_gradient(steps) ** 2).sum()


def gram(steps: int, count: int, size: int, seed: int) -> np.ndarray:
    """Inner products of ``count`` gradients of micro-batches of ``size`` fresh examples."""
    normal = np.random.default_rng(seed).standard_normal((count, len(C)))
    gradients = mean_gradient(steps) + normal * np.sqrt(C / size)
    return gradients @ gradients.T


def estimates(steps: int, count: int, times: float, repeats: int = 400) -> list[Estimate]:
    """Repeats with ``count`` micro-batches that hold about ``times`` B_simple examples in all."""
    size = max(1, round(times * truth(steps) / count))
    grams = (gram(steps, count, size, seed) for seed in range(repeats))
    return [noise.noise_scale(noise.of_gram(each, size)) for each in grams]


def median_error(found: list[Estimate], wanted: float) -> float:
    return float(np.median([abs(each.value / wanted - 1) for each in found if each.value]))


@pytest.mark.parametrize("steps", [5, 50, 100])
def test_ten_noise_scales_of_examples_give_the_value_within_an_eighth(steps: int) -> None:
    """At ten times B_simple examples the median error is at most 0.12, from five steps on."""
    assert median_error(estimates(steps, 32, 10), truth(steps)) <= 0.12


def deviation(steps: int, times: float) -> float:
    """Relative standard error of |G|^2 from times B examples, the formula that is documented."""
    G, count = mean_gradient(steps), times * truth(steps)
    squared = (G**2).sum()
    return math.sqrt(4 * (G**2 @ C) / (count * squared**2) + 2 * (C @ C) / (count * squared) ** 2)


@pytest.mark.parametrize("steps", [5, 50])
@pytest.mark.parametrize("times", [10, 40])
def test_the_error_is_the_documented_formula(steps: int, times: float) -> None:
    """The spread of 1/B over repeats is that of |G|^2, plus that of tr S where it counts."""
    found = estimates(steps, 64, times)
    inverses = np.array([truth(steps) / each.value for each in found if each.value])
    of_trace = 2 * (C @ C) / C.sum() ** 2 / 63  # (tr S)'s relative variance, 63 degrees
    wanted = math.sqrt(deviation(steps, times) ** 2 + of_trace)
    # The standard deviation of 400 values is known to 3.5 %, and first order leaves out more.
    assert inverses.std() == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("steps", [0, 5, 50])
@pytest.mark.parametrize("count", [16, 64])
@pytest.mark.parametrize("times", [2.6, 41])
def test_intervals_hold_the_truth(steps: int, count: int, times: float) -> None:
    """Coverage of 95 % intervals over 400 repeats is nowhere significantly outside 0.93-0.985."""
    found = estimates(steps, count, times)
    hits = sum(each.low <= truth(steps) <= each.high for each in found)
    assert binom.ppf(0.001, 400, 0.93) <= hits <= binom.ppf(0.999, 400, 0.985), hits / 400


def test_an_interval_is_the_jackknife_of_the_gram_matrix() -> None:
    """The same as statistics of each k - 1 rows and columns, one at a time, then inverted."""
    matrix, size = gram(5, 16, 20, seed=3), 20

    def inverse(rows: np.ndarray) -> float:
        kept, count = matrix[np.ix_(rows, rows)], len(rows)
        signal = (kept.sum() - np.trace(kept)) / (count * (count - 1))
        return signal / (size * (np.trace(kept) / count - signal))

    expected = stats.jackknife(inverse, np.arange(16))
    found = noise.noise_scale(noise.of_gram(matrix, size))
    assert found.value == pytest.approx(1 / inverse(np.arange(16)), rel=1e-12)
    assert 1 / found.high == pytest.approx(expected.low, rel=1e-9)
    assert 1 / found.low == pytest.approx(expected.high, rel=1e-9)
    assert found.n == 16
    wider = found.at(0.999)
    assert wider.low == pytest.approx(1 / expected.at(0.999).high, rel=1e-9)


def test_the_upper_end_is_at_least_where_no_signal_is_seen() -> None:
    """Without signal the interval reaches to infinity and says why; the value may be infinite."""
    found = [noise.noise_scale(noise.of_gram(gram(2_000, 16, 1, seed), 1)) for seed in range(40)]
    ended = [each for each in found if each.high < math.inf]
    assert len(ended) <= 6  # 2.5 % of 40 are one; more than six have a chance below 1 in 10,000
    unbounded = [each for each in found if each.value is not None and each.high == math.inf]
    assert all(each.reason == "the signal is not told from zero" for each in unbounded)
    assert any(each.value == math.inf and each.low > 0 for each in unbounded)


def test_what_cannot_be_estimated_is_refused() -> None:
    """No noise, values that are not finite, too few micro-batches: a reason, or an error."""
    alike = noise.noise_scale(noise.of_gram(np.ones((4, 4)), 8))
    assert (alike.value, alike.reason) == (None, "the gradients do not differ: no noise")
    broken = np.eye(4)
    broken[0, 0] = np.nan
    assert "not finite" in noise.noise_scale(noise.of_gram(broken, 8)).reason
    two = noise.noise_scale(noise.of_gram([[2, 1], [1, 2]], 1))
    assert (two.value, two.low, two.high) == (1.0, 0.0, math.inf)
    with pytest.raises(ValueError, match="two micro-batches or more, not 1"):
        noise.of_gram([[1.0]], 8)
    with pytest.raises(ValueError, match="more than the population of 31"):
        noise.of_gram(np.eye(4), 8, population=31)


def test_two_batch_sizes_are_the_same_statistic() -> None:
    """A3 with b = m, the mean of |g_j|^2, and B = k m, |mean g|^2, is the pooled statistic."""
    matrix = gram(5, 16, 20, seed=1)
    small, big = (20, float(np.trace(matrix)) / 16), (320, float(matrix.mean()))
    found = noise.two_batch(small, big)
    assert found == pytest.approx(noise.of_gram(matrix, 20).signal_and_trace(), rel=1e-9)
    with pytest.raises(ValueError, match="larger than the small one"):
        noise.two_batch(big, small)


def pairs_of_batches() -> Iterator[tuple[float, float]]:
    """A3's setting: d = 200, isotropic noise of deviation 3, B_simple 1,800, sizes 4 and 64."""
    generator = np.random.default_rng(0)
    G = np.full(200, 1 / math.sqrt(200))
    for _ in range(5_000):
        small, big = (G + 3 * generator.standard_normal(200) / math.sqrt(size) for size in (4, 64))
        yield noise.two_batch((4, small @ small), (64, big @ big))


def test_the_mean_of_ratios_is_no_estimate() -> None:
    """A3: the ratio of means finds 1,800 within its error; means of ratios do not settle."""
    signals, traces = np.array(list(pairs_of_batches())).T
    error = signals.std() / math.sqrt(5_000) / signals.mean()
    assert abs(1_800 / (traces.mean() / signals.mean()) - 1) < 4 * error
    assert (signals < 0).mean() > 0.3
    ratios = traces / signals
    assert np.median(ratios) < 900
    blocks = ratios.reshape(10, 500).mean(axis=1)
    ratios_of_means = traces.reshape(10, 500).mean(axis=1) / signals.reshape(10, 500).mean(axis=1)
    assert blocks.std() > max(1_800, 4 * ratios_of_means.std())


def test_pooling_steps_takes_the_ratio_of_means() -> None:
    """Steps with weights of their own: mean tr S over mean |G|^2, a step left out at a time."""
    steps = [noise.of_gram(gram(5, 4, 20, seed), 20) for seed in range(30)]
    signals, traces = np.array([each.signal_and_trace() for each in steps]).T
    found = noise.pooled(steps)
    assert found.value == pytest.approx(traces.mean() / signals.mean(), rel=1e-12)
    rows = np.stack([signals, traces], axis=1)
    expected = stats.jackknife(lambda kept: kept[:, 0].sum() / kept[:, 1].sum(), rows)
    assert 1 / found.high == pytest.approx(expected.low, rel=1e-9)
    assert found.n == 30
    assert found.low < truth(5) < found.high


@pytest.mark.parametrize("size", [1, 2])
def test_without_replacement_is_unbiased_for_the_population(size: int) -> None:
    """Averaged over all ways to draw, signal and trace are those of the six examples."""
    examples = np.random.default_rng(0).standard_normal((6, 3)) + 0.3
    G = examples.mean(axis=0)
    trace = ((examples - G) ** 2).sum() / 6
    found = []
    for order in itertools.permutations(range(6), 2 * size):
        batches = examples[np.array(order).reshape(2, size)].mean(axis=1)
        moments = noise.of_gram(batches @ batches.T, size, population=6)
        found.append(moments.signal_and_trace())
    assert np.mean(found, axis=0) == pytest.approx([G @ G, trace], rel=1e-9)


def test_all_examples_one_by_one_give_the_exact_value() -> None:
    """Micro-batches of one that use a population up leave nothing to chance."""
    examples = np.random.default_rng(1).standard_normal((40, 5)) + 0.3
    G = examples.mean(axis=0)
    found = noise.of_gram(examples @ examples.T, 1, population=40).signal_and_trace()
    trace = ((examples - G) ** 2).sum() / 40
    assert found == pytest.approx((G @ G, trace), rel=1e-9)
