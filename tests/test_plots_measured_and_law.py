"""Points with the law behind them."""

import pandas as pd
import pytest

from bslib import plots

pytestmark = pytest.mark.usefixtures("closed_figures")

MEASURED = pd.DataFrame(
    {"batch_size": [4, 16], "seconds": [1.0, 0.5], "low": [0.9, 0.4], "high": [1.2, 0.7]}
).assign(way="a")
LAW = pd.DataFrame({"batch_size": [4, 8, 16], "seconds": [1.0, 0.7, 0.5], "way": "the law"})


def test_both_are_drawn_and_named() -> None:
    """The points of one frame, the line of the other, each with its own name in the legend."""
    axes = plots.measured_and_law(MEASURED, LAW, x="batch_size", y="seconds", hue="way")
    (container,) = axes.containers
    assert container.lines[0].get_xydata().tolist() == [[4, 1.0], [16, 0.5]]
    (line,) = [each for each in axes.lines if each.get_label() == "the law"]
    assert line.get_xydata().tolist() == LAW[["batch_size", "seconds"]].to_numpy().tolist()
    assert sorted(axes.get_legend_handles_labels()[1]) == ["a", "the law"]


def test_a_law_that_could_not_be_fitted_is_left_out() -> None:
    """No rows, no line."""
    axes = plots.measured_and_law(MEASURED, LAW[:0], x="batch_size", y="seconds", hue="way")
    assert axes.get_legend_handles_labels()[1] == ["a"]
