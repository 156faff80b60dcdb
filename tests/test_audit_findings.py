"""What is found in made-up tables: the fault that was planted, and none in a sound one."""

from pathlib import Path
from typing import Any

import audit_case
import numpy as np
import pandas as pd
import pytest
from audit_case import audited, kinds

from bslib.audit.findings import BLOCKS, NOTE, WEAKENS, Finding

DECAYS = (0.0, 0.0025, 0.01, 0.04)


def finding(table: pd.DataFrame, folder: Path, kind: str, **options: Any) -> Finding:
    found = audited(table, folder, **options)
    matching = [each for each in found.findings if each.kind == kind]
    assert matching, kinds(found)
    return matching[0]


@pytest.mark.parametrize("decays", [(), DECAYS])
@pytest.mark.parametrize("seed", range(3))
def test_a_sound_table_gets_no_alarm(decays: tuple[float, ...], seed: int, tmp_path: Path) -> None:
    """Both budgets, rates inside their grids, fresh seeds enough: nothing is found."""
    found = audited(audit_case.sweep(decays=decays, seed=seed), tmp_path)
    assert not found.findings
    assert "Nothing was found that stands against" in str(found)


def test_equal_epochs_alone_are_a_confound(tmp_path: Path) -> None:
    """At equal epochs alone the fall in steps is told, and what it blocks."""
    found = finding(audit_case.sweep(budgets=["epochs"]), tmp_path, "epochs only")
    assert "64.1-fold, from 10,000 to 156" in found.seen  # 20 * 4000 over 8, and over 512
    assert "2,500" in found.mend
    assert found.severity == BLOCKS
    assert {"2.4", "2.7", "3.9"} <= set(found.claims)


def test_equal_steps_alone_weaken(tmp_path: Path) -> None:
    """At equal steps alone larger batches see more examples, in the ratio of the sizes."""
    found = finding(audit_case.sweep(budgets=["steps"]), tmp_path, "steps only")
    assert found.severity == WEAKENS
    assert "64 times the examples" in found.seen


def test_epochs_without_a_data_size_are_a_confound_too(tmp_path: Path) -> None:
    """Epochs alone tell the fall in steps as a ratio, without counts that nobody knows."""
    made = audit_case.sweep(budgets=["epochs"]).drop(columns="steps").assign(epochs=20)
    found = finding(made, tmp_path, "epochs only")
    assert "fall 64-fold, as" in found.seen


def test_runs_of_their_own_length_share_no_budget(tmp_path: Path) -> None:
    """Early stopping at other steps in every run is no budget at all."""
    made = audit_case.sweep(budgets=["steps"], fresh=())
    generator = np.random.default_rng(0)
    steps = made.assign(steps=generator.integers(500, 5000, len(made)))
    # Whole epochs coincide now and then, which makes no budget.
    epochs = made.drop(columns="steps").assign(epochs=generator.integers(5, 12, len(made)))
    for table in (steps, epochs):
        found = finding(table, tmp_path, "no budget")
        assert found.severity == BLOCKS
        assert "a length of its own" in found.seen


def test_several_budgets_are_no_lengths_of_their_own(tmp_path: Path) -> None:
    """Four lengths, each run by every size and seed, are budgets, of which one is read."""
    made = audit_case.sweep(budgets=["steps"])
    several = pd.concat([made.assign(steps=500 * 3**at) for at in range(4)])
    found = audited(several, tmp_path).facts.budgets
    assert found.steps is not None
    assert not found.own
    assert found.steps.batch_sizes == list(audit_case.SIZES)


def test_equal_seconds_are_a_budget_of_the_machine(tmp_path: Path) -> None:
    """Runs of equal wall clock and nothing else are told as such."""
    made = audit_case.sweep(budgets=["steps"], fresh=())
    made["steps"] = made["steps"] * made["batch_size"] ** -0.5
    found = audited(made.assign(seconds=60.5), tmp_path)
    assert found.facts.budgets.kinds == ["equal wall clock"]
    assert "clock" in kinds(found, BLOCKS)


def test_stray_runs_are_named(tmp_path: Path) -> None:
    """Runs at a length that no other size has are counted, and named by line."""
    made = audit_case.sweep()
    made.loc[made.index[:2], "steps"] = 77
    found = finding(made, tmp_path, "stray runs")
    assert (found.severity, "lines 2, 3" in found.seen) == (NOTE, True)


def test_a_log_of_evaluations_is_recognised(tmp_path: Path) -> None:
    """Six lengths of every setting and seed look like points along trainings."""
    made = audit_case.sweep(budgets=["steps"], fresh=())
    curve = pd.concat([made.assign(steps=100 * at) for at in range(1, 7)])
    assert "log" in kinds(audited(curve, tmp_path))


