"""What an advice is told as: words, plain text, JSON, pictures, one page, one card."""

import itertools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import advice_case as case
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.axes import Axes

from bslib.advise import combine, encoding, guidance, numbers, plain, report, show, tables, words
from bslib.advise.pictures import PICTURES
from bslib.parallel import Network

ROOT = Path(__file__).parent.parent
WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EVERY = pytest.mark.parametrize("name", case.CASES)
# Elements of HTML and SVG that end themselves.
VOID = {"meta", "br", "use", "path", "rect", "img", "circle", "line"}


class Page(HTMLParser):
    """What a page consists of; open elements must be closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)


@cache
def html(name: str) -> str:
    return report.html(case.CASES[name](), made=WHEN)


@EVERY
def test_the_reason_is_three_sentences(name: str) -> None:
    """Each of the three parts is one sentence: a full stop ends it and none is inside."""
    for sentence in words.reason(case.CASES[name]()):
        assert sentence.endswith(".")
        assert not re.search(r"\.\s", sentence)
        assert sentence[0].isupper()


@pytest.mark.parametrize(
    ("made", "binding", "said"),
    [
        (case.certain, combine.STATISTICS, "the statistics bind"),
        (case.throughput_bound, combine.THROUGHPUT, "throughput binds"),
        (case.memory_bound, combine.MEMORY, "memory binds"),
        (case.data_bound, combine.DATA, "the data bind"),
        (case.several, combine.NETWORK, "the network binds"),
    ],
)
def test_the_reason_names_the_limit_that_binds(made: Any, binding: str, said: str) -> None:
    """The third sentence says what binds, and no other limit."""
    advice = made()
    assert advice.binding == binding
    third = words.reason(advice)[2]
    assert said in third
    assert len(re.findall(r"\bbinds?\b", third)) == 1


@EVERY
def test_the_headline_is_as_sure_as_the_advice(name: str) -> None:
    """It says to use a size where that is certain, and that it cannot tell where it is not."""
    advice = case.CASES[name]()
    said = words.headline(advice)
    assert said.startswith("Use a batch of") == advice.certain
    assert ("cannot tell" in said) == (advice.batch_size is not None and not advice.certain)
    assert ("memory and throughput only" in said) == (advice.batch_size is None)
    if advice.batch_size is not None:
        assert f"{advice.batch_size:,}" in said


def test_several_devices_are_told_their_share() -> None:
    """The headline has the global batch and each device's, whose product it is."""
    advice = case.several()
    total, local, world = (
        int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", words.headline(advice))
    )
    assert total == local * world == advice.batch_size
    assert f"{local:,} of a step's {total:,}" in guidance.to_do(advice)["Each device"]


def test_half_the_throughput_of_several_is_that_of_their_network_too() -> None:
    """B_half told of n devices is n r (t0 + communication), worked out from the case's own law."""
    advice = case.several()
    gradient_bytes = 4 * advice.asked.parameters
    fixed = 1e-3 + float(case.SLOW.ring_s(8, gradient_bytes))
    expected = 8 * fixed / (1e-3 / 60)
    told = advice.devices.half_batch_size
    assert told is not None
    np.testing.assert_allclose(told, expected, rtol=0.02)  # the case's times are off by 1 %


def test_accumulating_saves_no_time_on_one_device() -> None:
    """Beyond memory a larger batch takes fewer steps, each so much longer."""
    advice = case.memory_bound()
    assert advice.accumulation is not None
    assert advice.accumulation.gain <= 1
    assert "saves steps but not time" in guidance.accumulation(advice)


def test_accumulating_saves_time_where_the_network_is_slow() -> None:
    """Devices that exchange gradients less often are done earlier; the share told is the gain's."""
    advice = case.several_in_little_memory()
    assert advice.accumulation is not None
    share = 100 * (1 - 1 / advice.accumulation.gain)
    assert share > 10
    assert f"{share:.0f} % less time" in guidance.accumulation(advice)
    assert advice.accumulation.pays
    said = words.headline(advice)
    assert said.startswith(f"Use a batch of {advice.accumulation.batch_size:,}, accumulated over")
    smaller = replace(advice, accumulation=None)
    assert words.headline(smaller).startswith(f"Use a batch of {advice.batch_size:,}: ")


def test_where_memory_is_no_limit_nothing_is_said_of_accumulating() -> None:
    """The sentence is about memory, and left out where another limit binds."""
    assert "Gradient accumulation" not in guidance.to_do(case.certain())


