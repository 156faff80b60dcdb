"""The fastest batch size against its closed form, and local SGD against what it averages."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from bslib import data, models
from bslib.parallel import fastest, local_sgd
from bslib.parallel.cost_model import NETWORKS, CostModel, Network

CRITICAL, FEWEST = 120.0, 40.0
SIZES = [4, 16, 64, 256, 1024, 4096]
LOCAL = [8, 16, 32, 64, 128, 256, 512, 1024]
MODEL = CostModel(2e-4, 1e-6, 30_000, Network("measured", 7e-5, 1.5e9), 1.1, 5e-4)
# Sizes tried are this far apart, as a factor; an octave's difference of two is twice as coarse.
SPACING = 2 ** (1 / 200)


def reruns(noise: float = 0.0, seeds: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(1)
    rows = [
        (size, seed, FEWEST * (1 + CRITICAL / size) * math.exp(noise * random.standard_normal()))
        for size in SIZES
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["batch_size", "seed", "steps_to_target"])


def timed(noise: float = 0.0, rounds: int = 30) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(2)
    rows = [
        (size, workers, each, float(MODEL.step_time_s(size, workers)) * factor)
        for size in LOCAL
        for workers in (1, 2)
        for each in range(rounds)
        for factor in [math.exp(noise * random.standard_normal())]
    ]
    steps = pd.DataFrame(rows, columns=["local_batch_size", "world_size", "round", "step_time_s"])
    sent = [
        (size, 2, each, float(MODEL.network.ring_s(2, size)))
        for size in (4, 65_536, 4_194_304)
        for each in range(rounds)
    ]
    messages = pd.DataFrame(sent, columns=["bytes", "world_size", "round", "seconds"])
    return steps.assign(gradient_bytes=MODEL.gradient_bytes), messages


def closed_form(network: Network, workers: int) -> float:
    constant = float(MODEL.on(network).step_time_s(0.0, workers))
    return math.sqrt(CRITICAL * workers * constant / MODEL.example_time_s)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize("workers", [1, 8, 64, 4096])
def test_the_fastest_batch_is_the_root_of_its_factors(network: Network, workers: int) -> None:
    """B* = sqrt(B_crit n r c) to the spacing of the sizes tried, or one example a worker."""
    law = fastest.law_of_steps(reruns())
    found, _ = fastest.fastest(MODEL.on(network), law, workers)
    expected = max(workers, closed_form(network, workers))
    assert 1 / SPACING <= found / expected <= SPACING


def test_every_worker_has_an_example() -> None:
    """Where the root asks for less, B* is one example a worker."""
    cheap = CostModel(1e-9, 1e-3, 0, Network("n", 0.0, 1e12))
    assert fastest.fastest(cheap, fastest.law_of_steps(reruns()), 64)[0] == 64


def test_exact_tables_give_the_octaves_of_the_closed_form() -> None:
    """Without noise both arms are half the log of the ratio of what is under the root."""
    found = fastest.arms(reruns(), *timed())
    network = math.log2(closed_form(NETWORKS[-1], 64) / closed_form(NETWORKS[0], 64))
    workers = math.log2(closed_form(NETWORKS[1], 64) / closed_form(NETWORKS[1], 1))
    # the model's constants come back to 1e-3, the sizes to 1/200 of an octave at either end
    assert found["the cost of communication"].value == pytest.approx(network, abs=0.015)
    assert found["the number of workers"].value == pytest.approx(workers, abs=0.015)
    assert found["the cost model"].value == pytest.approx(0, abs=5e-3)


def test_the_intervals_hold_the_truth_under_noise() -> None:
    """At 5 % noise in steps and step times, one draw of each: at 99.9 % both are covered."""
    found = fastest.arms(reruns(0.05), *timed(0.05))
    network = math.log2(closed_form(NETWORKS[-1], 64) / closed_form(NETWORKS[0], 64))
    workers = math.log2(closed_form(NETWORKS[1], 64) / closed_form(NETWORKS[1], 1))
    for name, truth in (("the cost of communication", network), ("the number of workers", workers)):
        wide = found[name].at(0.999)
        assert wide.low <= truth <= wide.high
        assert wide.low < found[name].low < found[name].high < wide.high


def test_a_wrong_model_shows_at_held_out_sizes() -> None:
    """Steps that cost 1.5 times as much at the sizes held out are an error of a third."""
    steps, messages = timed()
    held_out = ~steps["local_batch_size"].isin(LOCAL[::2])
    steps.loc[held_out, "step_time_s"] *= 1.5
    assert fastest.held_out_error(steps, messages).value == pytest.approx(1 / 3, abs=5e-3)


def test_without_a_law_of_steps_only_the_cost_model_is_judged() -> None:
    """Two batch sizes fit no law: two arms say so, the third stands, and nothing is drawn."""
    few = reruns()
    few = few[few["batch_size"] < 64]
    found = fastest.arms(few, *timed())
    assert found["the cost of communication"].value is None
    assert "three" in found["the number of workers"].reason
    assert found["the cost model"].value is not None
    assert fastest.by_workers(MODEL, few).empty
    assert fastest.floor(MODEL, few).empty


def test_no_time_lies_below_the_floor() -> None:
    """S_min steps of one worker's fixed time cost less than any training."""
    drawn = fastest.by_workers(MODEL, reruns())
    assert (drawn["seconds"] > fastest.floor(MODEL, reruns())["seconds"].iloc[0]).all()


def test_an_average_has_the_mean_of_all_weights() -> None:
    """Parameter by parameter, and the replicas' mean is in the first of them."""
    task = data.load("mnist1d", examples=16, seed=0, device="cpu")
    replicas = [models.build(task.model, task, seed=seed) for seed in range(3)]
    before = [torch.nn.utils.parameters_to_vector(each.parameters()) for each in replicas]
    after = torch.nn.utils.parameters_to_vector(local_sgd.average(replicas).parameters())
    torch.testing.assert_close(after, torch.stack(before).mean(0))


def test_averaging_after_every_stretch_sends_as_counted() -> None:
    """Half as many averages send half as much; a ring of two sends the weights once each."""
    task = data.load("mnist1d", examples=64, seed=0, device="cpu")
    view = {"workers": 2, "local_batch_size": 4, "learning_rates": [0.1], "seeds": [0, 1]}
    found = local_sgd.runs(task, steps=8, local_steps=[1, 2, 4], **view)
    again = local_sgd.runs(task, steps=8, local_steps=[1, 2, 4], **view)
    pd.testing.assert_frame_equal(found, again)
    megabytes = 4 * (41 * 64 + 65 * 64 + 65 * 10) / 1e6  # 40-64-64-10 with biases
    last = found[found["step"] == 8].groupby("local_steps")["sent_mb"].first()
    assert last.to_dict() == pytest.approx({1: 8 * megabytes, 2: 4 * megabytes, 4: 2 * megabytes})
    starts = found[found["step"] == 0].groupby("seed")["train_loss"]
    assert (starts.max() - starts.min() < 1e-6).all()


def test_one_worker_alone_gains_nothing_from_averaging() -> None:
    """The mean of one network is itself: stretches of its steps go on where they ended."""
    task = data.load("mnist1d", examples=64, seed=0, device="cpu")
    found = local_sgd.runs(
        task, workers=1, local_batch_size=8, learning_rates=[0.1, 0.3], steps=40,
        local_steps=[20], seeds=[0],
    )  # fmt: skip
    start, middle, end = found["train_loss"]
    assert start > middle > end
    assert (found["sent_mb"] == 0).all()
