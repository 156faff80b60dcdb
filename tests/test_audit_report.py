"""An audit as text and as JSON, and the command that makes them."""

import json
from pathlib import Path

import audit_case
import numpy as np
import pytest
from audit_case import audited
from click.testing import CliRunner

from bslib.cli import commands

TABLES = {
    "sound": lambda: audit_case.sweep(decays=(0.0, 0.0025, 0.01, 0.04)),
    "one seed": lambda: audit_case.sweep(rates=lambda size: [0.05], seeds=[0], fresh=()),
    "two sizes": lambda: audit_case.sweep(sizes=(8, 9), fresh=(), budgets=["epochs"]),
    "a size failed": lambda: audit_case.sweep().assign(
        validation_accuracy=lambda each: each["validation_accuracy"].where(each["batch_size"] > 8)
    ),
    "all equal": lambda: audit_case.sweep().assign(validation_accuracy=0.5),
    "target": lambda: audit_case.to_target(sizes=[8, 16, 32, 64, 512], bend=50),
    "never there": lambda: audit_case.to_target(sizes=[8, 64, 512], bend=50).assign(
        steps_to_target=np.nan, steps=500, val_acc=0.5
    ),
    "many sizes": lambda: audit_case.sweep(
        sizes=range(1, 40), fresh=(), budgets=["steps"], seeds=range(3)
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_gets_text_and_json(name: str, tmp_path: Path) -> None:
    """However poor a table, its audit has no line above 100 columns, and is strict JSON."""
    found = audited(TABLES[name](), tmp_path)
    assert max(map(len, str(found).splitlines())) <= 100
    parsed = json.loads(found.dumps(), parse_constant=pytest.fail)
    assert len(parsed["claims"]) == 24
    assert len(parsed["ways"]) == 4
    assert [each["kind"] for each in parsed["findings"]] == [each.kind for each in found.findings]


def test_findings_come_severest_first(tmp_path: Path) -> None:
    """What blocks stands before what weakens, and that before notes, numbered in that order."""
    found = audited(
        audit_case.sweep(budgets=["epochs"], fresh=()).drop(columns="seed"), tmp_path
    )  # fmt: skip
    order = [["blocks", "weakens", "note"].index(each.severity) for each in found.findings]
    assert order == sorted(order)
    assert len(set(order)) == 3
    text = str(found)
    assert [text.index(each.title) for each in found.findings] == sorted(
        text.index(each.title) for each in found.findings
    )


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    """``bslib audit`` prints the text and writes the JSON; columns read under names are told."""
    made = audit_case.sweep().rename(columns={"batch_size": "bs", "learning_rate": "lr"})
    path = audit_case.written(made, tmp_path)
    told = CliRunner().invoke(commands, ["audit", str(path), "--json", str(tmp_path / "a.json")])
    assert told.exit_code == 0
    assert "batch_size = bs, learning_rate = lr" in told.output
    assert json.loads((tmp_path / "a.json").read_text())["columns"]["batch_size"] == "bs"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["missing.csv"], "there is no file"),
        (["sweep.csv", "--metric", "quality"], "there is no column"),
        (["sweep.csv", "--where", "optimizer", "sgd"], "there is no column"),
        (["sweep.csv", "--json", "nowhere/a.json"], "no folder"),
    ],
)
def test_bad_input_is_one_message_and_status_2(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal ends the command with status 2, no traceback and nothing written."""
    audit_case.written(audit_case.sweep(fresh=()), tmp_path)
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(commands, ["audit", *options])
    assert told.exit_code == 2
    assert says in told.output
    assert "Traceback" not in told.output
    assert [each.name for each in tmp_path.iterdir()] == ["sweep.csv"]
