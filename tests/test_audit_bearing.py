"""Which claims a table bears on: computed from what it has, for every arm of the catalogue."""

import dataclasses
from pathlib import Path

import audit_case
import pandas as pd
import pytest
from audit_case import audited

from bslib import audit
from bslib.audit import bearing
from bslib.audit.bearing import CAN, COULD, IN_PART, NOTHING
from bslib.audit.needs import NEEDS
from bslib.claims import CATALOGUE

DECAYS = (0.0, 0.0025, 0.01, 0.04)


def status(found: audit.Audit) -> dict[str, str]:
    return {each.key: each.status for each in found.bearings}


def test_arms_and_needs_are_those_that_there_are() -> None:
    """Every arm named is in the catalogue, and every claim has arms or a reason for silence."""
    arms = {(key, arm.name) for key, claim in CATALOGUE.items() for arm in claim.arms}
    assert set(bearing.ARMS) <= arms
    assert set().union(*bearing.ARMS.values()) == set(NEEDS)
    spoken = {key for key, _ in bearing.ARMS}
    assert spoken | set(bearing.ABOUT) == set(CATALOGUE)
    assert not spoken & set(bearing.ABOUT)


def test_a_claim_that_is_new_breaks_no_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim without arms or a reason for silence here is told as one that no table bears on."""
    new = dataclasses.replace(CATALOGUE["1.1"], key="4.1")
    monkeypatch.setitem(CATALOGUE, "4.1", new)  # type: ignore[arg-type]
    found = audited(audit_case.sweep(), tmp_path)
    assert found.bearings[-1].reason == "it is about what no table of runs holds"
    words = " ".join(str(found).split())
    assert "4.1 (what no table of runs holds)" in words
    assert f"of the {len(CATALOGUE)} claims it can" in words
    assert f"Which of the {len(CATALOGUE)} claims" in words


def test_every_claim_is_told_once(tmp_path: Path) -> None:
    """An audit speaks of every claim, in their order."""
    found = audited(audit_case.sweep(), tmp_path)
    assert [each.key for each in found.bearings] == list(CATALOGUE)


def test_a_full_sweep_can_be_analysed_four_ways(tmp_path: Path) -> None:
    """Both budgets, rates and decays tuned: 2.7 and 3.9 can be decided, 2.4 in part."""
    found = status(audited(audit_case.sweep(decays=DECAYS), tmp_path))
    assert (found["2.7"], found["3.9"], found["2.4"]) == (CAN, CAN, IN_PART)
    assert found["3.3"] == found["1.1"] == NOTHING


def test_without_decay_less_can_be_said(tmp_path: Path) -> None:
    """The same without weight decay leaves 2.7 to further runs, and 3.9 in part."""
    found = {each.key: each for each in audited(audit_case.sweep(), tmp_path).bearings}
    assert found["2.7"].status == COULD
    assert found["2.7"].lacks == ("weight decay tuned",)
    assert found["3.9"].arms == ("without weight decay",)


def test_one_seed_supports_nothing(tmp_path: Path) -> None:
    """With a single seed no claim can be supported, and seeds are among what is lacking."""
    found = audited(audit_case.sweep(decays=DECAYS, seeds=[0], fresh=()), tmp_path)
    assert not {CAN, IN_PART} & set(status(found).values())
    assert all("seeds" in each.lacks for each in found.bearings if each.key in ("2.7", "3.9"))


def test_an_edge_blocks_what_asks_for_tuned_rates(tmp_path: Path) -> None:
    """With one size's rate at its edge, claims at equal steps are blocked and say so."""
    made = audit_case.sweep(
        rates=lambda size: audit_case.grid(size)[: 3 if size == 512 else 5]
    )  # fmt: skip
    found = audited(made, tmp_path)
    edge = next(each for each in found.findings if each.kind == "rate at an edge")
    assert "2.4" in edge.claims
    # The exponent of the best rate has the other three sizes to go by.
    assert "2.5" not in edge.claims
    assert found.facts.exponents["equal steps"].value is not None
    assert status(found)["2.4"] == COULD


