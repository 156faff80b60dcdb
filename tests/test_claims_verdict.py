"""What a verdict carries and how it is shown: JSON, HTML, plain text, glue."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from bslib import claims, stats
from bslib.claims import card, interval_picture, palette, wording

NASTY = "<script>alert('&')</script>\""


def estimates(key: str) -> dict[str, stats.Estimate]:
    values = [
        stats.mean([-1.0, -1.001, -0.999]),
        stats.mean([-0.9, -0.8, -1.2]),
        stats.refused(f"no slope {NASTY}"),
        stats.Estimate(5.0, 4.0, math.inf, n=3, reason="not reached"),
        stats.Estimate(math.nan, 0.0, 1.0),
    ]
    return dict(zip((arm.name for arm in claims.claim(key).arms), values, strict=False))


def a_verdict(key: str = "3.3", scope: dict[str, Any] | None = None) -> claims.Verdict:
    return claims.judge(key, estimates(key), scope if scope is not None else {"task": "digits"})


@pytest.mark.parametrize("key", claims.CATALOGUE)
def test_json_round_trip(key: str) -> None:
    """Every claim's verdict, odd estimates too, comes back equal through strict JSON."""
    count = len(claims.claim(key).arms)
    given = (list(estimates("1.5").values()) * 2)[:count]
    named = dict(zip((arm.name for arm in claims.claim(key).arms), given, strict=True))
    verdict = claims.judge(key, named, {"task": "digits", "seeds": range(3), "rate": math.inf})
    text = json.dumps(verdict.to_json(), allow_nan=False)
    back = claims.Verdict.from_json(json.loads(text))
    assert json.dumps(back.to_json()) == text
    assert back.html() == verdict.html()
    if not any(each.value is not None and math.isnan(each.value) for each in given):
        assert back == verdict


def test_json_says_what_the_ledger_reads() -> None:
    """The bundle's JSON has outcome, holding and agreement at its top."""
    data = a_verdict()._repr_mimebundle_()[claims.MIME]
    assert {"outcome", "holds", "agreement", "key", "criterion_hash", "scope"} <= set(data)
    assert data["arms"][3]["estimate"]["high"] == "inf"
    assert data["arms"][2]["estimate"]["value"] is None


@pytest.mark.parametrize("broken", [{}, {"format": 1}, {"format": 2}])
def test_what_is_no_verdict_is_refused(broken: dict[str, Any]) -> None:
    """Other JSON, or another format, is an error that says so."""
    with pytest.raises(ValueError, match="verdict"):
        claims.Verdict.from_json(broken)


def test_scope_becomes_plain_data() -> None:
    """Tuples, ranges, paths and infinities become what JSON gives back."""
    verdict = a_verdict(
        scope={"sizes": (1, 2), "seeds": range(2), "rate": math.nan, "of": {1: {2}}}
    )
    assert verdict.scope == {"sizes": [1, 2], "seeds": [0, 1], "rate": "nan", "of": {"1": [2]}}


def test_bundle_has_three_forms() -> None:
    """HTML, plain text and JSON, under the keys that notebooks store."""
    assert set(a_verdict()._repr_mimebundle_()) == {"text/html", "text/plain", claims.MIME}
    assert set(claims.claim("3.3")._repr_mimebundle_()) == {"text/html", "text/plain"}


class Tags(HTMLParser):
    """Collects tags, texts and attributes, and checks that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_escaped_everywhere() -> None:
    """Markup in any text of a verdict shows as text, never as markup."""
    arm = claims.Arm(NASTY, NASTY, 0.0, 1.0, NASTY)
    texts = [NASTY] * 4
    claim = claims.Claim(texts[0], NASTY, NASTY, NASTY, (arm,), NASTY, "refuted", NASTY, NASTY, ())
    for estimate in (stats.mean([0.1, 0.2, 0.3]), stats.mean([0.1, 2.0]), stats.refused(NASTY)):
        verdict = claims.judge_claim(claim, {NASTY: estimate}, {NASTY: NASTY, "list": [NASTY]})
        for html in (verdict.html(), claim._repr_mimebundle_()["text/html"]):
            assert "script" not in Tags(html).tags
            assert "<script" not in html


def test_card_is_well_formed_and_self_contained() -> None:
    """Tags close in order, nothing is loaded, and the classes say the outcome."""
    html = a_verdict().html()
    found = Tags(html)
    assert found.tags <= {
        "div", "span", "strong", "br", "svg", "rect", "line", "text", "circle", "polyline"
    }  # fmt: skip
    assert not {"href", "src"} & {name for name, _ in found.attributes}
    assert 'class="bs-verdict bs-conditional"' in html


def test_card_shows_all_that_it_has_to() -> None:
    """Statement, arms, quantities, figures, regions, levels, scope, literature."""
    verdict = a_verdict(scope={"task": "digits", "seeds": 3})
    for shown in (verdict.html(), " ".join(verdict.text().split())):
        for text in ("Claim 3.3", "at initialisation", "95 % interval, n = 3", "99.94 %"):
            assert text.lower() in shown.lower()
        for text in ("-1.05 to -0.95", "-1.0000", "task digits", "seeds 3", "Cochran 1977"):
            assert text.replace("-", wording.MINUS) in shown
        assert verdict.statement in shown


@pytest.mark.parametrize(
    ("prediction", "value", "said"),
    [
        ("supported", 2.0, "supported, as measured here. Because."),
        ("refuted", 2.0, "refuted, which differs from what was measured here (supported)."),
        ("conditional", None, "conditional; measured: conditional. Because."),
        ("conditional", 1.0, "conditional, which this measurement does not decide. Because."),
    ],
)
def test_one_word_for_both_does_not_say_that_the_arms_agree(
    prediction: str, value: float | None, said: str
) -> None:
    """Both conditional are set beside each other; only supported and refuted are "as measured"."""
    arms = (claims.Arm("one", "effect", low=1.0), claims.Arm("other", "effect", low=1.0))
    claim = claims.Claim("9.9", "1-why", "?", ".", arms, "1", prediction, "Because.", "A 2020", ())
    values = (2.0, 0.0) if value is None else (value, value)
    estimates = [stats.Estimate(at, at - 0.1, at + 0.1, n=3) for at in values]
    verdict = claims.judge_claim(claim, dict(zip(("one", "other"), estimates, strict=True)))
    for shown in (verdict.html(), verdict.text()):
        words = " ".join(re.sub("<[^>]+>", "", shown).split())
        assert f"Expected from the literature: {said}" in words


def test_outcome_is_never_colour_alone() -> None:
    """Word and symbol stand beside each colour."""
    for outcome in claims.OUTCOMES:
        shown = re.sub("<[^>]+>", "", card.badge(outcome))
        assert shown == f"{palette.SYMBOL[outcome]} {outcome}"
    assert len(set(palette.SYMBOL.values())) == len(claims.OUTCOMES)


def luminance(color: str) -> float:
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("outcome", claims.OUTCOMES)
def test_colours_have_contrast_in_light_and_dark(outcome: str) -> None:
    """Text on a badge reaches WCAG's 4.5, lines its 3.0, on white and on near-black."""
    assert contrast(palette.FILL[outcome], "#ffffff") >= 4.5
    for ground in ("#ffffff", "#14181e"):
        assert contrast(palette.LINE[outcome], ground) >= 3.0