def test_a_fixed_rate_is_a_confound(tmp_path: Path) -> None:
    """One rate for all sizes is told, with the rate."""
    made = audit_case.sweep(rates=lambda size: [0.05])
    found = finding(made, tmp_path, "untuned")
    assert "one rate 0.05" in found.seen
    assert "2.5" in found.claims


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_scaling_rule_is_recognised(power: float, tmp_path: Path) -> None:
    """One rate a size that follows a power of the size is told with its exponent."""
    made = audit_case.sweep(rates=lambda size: [0.01 * size**power])
    assert f"about B^{power:.2f}" in finding(made, tmp_path, "untuned").seen


@pytest.mark.parametrize(
    ("part", "side", "beyond"),
    [(slice(0, 3), "highest", (2, 4)), (slice(2, 5), "lowest", (1 / 2, 1 / 4))],
)
def test_edges_are_told_with_side_and_size(
    part: slice, side: str, beyond: tuple[float, float], tmp_path: Path
) -> None:
    """Where the best rate ends the grid, the size, the side and the next rates are told."""
    made = audit_case.sweep(
        rates=lambda size: audit_case.grid(size)[part if size == 128 else slice(None)]
    )
    found = finding(made, tmp_path, "rate at an edge")
    rate = audit_case.best_rate(128)
    assert found.seen == f"{rate:.4g} at batch size 128, the {side} of 3"
    assert found.mend == f"there: {rate * beyond[0]:.4g} and {rate * beyond[1]:.4g} at 128"


def test_a_decay_at_the_top_is_an_edge_and_none_is_not(tmp_path: Path) -> None:
    """The largest decay as the best is an edge; no decay as the best is not."""
    top = audited(audit_case.sweep(decays=(0.0, 0.0025, 0.01)), tmp_path)
    assert "decay at an edge" in kinds(top, BLOCKS)
    made = audit_case.sweep(decays=(0.0, 0.0025, 0.01))
    made["weight_decay"] = 0.01 - made["weight_decay"]  # the best is now 0
    assert "decay at an edge" not in kinds(audited(made, tmp_path))


def test_a_decay_that_follows_the_size_is_confounded(tmp_path: Path) -> None:
    """One decay a size, another at each, cannot be told from the size."""
    made = audit_case.sweep()
    made["weight_decay"] = made["batch_size"] * 1e-5
    assert "decay confounded" in kinds(audited(made, tmp_path), BLOCKS)


def test_a_coarse_grid_is_told(tmp_path: Path) -> None:
    """Rates a factor of ten apart leave the optimum to luck; a factor of two does not."""
    made = audit_case.sweep(rates=lambda size: audit_case.grid(size, 3, 10.0))
    assert "a factor of 10" in finding(made, tmp_path, "coarse grid").seen


def test_more_tries_are_told_unless_seeds_are_fresh(tmp_path: Path) -> None:
    """Seven rates against three flatter one size, but not where winners were run again."""

    def rates(size: int) -> list[float]:
        return audit_case.grid(size, 7 if size == 8 else 3)

    same = finding(audit_case.sweep(rates=rates, fresh=()), tmp_path, "unequal grids")
    assert "3 rates at 32, 7 at 8" in same.seen
    assert "unequal grids" not in kinds(audited(audit_case.sweep(rates=rates), tmp_path))


def test_choice_on_the_reported_seeds_is_told(tmp_path: Path) -> None:
    """Without fresh seeds the winners are compared on the runs that chose them."""
    found = audited(audit_case.sweep(fresh=(), seeds=range(12)), tmp_path)
    assert kinds(found) == {"chosen on the same seeds"}


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_block(seeds: int, tmp_path: Path) -> None:
    """One or two seeds decide nothing, whatever else is right."""
    found = audited(audit_case.sweep(seeds=range(seeds), fresh=()), tmp_path)
    assert "few seeds" in kinds(found, BLOCKS)


def test_how_many_seeds_are_needed_grows_with_the_noise(tmp_path: Path) -> None:
    """Seeds that differ by three times as much need many more, and quiet ones suffice."""
    quiet = audited(audit_case.sweep(noise=0.2, fresh=range(100, 104)), tmp_path)
    noisy = audited(audit_case.sweep(noise=1.5, fresh=range(100, 104)), tmp_path)
    assert "weak" not in kinds(quiet)
    assert "weak" in kinds(noisy, WEAKENS)
    assert quiet.facts.seeds_for_a_point is not None
    assert noisy.facts.seeds_for_a_point is not None
    # A paired difference varies by sqrt(2) 1.5 points: half a point's room each way at 80 %
    # takes ((1.96 + 0.84) 2.1)^2 = 35 seeds.
    assert quiet.facts.seeds_for_a_point <= 4
    assert 16 <= noisy.facts.seeds_for_a_point <= 64


