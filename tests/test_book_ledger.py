"""The ledger: every claim, what runs say of it, and whether they agree."""

from pathlib import Path

import pytest

from bslib import claims
from bslib.book import ledger
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
    table = ledger.Ledger((row(), ledger.Row(claims.claim("1.1"), {}, None)), ())
    html = table._repr_mimebundle_()["text/html"]
    assert html.count("<a href=") == 1
    assert '<a href="3-increasing/gradient-variance.ipynb">' in html


def test_a_claim_that_no_gpu_has_decided_says_so() -> None:
    """In the full profile's column: the quick one's only says that it was not run yet."""
    quick = ledger.Ledger((row(quick=verdict("3.3", supported=True)),), ("quick",))
    html = quick._repr_mimebundle_()["text/html"]
    assert "not run on a GPU" in html
    assert "not run yet" not in html
    full = ledger.Ledger((row(full=verdict("3.3", supported=True)),), ("full",))
    html = full._repr_mimebundle_()["text/html"]
    assert "not run yet" in html
    assert "not run on a GPU" not in html


def test_a_verdict_by_an_older_criterion_is_marked() -> None:
    """A criterion that moved after the run shows in the ledger."""
    old = verdict("3.3", supported=True)
    object.__setattr__(old, "criterion_hash", "0" * 12)
    table = ledger.Ledger((row(quick=old),), ("quick",))
    assert "older criterion" in table._repr_mimebundle_()["text/html"]


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
