"""Sweeps shared between notebooks: computed once, whoever asks, whatever dies."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bslib import sweeps

calls: list[dict[str, object]] = []


def table(**arguments: object) -> dict[str, pd.DataFrame]:
    calls.append(arguments)
    values = [0.1, 1 / 3, float("nan"), float("inf")]
    frame = pd.DataFrame(
        {"n": range(4), "value": values, "name": list("abcd"), "good": [True, False] * 2}
    )
    return {"runs": frame, "none": frame[:0]}


def unsuitable() -> dict[str, pd.DataFrame]:
    return {"runs": pd.DataFrame({"odd": [{"a": 1}]})}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    sweeps.forget()
    monkeypatch.delenv(sweeps.FOLDER, raising=False)


def test_a_second_reader_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process (memory forgotten) the folder answers, bit for bit."""
    monkeypatch.setenv(sweeps.FOLDER, str(tmp_path / "run" / ".cache"))
    first = sweeps.shared(table, batch_sizes=[4, 8])
    sweeps.forget()
    second = sweeps.shared(table, batch_sizes=[4, 8])
    assert len(calls) == 1
    for name in ("runs", "none"):
        pd.testing.assert_frame_equal(first[name], second[name], check_exact=True)
    pd.testing.assert_frame_equal(first["runs"], table()["runs"], check_exact=True)
    assert list(second["none"].columns) == ["n", "value", "name", "good"]


def test_without_a_folder_memory_serves() -> None:
    """A notebook alone computes once a process; what a reader changes is its own copy."""
    runs = sweeps.shared(table, seed=1)["runs"]
    runs.loc[0, "value"] = 99
    assert sweeps.shared(table, seed=1)["runs"]["value"][0] == 0.1
    assert len(calls) == 1


def test_other_arguments_or_source_are_another_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key holds the arguments, in any order, and the package's source."""
    monkeypatch.setenv(sweeps.FOLDER, str(tmp_path))
    sweeps.shared(table, a=1, b=2.0)
    sweeps.shared(table, b=2.0, a=1)
    assert len(calls) == 1
    sweeps.shared(table, a=2, b=2.0)
    assert len(calls) == 2
    monkeypatch.setattr(sweeps, "source_hash", lambda: "changed")
    sweeps.shared(table, a=1, b=2.0)
    assert len(calls) == 3


def test_progress_is_handed_on_and_no_part_of_the_key() -> None:
    """A reader with a bar and one without share a result."""
    sweeps.shared(table, progress=lambda done, total: None, a=1)
    sweeps.shared(table, a=1)
    assert len(calls) == 1
    assert "progress" in calls[0]


def test_what_cannot_be_kept_is_refused() -> None:
    """An argument or a column that JSON cannot hold raises, rather than being guessed at."""
    with pytest.raises(TypeError):
        sweeps.shared(table, task=object())
    with pytest.raises(TypeError, match="odd"):
        sweeps.shared(unsuitable)


def test_a_failing_sweep_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an exception the next reader computes, and finds no half result."""
    monkeypatch.setenv(sweeps.FOLDER, str(tmp_path))
    for _ in range(2):
        with pytest.raises(TypeError):
            sweeps.shared(unsuitable)
    assert not list(tmp_path.glob("*.json"))


def test_a_write_cut_short_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up halfway leaves nothing that the next reader would take for whole."""
    monkeypatch.setenv(sweeps.FOLDER, str(tmp_path))

    def half(path: Path, text: str, encoding: str) -> None:
        path.write_bytes(text[: len(text) // 2].encode(encoding))
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(OSError, match="no space"):
            sweeps.shared(table, a=1)
    assert len(sweeps.shared(table, a=1)["runs"]) == 4
    assert len(calls) == 2


SLOW = """
    import os, sys, time
    from pathlib import Path
    import pandas as pd

    folder = Path(sys.argv[1])

    def slow():
        (folder / f"began-{os.getpid()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        return {"runs": pd.DataFrame({"pid": [os.getpid()]})}

    from bslib import sweeps
    (folder / f"ready-{os.getpid()}").touch()
    sys.stdout.write(str(sweeps.shared(slow)["runs"]["pid"][0]))
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    script = folder / "slow.py"
    script.write_text(textwrap.dedent(SLOW))
    environment = os.environ | {sweeps.FOLDER: str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} within a minute"
        time.sleep(0.01)


def test_a_killed_process_blocks_nobody_and_two_compute_once(tmp_path: Path) -> None:
    """Kill the first amid its sweep: of two more at once, one computes and both read it."""
    killed = start(tmp_path)
    wait_for(tmp_path, f"began-{killed.pid}")
    others = [start(tmp_path) for _ in range(2)]
    for other in others:
        wait_for(tmp_path, f"ready-{other.pid}")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    while len(list(tmp_path.glob("began-*"))) < 2:
        time.sleep(0.01)
    time.sleep(0.3)  # without a lock, the third would begin meanwhile
    (tmp_path / "go").touch()
    answers = [other.communicate(timeout=60)[0] for other in others]
    assert answers[0] == answers[1]
    assert int(answers[0]) in {other.pid for other in others}
    began = {int(path.name.split("-")[1]) for path in tmp_path.glob("began-*")}
    assert began == {killed.pid, int(answers[0])}
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1
    assert not list((tmp_path / "cache").glob("*.unfinished"))


def test_numbers_keep_every_bit() -> None:
    """Floats of all sizes, and whole numbers beyond 2^53, come back as they were."""
    generator = np.random.default_rng(0)
    floats = np.concatenate(
        [
            generator.standard_normal(500) * 10.0 ** generator.integers(-300, 300, 500),
            [-0.0, 5e-324],
        ]
    )
    frame = pd.DataFrame({"x": floats, "n": 2**62 + np.arange(len(floats))})
    back = sweeps.decode(sweeps.encode({"f": frame}))["f"]
    assert back["x"].to_numpy().tobytes() == frame["x"].to_numpy().tobytes()
    assert (back["n"] == frame["n"]).all()
