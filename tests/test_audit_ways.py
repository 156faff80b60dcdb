"""The four ways on made-up tables: the planted winner, who may be it, and why there is none."""

from pathlib import Path
from typing import Any

import audit_case
import numpy as np
import pandas as pd
import pytest
from audit_case import audited

from bslib import audit
from bslib.audit.budgets import STEPS as EQUAL_STEPS
from bslib.audit.ways import Way
from bslib.scaling.best_batch_size import DECAYED, EPOCHS, FIXED, STEPS, WAYS

DECAYS = (0.0, 0.0025, 0.01, 0.04)


def ways(table: pd.DataFrame, folder: Path, **options: Any) -> dict[str, Way]:
    return dict(audited(table, folder, **options).facts.ways)


def test_a_planted_winner_is_found_in_every_way(tmp_path: Path) -> None:
    """A size that is better by two points is the one contender in all four ways."""
    # Few octaves between the sizes' best rates, so that the fixed rate hides nothing.
    found = ways(audit_case.sweep(sizes=(128, 256, 512), decays=DECAYS, effect={128: 2}), tmp_path)
    assert list(found) == list(WAYS)
    assert {way.contenders for way in found.values()} == {(128,)}
    assert all(way.paired and way.seeds == 12 for name, way in found.items() if name != FIXED)


def test_a_planted_confound_moves_the_answer(tmp_path: Path) -> None:
    """A penalty on large batches at equal epochs alone is not there at equal steps."""
    epochs = audit_case.sweep(budgets=["epochs"], effect={128: -3, 512: -8})
    steps = audit_case.sweep(budgets=["steps"], effect={512: 1}, seed=1)
    both = pd.concat([epochs, steps]).drop_duplicates(
        ["batch_size", "learning_rate", "steps", "seed"]
    )
    found = ways(both, tmp_path)
    assert set(found[EPOCHS].contenders) <= {8, 32}
    assert found[STEPS].contenders == (512,)
    assert found[EPOCHS].spread == pytest.approx(8, abs=0.5)
    assert "The answer moves with the way of asking" in str(audited(both, tmp_path))


def test_equal_sizes_have_no_winner(tmp_path: Path) -> None:
    """Where sizes do not differ all may be the best, and it takes many seeds to say else."""
    found = ways(audit_case.sweep(noise=1.0), tmp_path)[STEPS]
    assert len(found.contenders) > 1
    assert found.needed is None or found.needed > found.seeds


def test_a_size_at_an_edge_is_never_ruled_out(tmp_path: Path) -> None:
    """A size whose grid ends below its best rate loses on the table, and stays a contender."""
    low = audit_case.sweep(
        rates=lambda size: audit_case.grid(size)[: 2 if size == 512 else 5], fresh=()
    )
    found = ways(low, tmp_path)[STEPS]
    assert found.edges == (512,)
    assert 512 in found.contenders
    assert found.best != 512


def test_seeds_pair_where_they_can(tmp_path: Path) -> None:
    """Shared luck of the seeds cancels in pairs; with other seeds at each size it does not."""
    made = audit_case.sweep(fresh=(), seeds=range(6), effect={8: 0.6}, noise=0.1)
    paired = ways(made, tmp_path)[STEPS]
    assert paired.paired
    assert paired.contenders == (8,)
    # Each size gets other runs of the six, and names of its own.
    shift = made["batch_size"].map({8: 0, 32: 1, 128: 2, 512: 3})
    luck = np.random.default_rng(3).normal(size=100)
    own = made.assign(
        seed=made["seed"] + 10 * shift,
        validation_accuracy=made["validation_accuracy"] + 2 * luck[made["seed"] + 10 * shift],
    )
    unpaired = ways(own, tmp_path)[STEPS]
    assert not unpaired.paired
    assert unpaired.seeds == 6
    assert len(unpaired.contenders) > 1


def test_without_seeds_rows_are_repeats(tmp_path: Path) -> None:
    """A table without a seed column is read as independent repeats, in no order of results."""
    made = audit_case.sweep(fresh=(), effect={32: 9}).drop(columns="seed")
    found = ways(made.sort_values("validation_accuracy"), tmp_path)[STEPS]
    assert (found.seeds, found.contenders) == (4, (32,))


