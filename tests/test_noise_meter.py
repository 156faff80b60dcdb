"""Collecting micro-batch gradients, sketching them, and measuring the noise scale of a model."""

import math

import pytest
import torch
from torch import nn

from bslib import data, models, noise
from bslib.noise import MicroBatches
from bslib.noise.gradient_variance import trained_checkpoints
from bslib.refusal import Refusal
from bslib.stats import Estimate


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradients(count: int = 12, size: int = 30) -> torch.Tensor:
    signal = torch.randn(size, generator=generator(1), dtype=torch.float64) / 3
    return signal + torch.randn(count, size, generator=generator(2), dtype=torch.float64)


def collected(rows: torch.Tensor, **options: object) -> MicroBatches:
    collector = MicroBatches(8, **options)  # type: ignore[arg-type]
    for row in rows:
        collector.add(row)
    return collector


def assert_same(found: noise.Moments, wanted: noise.Moments) -> None:
    assert found.micro_batch_size == wanted.micro_batch_size
    assert found.squared_norms == pytest.approx(wanted.squared_norms, rel=1e-9)
    assert found.row_sums == pytest.approx(wanted.row_sums, rel=1e-9, abs=1e-9)


def test_collected_moments_are_the_gram_matrixs() -> None:
    """One gradient at a time gives what the whole Gram matrix gives."""
    rows = gradients()
    assert_same(collected(rows).moments(), noise.of_gram(rows @ rows.T, 8))


def test_layers_sum_to_the_whole() -> None:
    """Each layer's moments are those of its columns; signal and trace add up."""
    rows = gradients()
    layers = collected(rows, layers={"first": 10, "second": 20}).by_layer()
    part = rows[:, 10:]
    assert_same(layers["second"], noise.of_gram(part @ part.T, 8))
    parts = [each.signal_and_trace() for each in layers.values()]
    whole = noise.of_gram(rows @ rows.T, 8).signal_and_trace()
    assert tuple(map(sum, zip(*parts, strict=True))) == pytest.approx(whole, rel=1e-9)


def test_accumulated_sums_are_taken_apart() -> None:
    """What accumulation leaves in .grad, after each micro-batch, gives the same moments."""
    rows = gradients()
    collector = MicroBatches(8)
    for total in rows.cumsum(dim=0):
        collector.add_accumulated(total)
    assert_same(collector.moments(), collected(rows).moments())


def test_accumulation_on_a_module_is_the_same_as_gradients_of_its_own() -> None:
    """Backward passes into .grad, read after each, are the micro-batches' gradients."""
    task = data.load("digits", examples=32, seed=0).to("cpu", torch.float64)
    module = models.build("mlp", task, seed=0).double()
    each = noise.per_example_gradients(module, task.train, task.loss).reshape(4, 8, -1).mean(dim=1)
    accumulating = MicroBatches(8, layers=noise.layer_sizes(module))
    for rows in torch.arange(32).split(8):
        part = task.train.subset(rows)
        task.loss(module(part.inputs), part.targets).mean().backward()
        accumulating.add_accumulated(noise.flat_gradient(module))
    assert_same(accumulating.moments(), collected(each).moments())


def test_collectors_of_ranks_merge() -> None:
    """Two ranks' collectors, with sketches or without, are one of all their micro-batches."""
    rows = gradients()
    for options in ({}, {"sketch_width": 7, "seed": 3}):
        first, second = collected(rows[:5], **options), collected(rows[5:], **options)
        first.merge(second)
        assert_same(first.moments(), collected(rows, **options).moments())
    with pytest.raises(ValueError, match="differ in sketch_width: 7, None"):
        first.merge(collected(rows))
    with pytest.raises(ValueError, match="nothing to merge"):
        first.merge(MicroBatches(8, sketch_width=7, seed=3, layers={"all": 30}))


def test_halving_joins_neighbours() -> None:
    """Pairs become micro-batches of twice the size, their mean gradients kept exactly."""
    rows = gradients()
    collector = collected(rows)
    collector.halve()
    joined = rows.reshape(6, 2, -1).mean(dim=1)
    assert_same(collector.moments(), noise.of_gram(joined @ joined.T, 16))
    collector.add(rows[0])
    with pytest.raises(ValueError, match="even number"):
        collector.halve()


def test_a_sketch_keeps_inner_products_with_the_variance_it_says() -> None:
    """Over 4,000 seeds: unbiased, with variance (|x|^2 |y|^2 + <x,y>^2 - 2 sum x^2 y^2) / width."""
    x, y = gradients(2)
    products = torch.stack(
        [(sketch(x) * sketch(y)).sum() for sketch in map(sketch_of, range(4_000))]
    )
    variance = (x @ x) * (y @ y) + (x @ y) ** 2 - 2 * (x**2 * y**2).sum()
    error = (variance / 5 / 4_000).sqrt()
    assert abs(products.mean() - x @ y) < 4 * error
    # The variance of 4,000 values is known to 2.2 % where they are normal; sketches have a
    # little heavier tails.
    assert products.var() == pytest.approx(variance.item() / 5, rel=0.12)


