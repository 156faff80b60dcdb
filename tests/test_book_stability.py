"""Stability: seeds are drawn from a run's tables, and every draw is judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_checkout import make_checkout, notebook_text

from bslib import claims, evidence, stats
from bslib.book import checkout, stability
from bslib.book.run_folder import Entry, Provenance, Record, RunFolder
from bslib.cli import commands
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate

NOTEBOOK = "chapters/3-increasing/one.ipynb"
PARAMETERS = "seeds: int = 8  # repeats"
ARMS = [arm.name for arm in claims.claim("3.9").arms]


def arms(runs: pd.DataFrame) -> dict[str, Estimate]:
    return {name: stats.mean(runs[name]) for name in ARMS}


@pytest.fixture
def book(tmp_path: Path) -> checkout.Checkout:
    notebooks = {NOTEBOOK: notebook_text(["1"], PARAMETERS, claim="3.9")}
    root = make_checkout(tmp_path / "book", notebooks)
    profile = root / "profiles" / "full" / "one.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("# gpu_seconds: 1\nseeds: 20\n")
    return checkout.Checkout(root)


def stored(root: Path, gap: float, mended: float, *, seeds: int = 24, sd: float = 0.3) -> Path:
    made = Provenance("CPU", {}, "", "2025-01-01T00:00:00+00:00", "quick")
    entry = Entry("3.9", "ok", 1.0, {"seeds": seeds}, "", made)
    RunFolder(root).store(Record("quick", "CPU", {}, "", made.started), NOTEBOOK, entry, "{}")
    random = np.random.default_rng(0)
    values = {
        name: random.normal(mean, sd, seeds) for name, mean in zip(ARMS, [gap, mended], strict=True)
    }
    frame = pd.DataFrame({"seed": range(seeds), **values})
    evidence.write(evidence.Evidence("3.9", arms, {"runs": frame}, {}), root / ".cache")
    return root


def test_a_clear_effect_is_steady(tmp_path: Path, book: checkout.Checkout) -> None:
    """Two arms far inside their regions are supported in every draw of as many seeds as quick's."""
    (found,) = stability.measure(stored(tmp_path / "run", 3.0, 0.0), book, draws=20)
    assert (found.seeds, found.of) == (8, 24)
    assert found.outcomes == {"supported": 20}
    assert found.steady
    assert [arm.name for arm in found.arms] == ARMS
    assert all(arm.quick > 0.9 and arm.full >= arm.quick for arm in found.arms)


def test_an_effect_near_its_margin_is_not_steady(tmp_path: Path, book: checkout.Checkout) -> None:
    """An arm that some draws support and others leave open is told from a steady one."""
    run = stored(tmp_path / "run", 2.0, 0.0, sd=1.1)
    (found,) = stability.measure(run, book, draws=60)
    assert not found.steady
    assert set(found.outcomes) == {"supported", "inconclusive"}


def test_contradiction_is_never_steady() -> None:
    """Nine supported and one refuted draw agree by count, and contradict each other."""
    found = stability.Stability("3.9", 8, 24, {"supported": 9, "refuted": 1}, ())
    assert found.usual == "supported"
    assert not found.steady


@pytest.mark.parametrize("seeds", [8, 14])
def test_too_few_seeds_are_refused(tmp_path: Path, book: checkout.Checkout, seeds: int) -> None:
    """Drawing needs more seeds than are drawn, and never fewer than fifteen."""
    run = stored(tmp_path / "run", 3.0, 0.0, seeds=seeds)
    with pytest.raises(Refusal, match=r"bslib run 3\.9 -p seeds 16"):
        stability.measure(run, book)


def test_the_prescribed_number_of_seeds_is_taken(tmp_path: Path, book: checkout.Checkout) -> None:
    """Where twice the default is still too few, the command names the fewest that are not."""
    page = book.root / NOTEBOOK
    page.write_text(page.read_text().replace("seeds: int = 8", "seeds: int = 3"))
    run = stored(tmp_path / "run", 3.0, 0.0, seeds=6)
    with pytest.raises(Refusal, match=r"at least 15: bslib run 3\.9 -p seeds 15"):
        stability.measure(run, book)
    (found,) = stability.measure(stored(tmp_path / "more", 3.0, 0.0, seeds=15), book, draws=2)
    assert found.seeds == 3


def test_a_run_without_tables_is_refused(tmp_path: Path, book: checkout.Checkout) -> None:
    """It says how to make them."""
    run = stored(tmp_path / "run", 3.0, 0.0)
    (run / ".cache" / "evidence" / "3.9.json").unlink()
    with pytest.raises(Refusal, match="bslib run"):
        stability.measure(run, book)


def told(run: Path, *options: str) -> Any:
    return CliRunner().invoke(commands, ["claims", "--stability", str(run), *options])


def test_the_command_tells_it(
    tmp_path: Path, book: checkout.Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bslib claims --stability` in words and as JSON; a second run beside it is refused."""
    monkeypatch.chdir(book.root)
    run = stored(tmp_path / "run", 3.0, 0.0)
    assert "3.9  8 of 24 seeds: supported 100; steady" in told(run).output
    (row,) = json.loads(told(run, "--json").output)
    assert row["steady"] is True
    assert told(run, "--against", str(run)).exit_code == 2