def test_text_fits_a_terminal() -> None:
    """No line of the plain card is longer than 80 columns, and the short form is one line."""
    verdict = a_verdict()
    assert max(map(len, verdict.text().splitlines())) <= 80
    assert max(map(len, claims.claim("1.4")._repr_mimebundle_()["text/plain"].splitlines())) <= 80
    assert verdict.line() == "◐ conditional   3.3  Does a larger batch give a steadier gradient?"


def positions(svg: str, tag: str, name: str) -> list[float]:
    return [float(each) for each in re.findall(rf'<{tag}[^>]* {name}="([-\d.]+)"', svg)]


@pytest.mark.parametrize(
    ("low", "high"), [(2.0, 3.0), (-1.0, 0.0), (0.5, 1.5), (2.0, math.inf), (-math.inf, 0.0)]
)
def test_picture_puts_the_interval_where_it_lies(low: float, high: float) -> None:
    """The drawn bar lies on the side of the drawn edge that the numbers say, inside the frame."""
    value = low if math.isfinite(low) else high
    claim = claims.Claim(
        "9.9",
        "1-why",
        "?",
        ".",
        (claims.Arm("arm", "effect", low=1.0),),
        "1",
        "refuted",
        ".",
        "A",
        (),
    )
    arm = claims.judge_claim(claim, {"arm": stats.Estimate(value, low, high, n=3)}).arms[0]
    svg = interval_picture.picture(arm)
    (edge,), bar = positions(svg, "rect", "x"), positions(svg, "line", "x1")[-1]
    end = positions(svg, "line", "x2")[-1]
    assert 0 <= bar <= end <= interval_picture.WIDTH
    assert (bar >= edge, end >= edge) == (low >= 1, high >= 1)
    assert 'role="img"' in svg
    assert "support is at least 1" in svg


def test_no_picture_without_a_value() -> None:
    """Nothing is drawn for a refused estimate."""
    assert interval_picture.picture(a_verdict().arms[2]) == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((-1.0002, -1.0014, -0.999), "-1.0002 [-1.0014, -0.9990]"),
        ((0.0123, -0.0004, 0.025), "0.012 [0.000, 0.025]"),
        ((12345.6, 12000.0, 12700.0), "12,346 [12,000, 12,700]"),
        ((5.0, 4.0, math.inf), "5.00 [4.00, ∞]"),
        ((2.0, 2.0, 2.0), "2"),
        ((1e-12, 0.0, 2e-12), "1e-12 [0, 2e-12]"),
        ((None, -math.inf, math.inf), "no value [-∞, ∞]"),
    ],
)
def test_figures_have_as_many_digits_as_they_earn(arguments: tuple, text: str) -> None:
    """An estimate is written to two digits of its half-width."""
    assert wording.interval(*arguments) == text.replace("-", wording.MINUS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((-math.inf, -0.15), "at most -0.15"),
        ((1.0, math.inf, "points"), "at least 1 point"),
        ((-1.0, 1.0, "points"), "-1 to 1 point"),
        ((-math.inf, math.inf), "any value"),
    ],
)
def test_regions_in_words(arguments: tuple, text: str) -> None:
    """A region reads as a phrase."""
    assert wording.region(*arguments) == text.replace("-", wording.MINUS)


def test_criterion_hash_changes_with_what_decides() -> None:
    """Another criterion, name, quantity or region gives another hash; other texts do not."""
    claim = claims.claim("3.3")
    first, *rest = claim.arms
    changes = [
        replace(claim, criterion="Else."),
        replace(claim, arms=(replace(first, name="x"), *rest)),
        replace(claim, arms=(replace(first, quantity="x"), *rest)),
        replace(claim, arms=(replace(first, low=-1.06), *rest)),
        replace(claim, arms=(replace(first, high=math.inf), *rest)),
    ]
    assert len({claim.criterion_hash, *(each.criterion_hash for each in changes)}) == 6
    assert replace(claim, source="B").criterion_hash == claim.criterion_hash
    assert a_verdict().criterion_hash == claim.criterion_hash
