"""The GPU benchmark: refused without a GPU, rehearsed without one, and resumed part by part."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def bench(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the benchmark where no GPU is to be seen."""
    command = [sys.executable, str(BENCHMARKS / "bench_gpu.py"), *map(str, arguments)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_without_a_gpu_it_is_refused() -> None:
    """One clear sentence, exit status 2, and no result."""
    done = bench()
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no CUDA device" in done.stderr


def test_a_rehearsal_runs_every_part_and_goes_on_from_there(tmp_path: Path) -> None:
    """All parts leave their figures; what is there is measured again only where it is named."""
    out = tmp_path / "gpu.json"
    done = bench("--rehearse", "--out", out)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert list(report["parts"]) == ["mlp", "cnn", "memory", "utilisation"]
    compared = {each["compared"] for each in report["demands"]}
    assert {"over one by one", "over the floor", "share of time in kernels"} <= compared
    for part in ("mlp", "cnn"):
        assert 0 < report["parts"][part]["compared"]["share of time in kernels"] <= 1
    assert [each["holds"] for each in report["parts"]["memory"]["cells"]] == [True]
    assert {each["batch_size"] for each in report["parts"]["utilisation"]["rows"]} == {1, 8, 16}

    del report["parts"]["memory"]
    out.write_text(json.dumps(report))
    done = bench("--rehearse", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "utilisation" not in done.stdout
    again = json.loads(out.read_text())["parts"]
    assert {name: again[name] for name in report["parts"]} == report["parts"]
    assert list(again["memory"]["cells"][0])[:2] == ["network", "variant"]


@pytest.mark.parametrize(
    ("spans", "length"),
    [
        ([], 0.0),
        ([(0.0, 2.0), (3.0, 4.0)], 3.0),
        ([(3.0, 5.0), (0.0, 4.0)], 5.0),
        ([(0.0, 9.0), (2.0, 3.0), (4.0, 5.0)], 9.0),
    ],
)
def test_kernels_at_one_time_count_once(
    spans: list[tuple[float, float]], length: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart, overlapping, one within another: the length of the union."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import arms_gpu

    assert arms_gpu.covered(spans) == length