def test_the_learning_rate_is_told_with_what_goes_along() -> None:
    """Value, bracket, rule, warm-up, and Adam's beta2: all of them as computed."""
    advice = case.several()
    told, rate = guidance.learning_rate(advice), advice.learning_rate
    assert rate is not None
    assert rate.beta2 is not None
    for value in (rate.value, *rate.bracket, rate.factor):
        assert numbers.number(value) in told
    assert rate.rule in told
    assert numbers.decay(rate.beta2) in told
    assert "first 5 %" in told


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (case.problem(optimizer=""), "no optimiser was given"),
        (case.problem(batch_size=None), "the batch size that your learning rate belongs to"),
    ],
)
def test_without_a_learning_rate_the_reason_is_given(of: Any, why: str) -> None:
    """What is missing is named."""
    assert why in guidance.learning_rate(case.advice(critical=case.known(200), of=of))


def test_a_rate_that_stays_is_not_told_as_a_change() -> None:
    """Where nothing is known of the noise the rate in use is kept."""
    assert guidance.learning_rate(case.no_signal()).startswith("Keep yours, 0.1")


@EVERY
def test_plain_text_fits_a_terminal(name: str) -> None:
    """No line is longer than 80 columns, and the headline comes first."""
    advice = case.CASES[name]()
    lines = plain.text(advice).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).startswith(words.headline(advice))


def test_a_long_name_is_wrapped() -> None:
    """A target without a blank does not run out of the terminal."""
    advice = case.advice(critical=case.known(200), target="package." * 40 + "module:function")
    assert max(map(len, plain.text(advice).splitlines())) <= 80


@EVERY
def test_json_is_strict_and_comes_back(name: str) -> None:
    """No NaN or Infinity is written, and what is read is what was written."""
    encoded = encoding.encode(case.CASES[name]())
    assert json.loads(json.dumps(encoded, allow_nan=False)) == encoded


@EVERY
def test_json_has_one_schema(name: str) -> None:
    """Every advice has the same keys, whatever is missing in it."""
    keys = list(encoding.encode(case.certain()))
    assert list(encoding.encode(case.CASES[name]())) == keys
    assert keys[0] == "format"


def test_what_is_not_finite_is_null_with_a_reason() -> None:
    """An interval without an upper end has null there, and says why; so has a table's row."""
    encoded = encoding.encode(case.cannot_tell())
    critical = encoded["noise"]["critical_batch_size"]
    assert critical["high"] is None
    assert critical["reason"] == "the signal is not told from zero"
    assert encoded["best_batch_size"]["reason"]
    assert encoded["noise"]["path"][0]["unbounded"] == ["high"]
    assert "unbounded" not in encoded["noise"]["path"][1]


@EVERY
def test_the_page_stands_alone(name: str) -> None:
    """It parses, has no script, and names no address but the namespaces of SVG."""
    text = html(name)
    parsed = Page(text)
    assert not {"script", "link", "iframe", "img", "image", "object"} & {t for t, _ in parsed.tags}
    fetching = {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}
    for tag, attributes in parsed.tags:
        for key in fetching & set(attributes):
            assert str(attributes[key]).startswith("#"), tag
        assert not any(key.startswith("on") for key in attributes)
    assert all(each.startswith("#") for each in re.findall(r"url\(([^)]*)\)", text))
    assert "@import" not in text


@EVERY
def test_the_page_has_four_pictures_that_say_what_they_show(name: str) -> None:
    """Each is an image with a title and a description, both of which it refers to."""
    parsed = Page(html(name))
    pictures = [attributes for tag, attributes in parsed.tags if tag == "svg"]
    known = {attributes.get("id") for _, attributes in parsed.tags}
    assert len(pictures) == 4
    for each in pictures:
        assert each["role"] == "img"
        assert set(str(each["aria-labelledby"]).split()) <= known
    assert all(len(said) > 20 for said in parsed.words["desc"])


@EVERY
def test_names_inside_the_page_are_unique_and_found(name: str) -> None:
    """No identifier stands twice, and whatever is referred to is there."""
    text = html(name)
    found = re.findall(r'\bid="([^"]*)"', text)
    assert len(set(found)) == len(found)
    assert set(re.findall(r'(?:url\(|href=")#([^")]*)', text)) <= set(found)


def test_the_page_has_its_headings_in_order() -> None:
    """One first heading, then sections, then pictures inside theirs."""
    levels = [int(tag[1]) for tag, _ in Page(html("certain")).tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later - former <= 1 for former, later in itertools.pairwise(levels))


