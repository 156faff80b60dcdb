"""What all tests share: one thread, and no silent skips in continuous integration."""

import os
from collections.abc import Generator, Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI, unless it is for want of a GPU."""
    report = yield
    in_ci = os.environ.get("CI") == "true"
    if in_ci and report.skipped and "no CUDA" not in str(report.longrepr):
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Give a module that a test builds the same initial weights in every run."""
    torch.manual_seed(0)


@pytest.fixture
def closed_figures() -> Iterator[None]:
    """Draw without a screen, and leave no figure and no other backend behind."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = mpl.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)
