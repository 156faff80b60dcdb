"""What a verdict rests on can be kept, read back and drawn from, seed by seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bslib import evidence, stats, sweeps
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate

SEEDS = range(100, 120)


def gap(runs: pd.DataFrame, steps: pd.DataFrame, *, scale: float) -> dict[str, Estimate]:
    joined = runs.merge(steps, how="cross") if "seed" not in steps else runs.merge(steps, on="seed")
    return {"gap": stats.mean(scale * joined["gain"] / joined["cost"])}


def made(paired: bool = True) -> evidence.Evidence:
    gains = np.random.default_rng(0).normal(2, 1, len(SEEDS))
    runs = pd.DataFrame({"seed": SEEDS, "gain": gains})
    steps = pd.DataFrame({"seed": SEEDS, "cost": gains}) if paired else pd.DataFrame({"cost": [2]})
    return evidence.Evidence("2.4", gap, {"runs": runs, "steps": steps}, {"scale": 3.0})


def test_it_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    """Tables, settings and the estimator survive, and so do the estimates."""
    evidence.write(made(), tmp_path)
    back = evidence.read(tmp_path, "2.4")
    assert back is not None
    assert back.estimates() == made().estimates()
    assert list(evidence.keys(tmp_path)) == ["2.4"]


def test_arms_are_kept_only_where_a_run_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook in Jupyter leaves nothing behind; one in a run leaves its evidence."""
    monkeypatch.delenv(sweeps.FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    alone = evidence.arms("2.4", gap, frames=made().frames, scale=3.0)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(sweeps.FOLDER, str(tmp_path))
    assert evidence.arms("2.4", gap, frames=made().frames, scale=3.0) == alone
    assert list(evidence.keys(tmp_path)) == ["2.4"]


def test_pairs_stay_pairs() -> None:
    """Tables with equally many seeds keep the same ones: gain over cost is 1 in every draw."""
    drawn = made().draw(0.5, np.random.default_rng(1))
    assert drawn.estimates()["gap"].value == pytest.approx(3.0)
    assert drawn.frames["runs"]["seed"].nunique() == 10


def test_draws_differ_and_follow_their_generator() -> None:
    """One state of the generator gives one draw; another gives another."""

    def seeds(state: int) -> set[int]:
        return set(made().draw(0.5, np.random.default_rng(state)).frames["runs"]["seed"])

    assert seeds(1) == seeds(1) != seeds(2)


def test_a_table_without_seeds_is_not_drawn_from() -> None:
    """Times or settings that no seed numbers stay whole."""
    drawn = made(paired=False).draw(0.1, np.random.default_rng(0))
    assert len(drawn.frames["steps"]) == 1
    assert drawn.frames["runs"]["seed"].nunique() == 2


def test_nothing_kept_is_none_and_damage_is_refused(tmp_path: Path) -> None:
    """A run without evidence differs from one whose evidence this version cannot read."""
    assert evidence.read(tmp_path, "2.4") is None
    evidence.write(made(), tmp_path)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace('"gap"', '"gone"', 1))
    with pytest.raises(Refusal, match="run the notebook again"):
        evidence.read(tmp_path, "2.4")
