"""The ledger: every claim, what runs say of it, and whether they agree."""

import re
from pathlib import Path

import pytest

from bslib import claims
from bslib.book import ledger, outcomes
from bslib.book.run_folder import Record, RunFolder
from bslib.refusal import Refusal
from bslib.stats import Estimate

# Inside and outside the region of every arm that 3.3 has: an exponent near minus one.
NEAR, FAR = 0.01, 5.0


def verdict(key: str, *, supported: bool) -> claims.Verdict:
    """Judge a claim by estimates deep inside, or far outside, its regions."""
    arms = claims.claim(key).arms
    middles = {arm.name: (arm.low + arm.high) / 2 for arm in arms}
    shift = 0.0 if supported else FAR
    estimates = {
        name: Estimate(middle + shift, middle + shift - NEAR, middle + shift + NEAR, n=8)
        for name, middle in middles.items()
    }
    return claims.judge(key, estimates)


def row(**verdicts: claims.Verdict) -> ledger.Row:
    return ledger.Row(claims.claim("3.3"), verdicts, "3-increasing/gradient-variance.ipynb")


def test_runs_that_differ_are_said_to_differ() -> None:
    """Agreement is between the runs first, then with the literature."""
    yes, no = verdict("3.3", supported=True), verdict("3.3", supported=False)
    assert row(quick=yes, full=no).agreement == "quick and full differ"
    assert row(quick=yes, full=yes).agreement == "quick and full agree; as the literature predicts"
    assert row(full=no).agreement == "not as the literature predicts"
    assert row().agreement == ""


def recorded(folder: Path, profile: str) -> Path:
    """Write a run that holds no notebook."""
    folder.mkdir()
    RunFolder(folder).write(Record(profile, "a CPU", {}, "", "2025-11-23"))
    return folder


def test_every_claim_has_a_row_whether_it_was_run_or_not(tmp_path: Path) -> None:
    """Claims without a verdict stand in the ledger as not run, and are counted."""
    found = ledger.read(str(recorded(tmp_path / "run", "quick")))
    assert [each.claim.key for each in found.rows] == list(claims.CATALOGUE)
    count = len(claims.CATALOGUE)
    shown = ledger.summary(found)._repr_mimebundle_()["text/plain"]
    assert shown == f"Quick profile: no verdict; {count} of {count} claims not run."


