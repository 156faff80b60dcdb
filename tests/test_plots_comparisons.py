"""Reference lines and lists of intervals show what they are given."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from bslib import plots, stats
from bslib.stats.estimate import Estimate, refused

pytestmark = pytest.mark.usefixtures("closed_figures")

RULES = pd.DataFrame(
    {
        "batch_size": [4, 16, 4, 16],
        "learning_rate": [1.0, 4.0, 1.0, 2.0],
        "rule": ["linear", "linear", "square root", "square root"],
    }
)


def test_references_differ_in_their_dashes() -> None:
    """Each rule is one grey line with its own dashes and its own name."""
    axes = plots.references(RULES, x="batch_size", y="learning_rate", hue="rule")
    assert [line.get_label() for line in axes.lines] == ["linear", "square root"]
    assert axes.lines[0].get_xydata().tolist() == [[4, 1], [16, 4]]
    assert len({line.get_linestyle() for line in axes.lines}) == 2
    assert len({line.get_color() for line in axes.lines}) == 1


def test_references_do_not_move_the_limits_of_data() -> None:
    """A rule that runs away is cut, and what was measured keeps its scale."""
    _, axes = plt.subplots()
    axes.plot([4, 16], [1.0, 1.1])
    before = axes.axis()
    plots.references(RULES, x="batch_size", y="learning_rate", hue="rule", axes=axes)
    assert axes.axis() == before


def test_intervals_are_listed_from_the_top() -> None:
    """Rows keep their order and their names; an end to end line stands for each interval."""
    table = stats.table({"first": Estimate(1.0, 0.5, 2.0), "second": Estimate(0.0, -1.0, 1.0)})
    axes = plots.intervals(table, x="exponent", marks={"none": 0.0})
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["first", "second"]
    assert axes.yaxis_inverted()
    segments = [lines.get_segments()[0].tolist() for lines in axes.collections]
    assert segments == [[[0.5, 0], [2.0, 0]], [[-1.0, 1], [1.0, 1]]]
    assert [text.get_text() for text in axes.texts] == ["none"]


def test_a_refused_estimate_keeps_its_row() -> None:
    """What has no value, or no finite interval, is named and said to be missing."""
    table = stats.table({"refused": refused("too few"), "open": Estimate(1.0, 0.5, math.inf)})
    axes = plots.intervals(table, x="exponent")
    assert [text.get_text() for text in axes.texts] == ["no estimate"] * 2
    assert len(axes.get_yticklabels()) == 2