def sketch_of(seed: int) -> noise.CountSketch:
    return noise.CountSketch([30], 5, seed)


def test_a_sketch_sums_each_layer_apart() -> None:
    """A layer's buckets hold nothing of another layer; one bucket holds all, with signs."""
    sketch = noise.CountSketch([2, 3], 1, seed=0)
    found = sketch(torch.tensor([1.0, 10, 100, 1_000, 10_000], dtype=torch.float64))
    assert found.shape == (2, 1)
    assert abs(found[0, 0]) in (9, 11)
    assert abs(found[1, 0]) in (9_100, 9_900, 10_900, 11_100, 8_900)
    with pytest.raises(ValueError, match="at least one number"):
        noise.CountSketch([2], 0, seed=0)


def test_a_sketched_value_is_exact_and_its_interval_wider_as_derived() -> None:
    """The value is that of whole gradients; row sums err by the sketch's variance, no more."""
    rows, width = gradients(16, 200), 50
    exact = collected(rows).moments()
    sketched = [collected(rows, sketch_width=width, seed=seed).moments() for seed in range(300)]
    for each in sketched[:5]:
        assert each.signal_and_trace() == pytest.approx(exact.signal_and_trace(), rel=1e-9)
    errors = torch.stack([torch.from_numpy(each.row_sums - exact.row_sums) for each in sketched])
    variances = row_sum_variances(rows, width)
    # 300 seeds of 16 rows that depend on each other: the mean square is known to some 6 %.
    assert errors.square().mean() == pytest.approx(variances.mean().item(), rel=0.2)
    assert (errors.mean(dim=0).abs() < 4.5 * (variances / 300).sqrt()).all()
    plain = noise.noise_scale(exact)
    widths = [length(noise.noise_scale(each)) for each in sketched]
    ratio = sum(each**2 for each in widths) / 300 / length(plain) ** 2
    assert ratio == pytest.approx(1 + addition(exact, variances), rel=0.1)


def row_sum_variances(rows: torch.Tensor, width: int) -> torch.Tensor:
    """The variances of sketched row sums <g_j, o_j>, o_j the sum of the others, less their mean.

    Two sketched products <x, y> and <u, v> have the covariance
    (<x, u><y, v> + <x, v><y, u> - 2 sum x y u v) / width.
    """
    others, count = rows.sum(dim=0) - rows, len(rows)
    both = rows * others
    covariance = (rows @ rows.T) * (others @ others.T) + (rows @ others.T) * (others @ rows.T)
    centring = torch.eye(count, dtype=rows.dtype) - 1 / count
    return (centring @ (covariance - 2 * both @ both.T) @ centring).diagonal() / width


def length(found: Estimate) -> float:
    """The length of the interval of 1 / B."""
    return 1 / found.low - 1 / found.high


def addition(moments: noise.Moments, variances: torch.Tensor) -> float:
    """The sketch's share of the jackknife's variance, from the variances of the row sums.

    A row sum moves the |G|^2 that leaves its row out by 2 / ((k - 1)(k - 2)), and 1 / B by so
    much over tr S and (1 + m / B) more, since tr S gives up m times what |G|^2 takes.
    """
    count, (signal, trace) = len(moments), moments.signal_and_trace()
    signals, traces = moments.left_out()
    own = ((signals / traces - (signals / traces).mean()) ** 2).sum()
    lever = 2 / ((count - 1) * (count - 2)) / trace * (1 + 8 * signal / trace)
    return float(variances.sum() * lever**2 / own)


def test_the_metric_weighs_squares() -> None:
    """In the metric w a squared norm is sum w g^2."""
    rows, weights = gradients(), torch.rand(30, generator=generator(), dtype=torch.float64)
    found = collected(rows, metric=weights).moments()
    assert_same(found, noise.of_gram((rows * weights) @ rows.T, 8))


def test_adams_metric_is_that_of_its_own_step() -> None:
    """Where momentum is off, the step over the learning rate is the metric times the gradient."""
    module = nn.Linear(6, 3).double()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1, betas=(0.0, 0.9), eps=1e-3)
    for seed in range(3):
        optimizer.zero_grad()
        inputs = torch.randn(4, 6, generator=generator(seed), dtype=torch.float64)
        module(inputs).square().sum().backward()
        before = torch.cat([each.detach().flatten() for each in module.parameters()])
        optimizer.step()
    step = before - torch.cat([each.detach().flatten() for each in module.parameters()])
    metric = noise.adam_metric(module, optimizer)
    torch.testing.assert_close(metric * noise.flat_gradient(module), step / 0.1)


