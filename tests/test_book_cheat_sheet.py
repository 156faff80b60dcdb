"""The cheat sheet: each rule follows from outcomes, and each number from a verdict."""

import dataclasses
import re
import string
from collections.abc import Mapping
from itertools import product

import pytest

from bslib import claims
from bslib.book import cheat_sheet, ledger
from bslib.book.cheat_sheet import rules, show
from bslib.book.cheat_sheet.answer import Answer, Support, answer
from bslib.book.cheat_sheet.numbers import Number
from bslib.book.cheat_sheet.rules import ANY, NO, OPEN, YES, Basis, Found, Row, Rule
from bslib.claims import wording
from bslib.stats import Estimate
from bslib.stats.estimate import refused

BASES = [basis for row in cheat_sheet.ROWS for rule in row.rules for basis in rule.bases]
RULES = [rule for row in cheat_sheet.ROWS for rule in row.rules]
STATES = (YES, NO, OPEN, None)
# Numbers from here on stand in no sentence: they can only have come from a verdict.
ODD = 0.8317


def first_arm(rule: Rule) -> str:
    """Name a rule by the first arm that it rests on."""
    return rule.bases[0].arm


def question(row: Row) -> str:
    """Name a row by its question."""
    return row.question


def estimate(arm: claims.Arm, outcome: str) -> Estimate:
    """Return an interval inside the arm's region, outside it, or across its edge."""
    inward = 1.0 if arm.edge == arm.low else -1.0
    room = min(arm.high - arm.low, 1.0) / 4
    if outcome == OPEN:
        return Estimate(arm.edge, arm.edge - room, arm.edge + room, n=8)
    value = arm.edge + inward * room * (2 if outcome == YES else -2)
    return Estimate(value, value - room / 2, value + room / 2, n=8)


def verdict(key: str, outcomes: Mapping[str, str] | None = None) -> claims.Verdict:
    """Judge a claim so that its arms come out as told, and the others supported."""
    outcomes = outcomes or {}
    arms = claims.claim(key).arms
    return claims.judge(key, {arm.name: estimate(arm, outcomes.get(arm.name, YES)) for arm in arms})


def book(**runs: Mapping[str, claims.Verdict]) -> ledger.Ledger:
    """Return a ledger of runs by profile, each its verdicts by claim's key."""
    rows = [
        ledger.Row(
            claim,
            {name: held[key] for name, held in runs.items() if key in held},
            f"{claim.section}/{key}.ipynb",
        )
        for key, claim in claims.CATALOGUE.items()
    ]
    return ledger.Ledger(tuple(rows), tuple(runs))


def entries(**runs: Mapping[str, claims.Verdict]) -> dict[str, ledger.Row]:
    """Return the rows of such a ledger by claim's key."""
    return {row.claim.key: row for row in book(**runs).rows}


def text(found: cheat_sheet.CheatSheet) -> str:
    """Return the plain form on one line."""
    return " ".join(found._repr_mimebundle_()["text/plain"].split())


def outcomes_of(row: Row, outcome: str) -> dict[str, claims.Verdict]:
    """Judge a row's claims so that all its arms come out one way."""
    arms: dict[str, dict[str, str]] = {key: {} for key in row.keys}
    for basis in (basis for rule in row.rules for basis in rule.bases):
        arms[basis.key][basis.arm] = outcome
    return {key: verdict(key, told) for key, told in arms.items()}


@pytest.mark.parametrize("basis", BASES, ids=lambda basis: f"{basis.key} {basis.arm}")
def test_rules_rest_on_arms_that_there_are(basis: Basis) -> None:
    """Every claim and arm that a row names stands in the catalogue under that name."""
    assert basis.arm in {arm.name for arm in claims.claim(basis.key).arms}
    assert basis.asks.split()[0] in {"whether", "what"}


@pytest.mark.parametrize("row", cheat_sheet.ROWS, ids=question)
def test_no_arm_is_asked_twice_in_a_row(row: Row) -> None:
    """An arm decides one rule of a row, so that rules cannot contradict each other by it."""
    named = [(basis.key, basis.arm) for rule in row.rules for basis in rule.bases]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("rule", RULES, ids=first_arm)
