"""Figures show what they are given, and compute nothing."""

import pandas as pd
import pytest

from bslib import plots

pytestmark = pytest.mark.usefixtures("closed_figures")

FRAME = pd.DataFrame(
    {
        "batch_size": [4, 16, 4, 16],
        "loss_sd": [1.0, 0.5, 2.0, 1.5],
        "low": [0.9, 0.4, 1.8, 1.0],
        "high": [1.2, 0.7, 2.1, 2.5],
        "rule": ["fixed", "fixed", "scaled", "scaled"],
    }
)


def test_points_stand_where_the_frame_says() -> None:
    """Each group is one series, with its interval's ends as drawn bars."""
    axes = plots.points(FRAME, x="batch_size", y="loss_sd", hue="rule")
    fixed, scaled = axes.containers
    assert fixed.lines[0].get_xydata().tolist() == [[4, 1.0], [16, 0.5]]
    segments = scaled.lines[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in segments] == [
        pytest.approx([1.8, 2.1]),
        pytest.approx([1.0, 2.5]),
    ]


def test_lines_share_their_points_colours() -> None:
    """A theory's line has the colour of the measurement it is for."""
    axes = plots.points(FRAME, x="batch_size", y="loss_sd", hue="rule")
    plots.lines(FRAME, x="batch_size", y="loss_sd", hue="rule", axes=axes)
    of_points = [container.lines[0].get_color() for container in axes.containers]
    assert [line.get_color() for line in axes.lines[-2:]] == of_points


def test_groups_differ_in_more_than_colour() -> None:
    """Two groups never share a marker, for who cannot tell their colours."""
    axes = plots.points(FRAME, x="batch_size", y="loss_sd", hue="rule")
    markers = [container.lines[0].get_marker() for container in axes.containers]
    assert len(set(markers)) == 2


def test_axes_are_named_from_one_table() -> None:
    """A column's axis label comes from the table; an unknown column keeps its name."""
    axes = plots.points(FRAME, x="batch_size", y="loss_sd", hue="rule")
    assert axes.get_xlabel() == plots.AXIS_LABELS["batch_size"]
    plots.label(axes, x="batch_size", y="something else", legend="rule")
    assert axes.get_ylabel() == "something else"
    assert axes.get_legend().get_title().get_text() == "rule"


def test_without_named_series_there_is_no_legend() -> None:
    """Nothing drawn, say for want of batch sizes, is neither a warning nor an empty box."""
    axes = plots.points(FRAME[:0], x="batch_size", y="loss_sd", hue="rule")
    plots.label(axes, x="batch_size", y="loss_sd", legend="rule")
    assert axes.get_legend() is None


@pytest.mark.parametrize(("log", "scales"), [("xy", ("log", "log")), ("", ("linear", "linear"))])
def test_scales_are_as_asked(log: str, scales: tuple[str, str]) -> None:
    """``log`` names the logarithmic axes."""
    axes = plots.points(FRAME, x="batch_size", y="loss_sd", hue="rule", log=log)
    assert (axes.get_xscale(), axes.get_yscale()) == scales


def test_side_by_side_gives_two_titled_axes() -> None:
    """Two panels of one figure, each with its title."""
    left, right = plots.side_by_side("one", "two")
    assert left.figure is right.figure
    assert (left.get_title(), right.get_title()) == ("one", "two")


def test_nothing_measured_still_draws() -> None:
    """A frame without a finite value gives empty axes, not an error."""
    nothing = FRAME.assign(loss_sd=float("nan"), low=float("nan"), high=float("nan"))
    axes = plots.points(nothing, x="batch_size", y="loss_sd", hue="rule")
    axes.figure.canvas.draw()
    assert axes.get_yscale() == "linear"


def test_a_legend_keeps_away_from_the_ends_of_intervals() -> None:
    """Where a bar reaches into the corner above the points, the legend goes to another."""
    rising = pd.DataFrame(
        {"x": [1, 2, 3, 4, 5, 6], "y": [1.0] * 6, "low": [0.9] * 6, "high": [1.1] * 5 + [9.0]}
    )
    axes = plots.points(rising.assign(of="measured"), x="x", y="y", hue="of", log="")
    plots.label(axes, x="x", y="y", legend="")
    axes.figure.canvas.draw()
    end = axes.transData.transform((6, 9.0))
    assert not axes.get_legend().get_window_extent().contains(*end)
