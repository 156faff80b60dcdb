"""Computed tables as a page shows them."""

import re

import pandas as pd
import pytest

from bslib.book import tables
from bslib.book.table_numbers import written
from bslib.claims.wording import MINUS

WINNERS = pd.DataFrame(
    {
        "batch_size": [32, 512],
        "learning_rate": [1.6, 1.163636],
        "outcome": ["tuned", "tuned"],
        "side": ["", ""],
        "comparison": ["equal epochs & no decay", "equal steps"],
    }
)
ESTIMATES = pd.DataFrame(
    {"estimate": [1.0, 1.0], "low": [0.5, 0.5], "level": [0.95, 0.95], "n": [3, 4]},
    index=["first arm", "second arm"],
)
CELL = re.compile(r"<t[hd].*?</t[hd]>", re.DOTALL)


def read(frame: pd.DataFrame, *first: str) -> tuple[list[list[str]], str]:
    """Return the rows of cells, heads first, and the note under the table."""
    html = tables.shown(frame._repr_html_(), first)  # type: ignore[operator]
    shown, _, note = html.partition("</table>")
    rows = re.findall(r"<tr.*?</tr>", shown, re.DOTALL)
    return [[_bare(cell) for cell in CELL.findall(row)] for row in rows], _bare(note)


def _bare(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html).strip()


def test_a_constant_column_is_told_below() -> None:
    """What is the same in every row, or empty, leaves the table and stays on the page."""
    (heads, *_), note = read(WINNERS)
    assert heads == ["batch_size", "learning_rate", "comparison"]
    assert note == "In every row shown: outcome = tuned. Empty: side."


def test_the_pages_columns_come_first_and_stay() -> None:
    """A page's key columns are the first, constant or not, and cells move with their heads."""
    rows, note = read(WINNERS, "comparison", "outcome")
    assert rows[0] == ["comparison", "outcome", "batch_size", "learning_rate"]
    assert rows[1] == ["equal epochs &amp; no decay", "tuned", "32", "1.60"]
    assert note == "Empty: side."


def test_estimates_stay_where_all_are_the_same() -> None:
    """A constant estimate is a result, and its rows keep their names."""
    rows, note = read(ESTIMATES)
    assert rows[0] == ["", "estimate", "low", "n"]
    assert [row[0] for row in rows[1:]] == ["first arm", "second arm"]
    assert note == "In every row shown: level = 0.95."


def test_one_row_is_not_constant() -> None:
    """A single row keeps all that it holds."""
    rows, note = read(ESTIMATES[:1])
    assert (rows[0][1:], note) == (["estimate", "low", "level", "n"], "")


def test_a_table_of_constants_keeps_its_columns() -> None:
    """A table in which nothing varies is shown, and not emptied."""
    rows, note = read(pd.DataFrame({"x": [1, 1], "y": [2, 2]}))
    assert (rows, note) == ([["x", "y"], ["1", "2"], ["1", "2"]], "")


def test_words_are_marked_and_numbers_are_not() -> None:
    """The style sheet wraps columns of words, from their heads down, and aligns numbers."""
    html = tables.shown(WINNERS._repr_html_())  # type: ignore[operator]
    assert html.count('class="bslib-words" style="min-width: 18ch"') == 3
    assert "<td>32</td>" in html


def test_named_rows_keep_their_numbers() -> None:
    """Row numbers go only where pandas made them up; a name of the rows joins the heads."""
    rows, _ = read(WINNERS.set_index("batch_size"))
    assert rows[0] == ["batch_size", "learning_rate", "comparison"]
    assert [row[0] for row in rows[1:]] == ["32", "512"]


def test_rows_named_in_two_levels_keep_both() -> None:
    """Where a name spans rows, each row keeps its own cells."""
    frame = pd.DataFrame(
        {"rate": ["large"] * 2 + ["small"], "way": list("abc"), "x": [1, 2, 3], "same": 0}
    )
    rows, note = read(frame.set_index(["rate", "way"]))
    assert rows == [["rate", "way", "x"], ["large", "a", "1"], ["b", "2"], ["small", "c", "3"]]
    assert note == "In every row shown: same = 0."
    nameless = pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([(7, 1), (7, 2)]))
    assert read(nameless)[0] == [["", "", "x"], ["7", "1", "1"], ["2", "2"]]


def test_a_table_scrolls_in_a_box_that_the_keyboard_reaches() -> None:
    """Each table lies in the theme's box, and its note below it does not scroll away."""
    html = tables.shown(WINNERS._repr_html_())  # type: ignore[operator]
    box = html.index('<div class="pst-scrollable-table-container"><table')
    assert box < html.index("</table></div><p")


def test_other_html_is_left_alone() -> None:
    """Only what pandas displayed is changed."""
    html = '<table class="other"><tr><td>0.123456</td></tr></table>'
    assert tables.shown(html) == html


def test_columns_in_levels_are_only_boxed() -> None:
    """A table whose heads span columns, or repeat a name, keeps all of its columns."""
    levels = pd.DataFrame([[1, 1], [2, 1]], columns=pd.MultiIndex.from_product([["a"], ["b", "c"]]))
    twice = pd.DataFrame([[1, 1], [2, 1]], columns=["a", "a"])
    for frame in (levels, twice):
        assert tables.shown(frame._repr_html_()).count("<td") == 4  # type: ignore[operator]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.163636", "0.071429", "231.54"], ["1.16", "0.0714", "232"]),
        (["0.071", "0.500"], ["0.071", "0.500"]),
        (["0.999999", "-0.20"], ["1.00", "-0.20"]),
        (["-12345", "7"], ["-12,345", "7"]),
        (["2.031941e+06", "9.5"], ["2,030,000", "9.5"]),
        (["2.031941e+06", "2.000000e+06"], ["2,030,000", "2,000,000"]),
        (["0.0", "0.5"], ["0.0", "0.5"]),
        (["1.227578e-15", "0.000000e+00"], ["1.23e-15", "0"]),
        (["1.15e+11", "2.74"], ["1.15e+11", "2.74"]),
        (["0.000", "0.996"], ["0.00", "0.996"]),
        (["628032.0", "-7.0"], ["628,032", "-7"]),
        (["1376380", "1098"], ["1,376,380", "1098"]),
        (["NaN", "-inf", "3.14159"], ["NaN", "-inf", "3.14"]),
        (["16, 128", "of 0.123456"], ["16, 128", "of 0.123456"]),
    ],
)
def test_numbers_have_three_digits_and_none_made_up(cells: list[str], expected: list[str]) -> None:
    """Three significant digits, never more than pandas wrote; counts keep all of theirs."""
    assert written(cells) == [text.replace("-", MINUS) for text in expected]
