"""``bslib advise`` as a user calls it."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bslib import progress
from bslib.advise import command
from bslib.cli import commands
from bslib.parallel import WorkerFailed

DIGITS = ("digits", "--device", "cpu", "--budget", "5", "--model", "linear")
MINE = ("--optimizer", "sgd", "--learning-rate", "0.5", "--batch-size", "32")


def called(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["advise", *arguments])


def test_it_prints_the_advice_and_writes_both_files(tmp_path: Path) -> None:
    """The same number in the terminal, the page and the table, and the call to repeat it."""
    html, table = tmp_path / "report.html", tmp_path / "advice.json"
    found = called(*DIGITS, *MINE, "--html", str(html), "--json", str(table), "--seed", "3")
    assert found.exit_code == 0, found.output
    told = json.loads(table.read_text())
    assert f"{told['batch_size']:,}" in found.stdout
    assert f'<p class="number">{told["batch_size"]:,}</p>' in html.read_text()
    assert told["asked"]["seed"] == 3
    assert told["learning_rate"]["from_learning_rate"] == 0.5


def test_without_an_optimiser_it_says_that_there_is_no_rate() -> None:
    """The noise is that of a stand-in, and the advice says so."""
    found = called(*DIGITS)
    assert found.exit_code == 0, found.output
    assert "Learning rate: None is advised" in found.stdout


def test_several_devices_share_the_global_batch() -> None:
    """With a network that is told, each one's part is named."""
    network = ("--world-size", "4", "--bandwidth", "1.25", "--latency", "50")
    found = called(*DIGITS, *MINE, *network)
    assert found.exit_code == 0, found.output
    assert "on each of 4 devices" in found.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere:build",), "cannot be imported"),
        ((*DIGITS, "--html", "/nowhere/at/all.html"), "there is no folder"),
        ((*DIGITS, "--json", "/nowhere/at/all.json"), "there is no folder"),
        ((*DIGITS, "--latency", "5"), "give both"),
        ((*DIGITS, "--bandwidth", "5", "--latency", "5"), "one device has no network"),
        ((*DIGITS, "--world-size", "4096"), "give --bandwidth and --latency"),
        ((*DIGITS, "--batch-size", "100000"), "batch_size must lie between"),
        ((*DIGITS, "--memory-gb", "0.000001"), "no memory"),
        ((*DIGITS, "--learning-rate", "0.1"), "give --optimizer too"),
        ((*DIGITS, "--budget", "1"), "Invalid value for '--budget'"),
        ((*DIGITS, "--device", "tpu"), "unknown"),
    ],
)
def test_bad_input_is_one_message(
    arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 2 and what is wrong, on a line of its own; no traceback, and no advice."""
    monkeypatch.setattr(progress, "get_ipython", lambda: None)
    found = called(*arguments)
    assert found.exit_code == 2
    assert told in found.stderr
    assert "batch of" not in found.stdout
    assert "/1Error" not in found.stderr  # as after a bar that was left there
    assert "Traceback" not in found.stderr


def test_a_network_that_is_not_told_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between as many workers as there are devices, by the ring's law."""
    asked = []

    def measured(sizes: list[int], *, world_size: int) -> pd.DataFrame:
        asked.append(world_size)
        rows = [(size, 2, 0, 2e-5 + size / 1e9) for size in sizes]
        return pd.DataFrame(rows, columns=["bytes", "world_size", "round", "seconds"])

    monkeypatch.setattr(command.timing, "measure_messages", measured)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 2)
    network = command._network(2, None, None)
    assert asked == [2]
    assert network is not None
    assert network.latency_s == pytest.approx(1e-5, rel=1e-6)
    assert network.bandwidth == pytest.approx(1e9, rel=1e-6)


def test_workers_that_fail_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out."""

    def fails(sizes: list[int], *, world_size: int) -> pd.DataFrame:
        raise WorkerFailed("rank 1 died")

    monkeypatch.setattr(command.timing, "measure_messages", fails)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 2)
    with pytest.raises(ValueError, match=r"rank 1 died.*give --bandwidth"):
        command._network(2, None, None)