def test_outcomes_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The summary counts each outcome once, and names the rest as not run."""
    judged = {"3.3": verdict("3.3", supported=True)}
    monkeypatch.setattr(ledger, "read_verdicts", lambda folder: judged)
    found = ledger.read(full_dir=str(recorded(tmp_path / "run", "full")))
    shown = ledger.summary(found)._repr_mimebundle_()["text/plain"]
    rest = len(claims.CATALOGUE) - 1
    assert shown == f"Full profile: 1 supported; {rest} of {rest + 1} claims not run."


def test_without_a_run_it_says_how_to_make_one() -> None:
    """Neither folder given: the table stands, and the summary tells the command."""
    shown = ledger.summary(ledger.read())._repr_mimebundle_()["text/plain"]
    assert "bslib run" in shown


def test_rows_link_to_the_pages_that_there_are() -> None:
    """A claim with a notebook links to it; one without has no link."""
    rows = (row(), ledger.Row(claims.claim("1.1"), {}, None))
    html = ledger.Ledger(rows, ())._repr_mimebundle_()["text/html"]
    assert html.count("<a href=") == 1
    assert '<a href="3-increasing/gradient-variance.ipynb">' in html


def table(found: ledger.Row, *profiles: str) -> str:
    return ledger.Ledger((found,), profiles)._repr_mimebundle_()["text/html"]


def test_a_claim_that_one_run_lacks_says_so_in_its_column() -> None:
    """In the full profile's column no GPU has run it, in the quick one's it was not run yet."""
    html = table(row(quick=verdict("3.3", supported=True)), "quick", "full")
    assert "not run on a GPU" in html
    assert "not run yet" not in html
    html = table(row(full=verdict("3.3", supported=True)), "quick", "full")
    assert "not run yet" in html
    assert "not run on a GPU" not in html


@pytest.mark.parametrize(("given", "other"), [("quick", "Full"), ("full", "Quick")])
def test_a_run_that_was_not_given_has_no_column_and_is_told_once(given: str, other: str) -> None:
    """One sentence above the table says that the other profile is missing."""
    html = table(row(**{given: verdict("3.3", supported=True)}), given)
    heads = re.findall(r'<th scope="col">(\w+)</th>', html)
    assert heads == ["Claim", "Literature", given.capitalize()]
    assert other not in heads
    assert html.count(ledger.ONE_RUN[given]) == 1
    both = table(row(**{given: verdict("3.3", supported=True)}), "quick", "full")
    assert ledger.ONE_RUN[given] not in both


def test_two_conditional_verdicts_are_not_called_as_predicted() -> None:
    """Other arms may have come out so than were expected to: the page tells."""
    mixed = arms_as("1.1", 1, -1)
    assert mixed.outcome == claims.claim("1.1").prediction == "conditional"
    found = ledger.Row(claims.claim("1.1"), {"quick": mixed}, None)
    assert found.agreement == "the same verdict; see the page for the arms"


def arms_as(key: str, *sides: int, device: str = "") -> claims.Verdict:
    """Judge a claim so that each arm lies inside its region (1), outside (-1) or across (0)."""
    estimates = {}
    for arm, side in zip(claims.claim(key).arms, sides, strict=True):
        inward = 1 if arm.edge == arm.low else -1
        room = min(arm.high - arm.low, 1.0) / 4
        at = arm.edge + inward * side * 2 * room
        estimates[arm.name] = Estimate(at, at - room / 2, at + room / 2, n=8)
    return claims.judge(key, estimates, {"device": device} if device else None)


def test_an_open_claim_counts_its_arms() -> None:
    """How many are decided which way, and how many are open, on the front page and here."""
    most, none = arms_as("2.7", -1, -1, 0), arms_as("2.7", 0, 0, 0)
    assert outcomes.glance(most, timed=False) == ["2 of 3 arms refuted, 1 open"]
    assert outcomes.glance(none, timed=False) == ["all 3 arms open"]
    first, second = outcomes.remarks(most, timed=False)
    assert first == "2 of 3 arms refuted, 1 open."
    assert "Not decided: a tuned learning rate, equal steps (no practical number of" in second


def test_a_conditional_claim_names_its_arms() -> None:
    """All of them in the ledger; on the front page one an outcome, and how many more."""
    names = [arm.name for arm in claims.claim("1.6").arms]
    found = arms_as("1.6", 1, -1, 1, -1, 1)
    assert outcomes.glance(found, timed=True) == [
        f"Supported: {names[0]}, and 2 more.",
        f"Refuted: {names[1]}, and 1 more.",
    ]
    (said,) = outcomes.remarks(found, timed=True)
    assert said == f"Supported: {'; '.join(names[::2])}. Refuted: {'; '.join(names[1::2])}."


@pytest.mark.parametrize("sides", [(1, 1), (-1, -1)])
def test_a_verdict_on_the_devices_own_time_names_the_device(sides: tuple[int, int]) -> None:
    """Supported or refuted, where the page times; elsewhere the badge stands alone."""
    found = arms_as("3.2", *sides, device="CPU (a CPU)")
    for told in (outcomes.glance, outcomes.remarks):
        assert told(found, timed=True) == ["on CPU (a CPU)"]
        assert told(found, timed=False) == []
    timed = ledger.Row(claims.claim("3.2"), {"quick": found}, None, timed=True)
    assert "<p>on CPU (a CPU)</p>" in table(timed, "quick")


def test_the_ledger_knows_which_pages_time() -> None:
    """Read from the notebooks' own metadata."""
    timed = {each.claim.key for each in ledger.read().rows if each.timed}
    assert {"1.2", "3.2"} <= timed
    assert "3.3" not in timed


def test_a_verdict_by_an_older_criterion_is_marked() -> None:
    """A criterion that moved after the run shows in the ledger."""
    old = verdict("3.3", supported=True)
    object.__setattr__(old, "criterion_hash", "0" * 12)
    assert "older criterion" in table(row(quick=old), "quick")


@pytest.mark.parametrize(("name", "profile"), [("quick_dir", "full"), ("full_dir", "quick")])
def test_a_run_of_the_other_profile_is_refused(tmp_path: Path, name: str, profile: str) -> None:
    """Verdicts do not stand in the wrong column."""
    folder = recorded(tmp_path / "run", profile)
    with pytest.raises(Refusal, match=f"{name}.*{profile} profile"):
        ledger.read(**{name: str(folder)})


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(Refusal, match=str(tmp_path)):
        ledger.read(quick_dir=str(tmp_path))