def test_failed_sizes_are_left_out_and_named(tmp_path: Path) -> None:
    """A size that fails at its best rate is not compared, and the answer says so."""
    made = audit_case.sweep(fresh=())
    made.loc[(made["batch_size"] == 512) & (made["seed"] == 1), "validation_accuracy"] = np.nan
    found = audited(made, tmp_path)
    left_out, rates = found.facts.ways[STEPS].left_out, found.facts.ways[STEPS].rates
    assert left_out is not None
    assert rates is not None
    assert set(rates) == {8, 32, 128}
    assert left_out[512].startswith("1 of 4 runs failed")
    assert "without 512 (1 of 4 runs failed" in " ".join(str(found).split())


def test_a_size_of_which_every_run_failed_has_no_winner(tmp_path: Path) -> None:
    """No edge is told of it, no exponent rests on it, and it is named as left out."""
    made = audit_case.sweep()
    made.loc[made["batch_size"] == 512, "validation_accuracy"] = np.nan
    found = audited(made, tmp_path)
    (lost,) = (each for each in found.facts.sizes[EQUAL_STEPS] if each.batch_size == 512)
    assert (lost.won, lost.side, lost.edge, lost.tuned) == (False, "", False, False)
    left_out = found.facts.ways[STEPS].left_out
    assert left_out is not None
    assert left_out[512] == "every run failed"
    assert "rate at an edge" not in audit_case.kinds(found)
    assert found.facts.exponents[EQUAL_STEPS].n == 3


def test_a_rate_that_fails_now_and_then_does_not_win(tmp_path: Path) -> None:
    """One failed seed at the best rate hands the choice to the next, at which none failed."""
    made = audit_case.sweep(fresh=())
    best = (made["batch_size"] == 512) & (made["learning_rate"] == audit_case.best_rate(512))
    made.loc[best & (made["seed"] == 1), "validation_accuracy"] = np.nan
    rates = ways(made, tmp_path)[STEPS].rates
    assert rates is not None
    assert rates[512] in audit_case.grid(512)[1:4:2]
    assert rates[128] == audit_case.best_rate(128)


@pytest.mark.parametrize(
    ("settings", "way", "says"),
    [
        ({"budgets": ["epochs"]}, STEPS, "share no number of steps"),
        ({"budgets": ["steps"]}, FIXED, "share no number of epochs"),
        ({"rates": lambda size: [0.1]}, EPOCHS, "the rate is not tuned: one rate only"),
        ({"rates": lambda size: [size / 1e3]}, FIXED, "no two batch sizes"),
        ({"rates": lambda size: audit_case.grid(size)[:2]}, STEPS, "at an edge"),
        ({}, DECAYED, "weight decay and rate are not both varied"),
    ],
)
def test_each_way_says_what_it_lacks(
    settings: dict[str, Any], way: str, says: str, tmp_path: Path
) -> None:
    """A way that the rows do not allow gives its reason, and no answer."""
    found = ways(audit_case.sweep(fresh=(), **settings), tmp_path)[way]
    assert says in found.reason
    assert found.best is None


def test_losses_are_made_small(tmp_path: Path) -> None:
    """With a loss as the metric, the size of the lowest is the best."""
    made = audit_case.sweep(effect={8: 3})
    made["val_loss"] = 100 - made.pop("validation_accuracy")
    assert ways(made, tmp_path)[STEPS].contenders == (8,)


def test_fractions_are_told_in_points(tmp_path: Path) -> None:
    """Accuracies up to 1 and up to 100 give the same spreads, in points."""
    made = audit_case.sweep(effect={8: 3})
    hundredth = made.assign(validation_accuracy=made["validation_accuracy"] / 100)
    first, second = (ways(each, tmp_path)[STEPS].spread for each in (made, hundredth))
    assert first == pytest.approx(second)


def test_one_seed_rules_nothing_out(tmp_path: Path) -> None:
    """With a single seed every size may be the best."""
    found = audited(audit_case.sweep(seeds=[0], fresh=(), effect={8: 9}), tmp_path)
    assert found.facts.ways[STEPS].contenders == audit_case.SIZES
    assert "one seed rules nothing out" in str(found)


def test_the_audit_is_deterministic(tmp_path: Path) -> None:
    """The same file gives the same words, also where repeats are matched at random."""
    path = audit_case.written(audit_case.sweep(fresh=()).drop(columns="seed"), tmp_path)
    assert str(audit.audit(path)) == str(audit.audit(path))