def test_a_metric_without_second_moments_is_refused() -> None:
    """SGD has none, and Adam has none before its first step."""
    module = nn.Linear(2, 1)
    with pytest.raises(Refusal, match="SGD holds no second moment of 'weight'"):
        noise.adam_metric(module, torch.optim.SGD(module.parameters(), lr=0.1))
    with pytest.raises(Refusal, match="make a step"):
        noise.adam_metric(module, torch.optim.AdamW(module.parameters()))


@pytest.fixture(scope="module")
def task() -> data.Task:
    return data.load("mnist1d", examples=1_000, seed=0)


@pytest.fixture(scope="module")
def module(task: data.Task) -> nn.Module:
    return models.build("mlp", task, seed=0, width=32)


def measured(
    task: data.Task, module: nn.Module, seed: int = 0, **options: object
) -> noise.NoiseScale:
    return noise.measure_noise_scale(
        module,
        task.train,
        task.loss,
        generator=generator(seed),
        **options,  # type: ignore[arg-type]
    )


def test_the_exact_value_lies_inside_the_interval(task: data.Task, module: nn.Module) -> None:
    """On a small network the full data's noise scale is inside, for the whole and each layer."""
    exact = noise.exact_noise_scale(module, task.train, task.loss, chunk=300)
    found = noise.measure_noise_scale(
        module, task.train, task.loss, generator=generator(), replacement=True, level=0.99
    )
    assert exact.estimate.value is not None
    assert found.estimate.low <= exact.estimate.value <= found.estimate.high
    assert list(found.layers) == ["1", "3", "5"]
    for name, layer in found.layers.items():
        value = exact.layers[name].value
        assert value is not None
        assert layer.at(0.9999).low <= value <= layer.at(0.9999).high


def test_the_exact_value_is_that_of_all_gradients(task: data.Task, module: nn.Module) -> None:
    """Streamed in ragged chunks it is tr S / |G|^2 of the stacked per-example gradients."""
    few = task.train.subset(torch.arange(100))
    each = noise.per_example_gradients(module, few, task.loss).double()
    trace = each.var(dim=0, correction=0).sum().item()
    found = noise.exact_noise_scale(module, few, task.loss, chunk=32)
    # The gradients are of float32: some 1e-6 of the sums.
    assert found.estimate.value == pytest.approx(
        trace / each.mean(dim=0).square().sum().item(), rel=1e-5
    )
    assert found.trace == pytest.approx(trace, rel=1e-5)
    weights = torch.rand(each.shape[1], generator=generator())
    found = noise.exact_noise_scale(module, few, task.loss, metric=weights)
    wanted = (each.var(dim=0, correction=0) @ weights.double()).item()
    assert found.trace == pytest.approx(wanted, rel=1e-5)


def test_drawing_every_example_once_is_the_exact_value(task: data.Task) -> None:
    """Micro-batches of one over all the data leave nothing to chance, through joining too."""
    few = task.train.subset(torch.arange(256))
    module = models.build("linear", task, seed=0)
    found = noise.measure_noise_scale(
        module, few, task.loss, generator=generator(), micro_batch_size=1, relative_width=0.0
    )
    exact = noise.exact_noise_scale(module, few, task.loss)
    assert found.examples == 256
    # The signal is exact; tr S is of pairs or fours, 64 to 128 of them.
    assert found.signal == pytest.approx(exact.signal, rel=1e-4)
    assert found.trace == pytest.approx(exact.trace, rel=5 * math.sqrt(2 / 63))