def test_every_combination_of_decided_arms_has_a_sentence_of_its_own_rule(rule: Rule) -> None:
    """Whatever arms that are decided come out as, there is a sentence, and it is one."""
    for outcomes in product((YES, NO), repeat=len(rule.bases)):
        sentence = rule.sentence([Found(each) for each in outcomes])
        assert re.fullmatch(r"[A-Z].*\.", sentence), outcomes


@pytest.mark.parametrize("rule", RULES, ids=first_arm)
def test_every_sentence_can_be_reached(rule: Rule) -> None:
    """No entry stands behind one that always comes first, and each is as long as the arms."""
    combinations = list(product(STATES, repeat=len(rule.bases)))
    reached = {rule.sentence([Found(each) for each in outcomes]) for outcomes in combinations}
    assert reached - {""} == set(rule.says.values())
    assert {len(pattern) for pattern in rule.says} == {len(rule.bases)}
    assert {word for pattern in rule.says for word in pattern} <= {YES, NO, OPEN, ANY}


@pytest.mark.parametrize("row", cheat_sheet.ROWS, ids=question)
def test_a_row_says_something_whatever_was_found(row: Row) -> None:
    """Each rule tells a sentence or names what is open, and every undecided arm is named."""
    for rule in row.rules:
        one = Row(row.question, (rule,))
        for outcomes in product((YES, NO, OPEN), repeat=len(rule.bases)):
            told: dict[str, dict[str, str]] = {key: {} for key in one.keys}
            for basis, outcome in zip(rule.bases, outcomes, strict=True):
                told[basis.key][basis.arm] = outcome
            held = {key: verdict(key, arms) for key, arms in told.items()}
            found = answer(one, entries(quick=held))
            pairs = zip(rule.bases, outcomes, strict=True)
            open_arms = [basis.asks for basis, outcome in pairs if outcome == OPEN]
            assert [each.partition(" (")[0] for each in found.unsettled] == open_arms
            assert found.rules or found.unsettled


@pytest.mark.parametrize("row", cheat_sheet.ROWS, ids=question)
def test_another_outcome_shows_another_sentence(row: Row) -> None:
    """A run that found the opposite shows none of the same sentences."""
    one, other = (answer(row, entries(quick=outcomes_of(row, each))).rules for each in (YES, NO))
    assert len(one) == len(other) == len(row.rules)
    assert not set(one) & set(other)


def test_without_a_run_it_says_so() -> None:
    """No verdict: every row is not run, no rule stands, and the note tells the command."""
    found = cheat_sheet.sheet(book())
    assert all(not each.rules and not each.measured for each in found.answers)
    assert text(found).count(show.NOT_RUN) == len(cheat_sheet.ROWS)
    assert "bslib run" in found.notes[0]


def test_a_claim_that_was_not_run_leaves_the_rest_of_its_row() -> None:
    """Of a row on two claims, the one that was run decides its rule; the other's is open."""
    found = cheat_sheet.sheet(book(quick={"3.1": verdict("3.1")}))
    (row,) = [each for each in found.answers if each.question.startswith("Does a larger batch f")]
    assert len(row.rules) == 1
    assert len(row.unsettled) == 1
    assert row.unsettled[0].endswith("(not run)")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.shows], ids=first_arm)
def test_numbers_come_from_the_verdict(rule: Rule) -> None:
    """Each number that is shown is an arm's estimate with its interval, as its verdict has it."""
    values = {basis.arm: ODD + place for place, basis in enumerate(rule.bases)}
    plain = dataclasses.replace(rule, shows=re.sub(r":(doubling|roughly)[^}]*", "", rule.shows))
    row = Row("", (plain,))
    held = {}
    for key in row.keys:
        middles = {arm.name: values.get(arm.name, 0.0) for arm in claims.claim(key).arms}
        estimates = {name: Estimate(at, at - 0.1, at + 0.1, n=8) for name, at in middles.items()}
        held[key] = claims.judge(key, estimates)
    found_of_row = answer(row, entries(quick=held))
    (shown,) = found_of_row.fitted if rule.fitted else found_of_row.measured
    wanted = [wording.interval(at, at - 0.1, at + 0.1) for at in values.values()]
    found = re.findall(r"[\d.]+ \[[^]]+\]", shown)
    assert found
    assert found == wanted[: len(found)]