def test_the_rate_exponent_bears_on_2_5(tmp_path: Path) -> None:
    """Tuned rates at three sizes with SGD bear on 2.5; at an edge, or with Adam, not so."""
    made = audit_case.sweep().assign(optimizer="SGD")
    found = audited(made, tmp_path)
    (one,) = [each for each in found.bearings if each.key == "2.5"]
    assert one.arms == ("SGD well below the critical batch size",)
    two = audited(made[made["batch_size"] < 100], tmp_path)
    assert status(two)["2.5"] == COULD
    assert status(audited(made.assign(optimizer="adamw"), tmp_path))["2.5"] == IN_PART
    assert status(audited(made.drop(columns="optimizer"), tmp_path))["2.5"] == COULD


def test_a_missing_run_leaves_the_exponent_its_other_seeds(tmp_path: Path) -> None:
    """A seed that one rate lacks is left out of the exponent, as if no rate had it."""
    made = audit_case.sweep(budgets=["steps"], fresh=())
    best = made["learning_rate"] == audit_case.best_rate(128)
    seed = (made["batch_size"] == 128) & (made["seed"] == 2)
    lacking = audited(made[~(best & seed)], tmp_path).facts.exponents["equal steps"]
    without = audited(made[~seed], tmp_path).facts.exponents["equal steps"]
    assert (lacking.value, lacking.low) == (without.value, without.low)


def test_steps_to_target_bear_on_iterations(tmp_path: Path) -> None:
    """A tuned sweep to a target bears on 2.4, 2.6 and, where it reaches far, on 3.1."""
    sizes = [2**power for power in range(1, 13)]
    made = audit_case.to_target(sizes=sizes, bend=150)
    found = status(audited(made, tmp_path))
    assert found["2.4"] == found["2.6"] == found["3.1"] == IN_PART
    near = status(audited(made[made["batch_size"] >= 32], tmp_path))
    assert near["3.1"] == COULD
    assert found["1.2"] == COULD
    assert status(audited(made.assign(seconds=1.0), tmp_path))["1.2"] == IN_PART


def test_rates_that_were_tried_at_other_sizes_bear_on_3_8(tmp_path: Path) -> None:
    """Grids that hold each other's best rates at sizes eight times apart bear on retuning."""
    optima = [audit_case.best_rate(size) for size in audit_case.SIZES]
    shared = sorted(rate * factor for rate in optima for factor in (0.5, 1, 2))
    crossed = audited(audit_case.sweep(rates=lambda size: shared), tmp_path)
    assert status(crossed)["3.8"] == IN_PART
    assert status(audited(audit_case.sweep(), tmp_path))["3.8"] == COULD


def test_full_batches_bear_on_1_3(tmp_path: Path) -> None:
    """A size that is the whole data set, told so, bears on full-batch claims."""
    made = audit_case.sweep(budgets=["steps"]).assign(data_size=512)
    assert status(audited(made, tmp_path))["1.3"] == IN_PART
    assert status(audited(made.assign(data_size=10_000), tmp_path))["1.3"] == COULD


def test_blocked_claims_can_not_be_supported(tmp_path: Path) -> None:
    """On tables with faults, no claim that a finding blocks is told as wholly supportable."""
    tables = [
        audit_case.sweep(budgets=["epochs"]),
        audit_case.sweep(rates=lambda size: [0.05]),
        audit_case.sweep(seeds=[0], fresh=()),
        pd.concat([audit_case.sweep(sizes=(8, 512))]),
    ]
    for made in tables:
        found = audited(made, tmp_path)
        blocked = {key for each in found.findings if each.severity == "blocks"
                   for key in each.claims}  # fmt: skip
        assert blocked
        assert not blocked & {key for key, word in status(found).items() if word == CAN}
    assert dataclasses.is_dataclass(found.bearings[0])
