"""Which device an experiment runs on."""

import pytest
import torch

from bslib import device
from bslib.refusal import Refusal


def test_auto_is_a_device_that_is_there() -> None:
    """``auto`` is the GPU where there is one, else the CPU."""
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert device.resolve("auto").type == expected


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says how many there are, and what to write instead."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.resolve("cuda:0") == torch.device("cuda:0")
    with pytest.raises(Refusal, match="1 CUDA device; use 'auto'"):
        device.resolve("cuda:1")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cpu:zero", "mps"])
def test_an_unknown_name_is_refused(name: str) -> None:
    """Anything but auto, cpu, cuda and cuda:N is named and refused."""
    with pytest.raises(Refusal, match=r"unknown|not there"):
        device.resolve(name)


def test_a_cpu_is_described_by_its_model() -> None:
    """The record names the processor."""
    assert device.describe(torch.device("cpu")).startswith("CPU (")


def test_borrowed_generators_are_seeded_and_given_back() -> None:
    """Inside, global numbers are the seed's; outside, it is as if nothing was drawn."""
    state = torch.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        with device.borrowed_generators(torch.device("cpu"), seed):
            drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(torch.get_rng_state(), state)