def test_sampling_stops_when_the_interval_is_narrow(task: data.Task, module: nn.Module) -> None:
    """It looks at 16 micro-batches first, and goes on while the interval is wide."""
    loose = measured(task, module, relative_width=1e9)
    assert loose.examples == 16 * 16
    tight = measured(task, module, relative_width=0.2, replacement=True, budget=100_000)
    assert tight.relative_width() <= 0.2
    assert 256 < tight.examples < 100_000
    heard: list[tuple[int, int]] = []
    spent = measured(
        task,
        module,
        relative_width=0.0,
        budget=500,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert spent.examples == 496  # 31 micro-batches of 16
    assert heard[0] == (16, 500)
    assert heard[-1] == (500, 500)


@pytest.mark.parametrize("width", [None, 64])
def test_seeds_decide_the_draws(task: data.Task, module: nn.Module, width: int | None) -> None:
    """One seed gives one result, another seed another; sketching leaves the value as it is."""
    options = {"sketch_width": width, "budget": 400, "relative_width": 0.0}
    first = measured(task, module, 0, **options)
    assert measured(task, module, 0, **options) == first
    assert measured(task, module, 1, **options) != first
    plain = measured(task, module, 0, **options | {"sketch_width": None})
    assert first.estimate.value == pytest.approx(plain.estimate.value, rel=1e-4)


def test_batch_normalisation_is_refused_or_named(task: data.Task) -> None:
    """It refuses by default, else reports the size its statistics were over."""
    module = nn.Sequential(nn.Linear(40, 10), nn.BatchNorm1d(10))
    module.requires_grad_(True)
    inputs = task.train.inputs.flatten(1)
    flat = data.Examples(inputs, task.train.targets)
    options = {"generator": generator(), "micro_batch_size": 8, "budget": 400}
    with pytest.raises(Refusal, match="evaluation mode, or pass batch_norm='ghost'"):
        noise.measure_noise_scale(module, flat, task.loss, **options)
    with pytest.raises(Refusal, match="must be 'refuse' or 'ghost'"):
        noise.measure_noise_scale(module, flat, task.loss, **options, batch_norm="no")
    before = {name: each.clone() for name, each in module.state_dict().items()}
    found = noise.measure_noise_scale(module, flat, task.loss, **options, batch_norm="ghost")
    assert found.ghost_batch_size == 8
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
    assert module.training
    evaluated = noise.measure_noise_scale(module.eval(), flat, task.loss, **options)
    assert evaluated.ghost_batch_size is None
    noise.exact_noise_scale(module, flat, task.loss)


def test_dropout_draws_from_the_generator_only(task: data.Task) -> None:
    """Masks are repeatable, and neither global numbers nor gradients are touched."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(40, 10), nn.Dropout(0.5))
    state = torch.get_rng_state()
    first = measured(task, module, budget=300)
    torch.manual_seed(5)
    assert measured(task, module, budget=300) == first
    torch.set_rng_state(state)
    measured(task, module, budget=300)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(each.grad is None for each in module.parameters())


def test_frozen_parameters_have_no_part(task: data.Task) -> None:
    """Layers that are not trained are neither measured nor named."""
    module = models.build("mlp", task, seed=0, width=16)
    module[1].requires_grad_(False)  # type: ignore[index]
    found = measured(task, module, budget=400)
    exact = noise.exact_noise_scale(module, task.train, task.loss)
    assert list(found.layers) == list(exact.layers) == ["3", "5"]


def test_too_small_a_budget_is_refused(task: data.Task, module: nn.Module) -> None:
    """Fewer than three micro-batches have no interval."""
    with pytest.raises(Refusal, match="40 examples hold fewer than 3 micro-batches of 16"):
        measured(task, module, budget=40)


def test_weights_that_are_not_finite_give_no_value(task: data.Task) -> None:
    """A diverged model's noise scale is refused with the reason."""
    module = models.build("linear", task, seed=0)
    with torch.no_grad():
        module[1].weight[0, 0] = torch.nan  # type: ignore[index]
    found = measured(task, module, budget=300)
    assert found.estimate.value is None
    assert "not finite" in found.estimate.reason


def test_the_trap_is_shown_beside_the_exact_value() -> None:
    """The pooled interval holds the exact value; the mean of ratios is that of each step's own."""
    task = data.load("digits", examples=256, seed=0)

    def shown(seed: int) -> dict[str, float]:
        return noise.mean_of_ratios(task, steps=20, seeds=[seed], draws=30).iloc[0].to_dict()

    first = shown(0)
    assert first["low"] <= first["exact"] <= first["high"]
    assert first["low"] <= first["pooled"] <= first["high"]
    assert shown(0) == first
    assert shown(1) != first


def test_the_mean_of_ratios_takes_a_ratio_a_step() -> None:
    """Steps of two micro-batches, against the two-batch formula applied to each."""
    task = data.load("digits", examples=64, seed=0)
    options = {"steps": 2, "seeds": [3], "accumulation_steps": 2, "draws": 2}
    found = noise.mean_of_ratios(task, **options).iloc[0]
    ((*_, module),) = trained_checkpoints(task, 2, 0.05, [3]).values()
    each = noise.per_example_gradients(module, task.train, task.loss)
    drawn = torch.randint(64, (4, 8), generator=generator(3))
    ratios = []
    for step in drawn.split(2):
        g = torch.stack([each[rows].mean(dim=0) for rows in step]).double()
        small = g.square().sum(dim=1).mean().item()
        big = g.mean(dim=0).square().sum().item()
        signal, trace = noise.two_batch((8, small), (16, big))
        ratios.append(trace / signal)
    # float32 inner products, whose difference is divided by.
    assert found["mean_of_ratios"] == pytest.approx(sum(ratios) / 2, rel=1e-3)