def test_seeds_that_are_not_shared_are_told(tmp_path: Path) -> None:
    """Each size with seeds of its own cannot pair; a table without seeds cannot either."""
    made = audit_case.sweep()
    own = made.assign(seed=made["seed"] + 1000 * made["batch_size"])
    assert "unpaired" in kinds(audited(own, tmp_path), NOTE)
    assert "no seeds" in kinds(audited(made.drop(columns="seed"), tmp_path), NOTE)


def test_choices_on_test_data_are_told(tmp_path: Path) -> None:
    """A test metric that chooses is told, and the validation metric beside it is named."""
    made = audit_case.sweep()
    made["test_acc"] = made["validation_accuracy"]
    assert "chosen on test data" not in kinds(audited(made, tmp_path))
    found = finding(made, tmp_path, "chosen on test data", metric="test_acc")
    assert found.mend == "--metric validation_accuracy"


def test_a_training_metric_says_nothing_of_generalisation(tmp_path: Path) -> None:
    """Training loss alone blocks what asks for held-out data."""
    made = audit_case.sweep()
    made["train_loss"] = 100 - made.pop("validation_accuracy")
    found = finding(made, tmp_path, "training metric")
    assert "2.7" in found.claims


def test_failed_runs_are_listed(tmp_path: Path) -> None:
    """Failures at rates that lose are noted with their setting, and nothing is dropped."""
    made = audit_case.sweep()
    worst = (made["batch_size"] == 8) & (made["learning_rate"] == max(audit_case.grid(8)))
    made.loc[worst, "validation_accuracy"] = np.nan
    found = finding(made, tmp_path, "failed runs")
    assert found.severity == NOTE
    assert f"batch size 8 rate {max(audit_case.grid(8)):.4g} (8)" in found.seen


def test_fractions_among_percentages_are_told(tmp_path: Path) -> None:
    """One fraction beside percentages is a fault that names both lines; zeros and ones are not."""
    made = audit_case.sweep()
    made.loc[made.index[3], "validation_accuracy"] /= 100
    found = finding(made, tmp_path, "mixed units")
    assert found.severity == BLOCKS
    assert "on line 5 and" in found.seen
    assert found.seen.endswith("on line 2")
    shares = audit_case.sweep().assign(validation_accuracy=lambda each: each.iloc[:, -1] / 100)
    shares.loc[shares.index[3], "validation_accuracy"] = 1.0
    for sound in (shares, made.drop(made.index[3])):
        sound.loc[sound.index[5], "validation_accuracy"] = 0.0
        assert "mixed units" not in kinds(audited(sound, tmp_path))
    losses = made.rename(columns={"validation_accuracy": "validation_loss"})
    assert "mixed units" not in kinds(audited(losses, tmp_path))


def test_repeats_are_told(tmp_path: Path) -> None:
    """Rows that are there twice are told, apart from seeds that gave two results."""
    made = audit_case.sweep()
    twice = pd.concat([made, made.head(2), made.tail(1).assign(validation_accuracy=1.0)])
    found = audited(twice, tmp_path)
    assert {"copies", "repeated seeds"} <= kinds(found)


def test_narrow_ranges_are_told(tmp_path: Path) -> None:
    """Sizes within a factor of four cannot bracket a critical one, nor can two sizes."""
    for sizes in ((32, 48, 64), (8, 512)):
        assert "narrow range" in kinds(audited(audit_case.sweep(sizes=sizes), tmp_path), BLOCKS)


def test_steps_to_target_give_the_critical_batch_size(tmp_path: Path) -> None:
    """On the law, with 3 % of noise, the planted bend is found; beyond the sizes it is not."""
    sizes = [2**power for power in range(3, 12)]
    made = audit_case.to_target(sizes=sizes, bend=150)
    target = audited(made, tmp_path).facts.to_target
    assert target is not None
    assert target.critical_batch_size.value == pytest.approx(150, rel=0.1)
    short = audited(audit_case.to_target(sizes=sizes, bend=40_000), tmp_path)
    assert "no critical batch size" in kinds(short, BLOCKS)


def test_settings_that_differ_are_told(tmp_path: Path) -> None:
    """A setting that follows the batch size is told as confounded with it."""
    made = audit_case.sweep()
    made["momentum"] = np.where(made["batch_size"] > 100, 0.9, 0.0)
    found = finding(made, tmp_path, "other settings")
    assert "one value a batch size" in found.seen


def test_steps_and_epochs_that_contradict_are_told(tmp_path: Path) -> None:
    """Steps that do not fit the epochs are named by line; rounding up a batch is no fault."""
    made = audit_case.sweep(budgets=["epochs"]).assign(epochs=20, data_size=4000)
    rounded = made.assign(steps=20 * np.ceil(4000 / made["batch_size"]))
    assert "steps against epochs" not in kinds(audited(rounded, tmp_path))
    made.loc[made.index[0], "steps"] *= 2
    assert finding(made, tmp_path, "steps against epochs").seen.startswith("line 2:")