@pytest.mark.parametrize(
    ("interval", "spec", "words"),
    [
        ((-1.0, -1.0, -1.0), "doubling of the batch size", "50 % lower with each doubling of the"),
        ((-0.653, -0.677, -0.629), "doubling", "36 % lower [35, 37]"),
        ((1.0, 0.5, 2.0), "doubling", "100 % higher [41, 300]"),
        ((0.0, -1.0, 1.0), "doubling", "between 50 % lower and 100 % higher"),
        ((0.0, 0.0, 0.0), "doubling of the batch size", "the same at every batch size"),
        ((0.0, 0.0, 0.0), "doubling", "the same"),
        ((1e6, -1e6, 1e6), "doubling", "between 100 % lower and"),
        ((0.121, 0.0, 0.2), "roughly", "about 0.1"),
        ((0.121, 0.0, 0.2), "", "as measured"),
    ],
)
def test_an_exponent_is_told_by_what_a_doubling_does(
    interval: tuple[float, float, float], spec: str, words: str
) -> None:
    """Two to the exponent, as a change in percent, with its bounds by size."""
    assert format(Number(*interval, "as measured"), spec).startswith(words)


def test_numbers_of_exponents_stand_where_a_sentence_asks_for_doublings() -> None:
    """No row shows a bare exponent, and none reads what is no exponent as one."""
    fields = [
        (rule.bases[int(name) if name else place], spec)
        for rule in RULES
        for place, (_, name, spec, _) in enumerate(
            each for each in string.Formatter().parse(rule.shows) if each[1] is not None
        )
    ]
    for basis, spec in fields:
        (arm,) = [arm for arm in claims.claim(basis.key).arms if arm.name == basis.arm]
        assert ("exponent" in arm.quantity) == bool(spec), (basis.key, basis.arm)


def test_a_gap_that_shrinks_is_told_apart_from_one_that_does_not() -> None:
    """Weight decay shrinks a gap only where the gap with it is surely smaller, and of one sign."""
    (rule,) = [rule for rule in cheat_sheet.GENERALISATION.rules if rule.nearer]
    for pattern, text in rule.nearer.items():
        first, *others = pattern
        large, small = Number(5.0, 4.0, 6.0, ""), Number(2.0, 1.5, 2.5, "")
        shrunk = [Found(first, large), *(Found(each, small) for each in others)]
        alike = [Found(first, large), *(Found(each, large) for each in others)]
        turned = [Found(first, large), *(Found(each, Number(-2, -3, -1, "")) for each in others)]
        assert rule.sentence(shrunk) == text
        assert rule.sentence(alike) == rule.sentence(turned) == rule.says[pattern] != text


def test_what_a_model_gives_is_not_called_measured() -> None:
    """Numbers of 2.9 stand under the fitted model, in both forms; the others under measured."""
    held = {key: verdict(key) for key in ("1.5", "2.9", "3.5")}
    shown = cheat_sheet.sheet(book(quick=held), (cheat_sheet.WORKERS,))._repr_mimebundle_()
    for form in shown.values():
        told = " ".join(re.sub("<[^>]+>", " ", form).split())
        model = told.index(show.FITTED)
        assert told.index(show.MEASURED) < told.index("two workers process") < model
        assert model < told.index("the fastest size moves by")


def test_the_main_rules_are_the_first_of_their_rows() -> None:
    """The front page's sentences are the sheet's bold ones, whichever way the run came out."""
    for outcome in (YES, NO):
        held: dict[str, claims.Verdict] = {}
        for row in cheat_sheet.MAIN:
            held |= outcomes_of(row, outcome)
        found = entries(quick=held)
        wanted = [answer(row, found).rules[0] for row in cheat_sheet.MAIN]
        assert [each.rules for each in cheat_sheet.main_rules(found)] == [(w,) for w in wanted]


def test_an_estimate_that_was_refused_is_not_a_number() -> None:
    """A refused estimate leaves its arm open with the reason, beside the number of the other."""
    below, above, steady = (arm.name for arm in claims.claim("3.8").arms)
    held = {
        below: refused("the best rate lies at the grid's edge"),
        above: Estimate(ODD, ODD - 0.1, ODD + 0.1, n=8),
        steady: Estimate(ODD, ODD - 0.1, ODD + 0.1, n=8),
    }
    found = text(cheat_sheet.sheet(book(quick={"3.8": claims.judge("3.8", held)})))
    assert "(the best rate lies at the grid's edge)" in found
    assert "loses (not measured) below" in found


