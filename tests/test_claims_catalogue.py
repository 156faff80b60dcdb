"""The catalogue is whole and consistent, before any data."""

import math
import re
from pathlib import Path

import pytest

from bslib import claims

EVERY = pytest.mark.parametrize("claim", claims.CATALOGUE.values(), ids=list(claims.CATALOGUE))
SECTIONS = {"1-why": 6, "2-choosing": 9, "3-increasing": 9}


def test_all_claims_are_there_in_order() -> None:
    """Twenty-four claims: six, nine and nine, numbered through, in order."""
    want = [f"{section[0]}.{n + 1}" for section, count in SECTIONS.items() for n in range(count)]
    assert list(claims.CATALOGUE) == want
    assert len(want) == 24
    assert [each.key for each in claims.CATALOGUE.values()] == want


def test_titles_and_statements_are_all_different() -> None:
    """No two claims ask or say the same."""
    assert len({claim.title for claim in claims.CATALOGUE.values()}) == 24
    assert len({claim.statement for claim in claims.CATALOGUE.values()}) == 24


@EVERY
def test_claim_is_complete(claim: claims.Claim) -> None:
    """Section, question, one sentence, criterion, prediction and source, all in English."""
    assert claim.section in SECTIONS
    assert claim.section[0] == claim.key[0]
    assert claim.title.endswith("?")
    assert len(claim.title) <= 90
    for text in (claim.statement, claim.criterion, claim.because):
        assert text.strip() == text
        assert text.endswith(".")
        assert text.isascii()
    assert claim.statement.count(". ") == 0
    assert claim.prediction in ("supported", "refuted", "conditional")
    assert re.search(r"\d{4}", claim.source)
    assert claim.references
    assert all(re.fullmatch(r"[a-z]+\d{4}[a-z]+", each) for each in claim.references)


@EVERY
def test_citations_and_references_match(claim: claims.Claim) -> None:
    """Each key's author stands in the short citation."""
    said = re.sub(r"[^a-z]", "", claim.source.lower())
    for key in claim.references:
        author = re.match("[a-z]+", key)
        assert author is not None
        assert author[0] in said


@EVERY
def test_arms_have_regions(claim: claims.Claim) -> None:
    """Arms are named apart, and each region is closed, ordered, and leaves room to be refuted."""
    assert claim.arms
    assert len({arm.name for arm in claim.arms}) == len(claim.arms)
    for arm in claim.arms:
        assert arm.quantity
        assert not arm.name.endswith(".")
        assert arm.low < arm.high
        assert math.isfinite(arm.low) or math.isfinite(arm.high)


@EVERY
def test_criterion_states_each_region(claim: claims.Claim) -> None:
    """Every finite end of a region is a number in the criterion's text."""
    numbers = {float(each) for each in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", claim.criterion)}
    for arm in claim.arms:
        assert {each for each in (arm.low, arm.high) if math.isfinite(each)} <= numbers


@EVERY
def test_conditional_predictions_can_come_true(claim: claims.Claim) -> None:
    """A claim that is expected to hold here and not there has at least two arms."""
    assert claim.prediction != "conditional" or len(claim.arms) > 1


def test_claim_cards_show_what_would_decide() -> None:
    """Before the data a claim displays its criterion, its arms and their regions."""
    for claim in claims.CATALOGUE.values():
        text = " ".join(claim._repr_mimebundle_()["text/plain"].split())
        assert claim.criterion in text
        assert all(f"{arm.quantity}: {arm.region}" in text for arm in claim.arms)


def test_hashes_tell_the_claims_apart() -> None:
    """Each claim's criterion has its own hash."""
    assert len({claim.criterion_hash for claim in claims.CATALOGUE.values()}) == 24


def test_the_joint_level_counts_every_arm() -> None:
    """All intervals hold at once with 95 %: each one's share is 5 % over the number of arms."""
    arms = sum(len(claim.arms) for claim in claims.CATALOGUE.values())
    assert pytest.approx(0.05 / arms) == 1 - claims.SIMULTANEOUS_LEVEL


def test_the_catalogue_holds_no_logic() -> None:
    """It is data, hashed by entry: no function, class, loop or comprehension."""
    import ast

    from bslib.claims import catalogue

    tree = ast.parse(Path(catalogue.__file__).read_text())
    allowed = ast.Import | ast.ImportFrom | ast.Assign | ast.Expr
    assert all(isinstance(node, allowed) for node in tree.body)
    logic = (ast.comprehension, ast.Lambda, ast.IfExp, ast.BinOp)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