def test_markup_in_a_name_stays_text() -> None:
    """What a user or an error message wrote is shown, never obeyed; on the card too."""
    advice = case.hostile()
    for text in (report.html(advice, command="<b>run</b>", made=WHEN), show(advice).html()):
        parsed = Page(text)
        assert not {"script", "img", "b"} & {tag for tag, _ in parsed.tags}
        shown = parsed.text
        assert advice.asked.target in shown
        assert advice.not_measured[0] in shown


def test_the_page_is_a_function_of_the_advice() -> None:
    """Written twice it is the same to the byte."""
    assert report.html(case.certain(), made=WHEN) == html("certain")


def test_the_page_says_where_it_comes_from() -> None:
    """Device, versions, date, seed, cost and the command that makes it again."""
    text = report.html(case.several(), command="bslib advise my:build --seed 0", made=WHEN)
    for said in ("CPU (made up)", "torch ", "2026-01-02 03:04 UTC", "3.2 s of 15"):
        assert said in text
    assert "bslib advise my:build --seed 0" in text
    assert "0.1 GB/s" in text


@EVERY
def test_pictures_draw_what_there_is(name: str) -> None:
    """Every picture is drawn on the axes given, with both axes named, whatever is missing."""
    advice = case.CASES[name]()
    for each in PICTURES:
        axes = each.draw(advice, plt.figure().subplots())
        assert isinstance(axes, Axes)
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        plt.close("all")


def test_the_advised_point_lies_on_the_curve() -> None:
    """The diamond is at the advised size, at its time over the best."""
    advice = case.certain()
    point = tables.advised(advice)
    assert point is not None
    assert point[0] == advice.batch_size
    where = combine.Range((200.0, 200.0, 200.0), (900.0, 900.0, 900.0))
    expected = combine.slowdown(point[0], where.value, advice.largest)
    # the law is fitted to times off by 1 %, and interpolated between 200 sizes
    np.testing.assert_allclose(point[1], expected, rtol=0.01)


@EVERY
def test_the_card_shows_in_a_notebook(name: str) -> None:
    """HTML that is whole, and plain text; the headline in both."""
    advice = case.CASES[name]()
    bundle = show(advice)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    shown = Page(bundle["text/html"]).text
    assert words.headline(advice) in shown
    assert " ".join(bundle["text/plain"].split()).startswith(words.headline(advice))


@pytest.mark.parametrize(
    ("value", "written"),
    [(359, "360"), (1234, "1,200"), (9.54, "9.5"), (0.4, "0.4"), (99.6, "100"), (None, "unknown")],
)
def test_sizes_have_two_significant_digits(value: float | None, written: str) -> None:
    """Estimates are rounded as far as they can be known."""
    assert numbers.size(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.2751, "0.28"), (1e-3, "0.001"), (3e-6, "3e-06"), (1.0, "1"), (12.34, "12"), (0.1, "0.1")],
)
def test_rates_are_written_as_one_would(value: float, written: str) -> None:
    """No exponent where there is no need of one, and no trailing noughts."""
    assert numbers.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.001, "hardly longer than"), (1.244, "24 % longer than"), (2.61, "2.6 times as long as")],
)
def test_times_are_compared_in_words(value: float, written: str) -> None:
    """A slowdown is a percentage while that is easy to read, then a factor."""
    assert numbers.longer(value) == written


def test_a_fast_network_does_not_bind() -> None:
    """The same devices on a fast network are told of another limit."""
    advice = case.several(Network("fast", 1e-7, 1e12))
    assert "network binds" not in " ".join(words.reason(advice))


def test_the_page_prints_the_example_as_it_is() -> None:
    """The capstone shows the file that can be run, to the letter."""
    notebook = nbformat.read(ROOT / "chapters" / "2-choosing" / "advise.ipynb", as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    example = (ROOT / "examples" / "my_model.py").read_text().strip()
    assert f"```python\n{example}\n```" in prose


def test_without_a_law_of_step_times_nothing_is_sure() -> None:
    """Where the times miss their law by half and more, that is said, and no size is advised."""
    sure, found = (case.advice(critical=case.known(200), missed=each) for each in (0.1, 0.6))
    assert sure.certain
    assert not found.certain
    assert "follow no law" in words.sureness(found)
    assert any("quiet machine" in each for each in found.not_measured)
    assert not any("quiet machine" in each for each in sure.not_measured)