@pytest.mark.parametrize("rule", RULES, ids=first_arm)
def test_sentences_hold_no_number_that_could_have_been_measured(rule: Rule) -> None:
    """No decimal is typed, and a place for a number is an arm's own."""
    typed = [*rule.says.values(), *(basis.asks for basis in rule.bases), rule.shows]
    assert not [each for each in typed if re.search(r"\d\.\d|\d\s*%", each)]
    fields = [name for _, name, _, _ in string.Formatter().parse(rule.shows) if name is not None]
    assert len(fields) <= len(rule.bases)
    assert not [each for each in rule.says.values() if "{" in each]


def test_the_full_run_decides() -> None:
    """Of two runs the full one's outcome shows; the quick one's stands where that has none."""
    row = cheat_sheet.ADAM
    yes, no = outcomes_of(row, YES)["2.5"], outcomes_of(row, NO)["2.5"]
    both = cheat_sheet.sheet(book(quick={"2.5": yes, "2.1": verdict("2.1")}, full={"2.5": no}))
    alone = cheat_sheet.sheet(book(full={"2.5": no}))
    place = cheat_sheet.ROWS.index(row)
    assert both.answers[place].rules == alone.answers[place].rules
    assert both.answers[0].rules
    assert "full run" in both.notes[0]
    assert "quick run (claims 2.1)" in both.notes[0]
    assert "quick" not in alone.notes[0]


def test_a_run_that_differs_is_named_beside_the_verdict() -> None:
    """The other run's outcome, and the literature's, stand where they are not the same."""
    row = cheat_sheet.LARGEST
    runs = {"quick": outcomes_of(row, YES), "full": outcomes_of(row, NO)}
    (support,) = answer(row, entries(**runs)).supports
    assert support.outcome == NO
    assert support.remarks == ("literature: supported", "quick run: supported")


def test_a_verdict_by_an_older_criterion_decides_nothing() -> None:
    """A criterion that moved after the run leaves the rule open: its arms may be others."""
    old = dataclasses.replace(verdict("2.1"), criterion_hash="0" * 12, arms=())
    found = cheat_sheet.sheet(book(quick={"2.1": old})).answers[0]
    assert not found.rules
    assert all("older criterion" in each for each in found.unsettled)


def test_claims_link_to_their_pages() -> None:
    """Each claim that a row rests on is linked, where it has a page, and has its badge."""
    html = cheat_sheet.sheet(book(quick={"2.1": verdict("2.1")}))._repr_mimebundle_()["text/html"]
    rests = [key for row in cheat_sheet.ROWS for key in row.keys]
    assert re.findall(r'<a href="[^"]*/([\d.]+)\.ipynb"', html) == rests
    assert html.count("bs-supported") == rests.count("2.1")
    bare = Support("2.1", "Memory?", None, None, ())
    assert "<a" not in show.html([Answer("How?", (), (), (), (bare,))], ())


def test_html_escapes_what_it_is_given() -> None:
    """Markup in any text of a row is shown, not obeyed; only backticks in notes become code."""
    bad = "<b>&</b>"
    support = Support(bad, bad, f'"{bad}', YES, (bad,))
    html = show.html([Answer(bad, (bad, bad), (bad,), (bad,), (support,))], (f"`{bad}` {bad}",))
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;&lt;/b&gt;") == 11
    assert "<code>&lt;b&gt;" in html


def test_it_ends_with_the_command_for_a_model_of_ones_own() -> None:
    """The last line names `bslib advise`, in both forms."""
    shown = cheat_sheet.sheet(book())._repr_mimebundle_()
    assert "`bslib advise" in shown["text/plain"].splitlines()[-2]
    assert "<code>bslib advise package.module:function</code>" in shown["text/html"]


def test_plain_text_fits_a_terminal() -> None:
    """No line is longer than 80 columns."""
    held = {key: verdict(key) for key in claims.CATALOGUE}
    plain = cheat_sheet.sheet(book(quick=held))._repr_mimebundle_()["text/plain"]
    assert max(map(len, plain.splitlines())) <= 80


def test_arms_that_try_one_thing_may_disagree() -> None:
    """All supported, all refuted and any mixture have their three sentences."""
    says = rules.alike(3, yes="Y.", no="N.", mixed="M.")
    assert len(says) == 8
    assert says[YES, YES, YES] == "Y."
    assert says[NO, NO, NO] == "N."
    assert sorted(says.values()).count("M.") == 6
