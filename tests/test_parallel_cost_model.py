"""The cost model against itself, against the ring's closed form, and at held-out points."""

import math

import numpy as np
import pandas as pd
import pytest

from bslib.parallel import cost_model
from bslib.parallel.cost_model import NETWORKS, CostModel, Network
from bslib.parallel.timing import measure
from bslib.refusal import Refusal

SIZES = [8, 16, 32, 64, 128, 256, 512, 1024]
MODEL = CostModel(2e-4, 5e-6, 300_000, Network("measured", 1e-4, 1e9), 1.3, 8e-4)
MESSAGES = [4, 4_096, 65_536, 1_048_576, 8_388_608]


def drawn(noise: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(0)
    rows = [
        (size, workers, each, float(MODEL.step_time_s(size, workers)) * factor)
        for size in SIZES
        for workers in (1, 2)
        for each in range(9)
        for factor in [math.exp(noise * random.standard_normal())]
    ]
    times = pd.DataFrame(rows, columns=["local_batch_size", "world_size", "round", "step_time_s"])
    ring = [float(MODEL.network.ring_s(2, size)) for size in MESSAGES]
    messages = pd.DataFrame({"bytes": MESSAGES, "world_size": 2, "round": 0, "seconds": ring})
    return times.assign(gradient_bytes=MODEL.gradient_bytes), messages


def test_exact_times_give_the_model_back() -> None:
    """Every constant is recovered from half of the local batch sizes."""
    found = cost_model.fit(*drawn(), SIZES[::2])
    for name in ("fixed_time_s", "example_time_s", "sharing", "overhead_s"):
        assert getattr(found, name) == pytest.approx(getattr(MODEL, name), rel=1e-3), name
    assert found.network.latency_s == pytest.approx(1e-4, rel=1e-6)
    assert found.network.bandwidth == pytest.approx(1e9, rel=1e-6)


def test_held_out_points_are_predicted_within_the_noise() -> None:
    """5 % noise and nine rounds: the median's error is 2 %, and predictions err by a few."""
    times, messages = drawn(noise=0.05)
    found = cost_model.fit(times, messages, SIZES[::2])
    measured = cost_model.efficiencies(times).groupby("local_batch_size")["efficiency"].median()
    for size in SIZES[1::2]:
        assert float(found.efficiency(size, 2)) == pytest.approx(measured[size], rel=0.1)


def test_the_ring_is_latency_then_bandwidth() -> None:
    """One worker sends nothing; many send nearly twice the message, and 2 (n - 1) latencies."""
    network = Network("n", 1e-6, 1e9)
    assert network.ring_s(1, 1e9) == 0
    assert network.ring_s(2, 0) == pytest.approx(2e-6)
    assert network.ring_s(10_000, 1e9) == pytest.approx(2 * (1 - 1e-4) + 2 * 9_999e-6)


def test_overlap_runs_from_the_sum_to_the_larger() -> None:
    """At g = 1 compute and communication add up; at a large g the larger one is left."""
    serial = CostModel(1e-3, 0.0, 1_000_000, Network("n", 0.0, 1e9))
    hidden = CostModel(1e-3, 0.0, 1_000_000, Network("n", 0.0, 1e9), overlap=50.0)
    assert serial.step_time_s(1, 2) == pytest.approx(2e-3)
    assert hidden.step_time_s(1, 2) == pytest.approx(1e-3, rel=0.02)


def test_a_slower_network_never_makes_a_step_faster() -> None:
    """Over all networks and workers, the order of the networks is that of the steps."""
    workers = np.array([2, 8, 64, 512, 4_096])
    steps = [MODEL.on(network).step_time_s(64, workers) for network in NETWORKS]
    assert np.all(np.diff(steps, axis=0) > 0)


def test_too_few_sizes_are_refused() -> None:
    """Two constants take two local batch sizes."""
    with pytest.raises(Refusal, match="two local batch sizes"):
        cost_model.fit(*drawn(), [8])


def test_real_times_have_a_row_a_block() -> None:
    """Two workers on this machine: every size, one worker and two, in every round."""
    times, messages = measure("mnist1d", [4, 8], [4, 4_096], rounds=3, seed=0, examples=64)
    assert len(times) == 2 * 2 * 3
    assert (times["step_time_s"] > 0).all()
    # 40-64-64-10 with biases, in single precision
    assert set(times["gradient_bytes"]) == {4 * (41 * 64 + 65 * 64 + 65 * 10)}
    assert messages.groupby("bytes").size().tolist() == [3, 3]
    assert (messages["seconds"] > 0).all()
