"""The GPU benchmark: refused without a GPU, rehearsed without one, and resumed part by part.

JAX is not among what the tests need. That its arm computes what the engine does is for the
benchmark to check before it times it; here, that such a check tells right from wrong.
"""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def bench(*arguments: object, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the benchmark where no GPU is to be seen; Python looks into ``path`` first."""
    command = [sys.executable, str(BENCHMARKS / "bench_gpu.py"), *map(str, arguments)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def momentum_sgd(
    modules: Sequence[nn.Module], order: Tensor, *, rate: float, momentum: float
) -> list[nn.Module]:
    """Train with PyTorch's own optimiser: another's training, on what the check trains on."""
    import arms

    examples = arms.task(64).train
    found = [copy.deepcopy(each) for each in modules]
    for module, batches in zip(found, order, strict=True):
        optimizer = torch.optim.SGD(module.parameters(), rate, momentum=momentum)
        for batch in batches:
            optimizer.zero_grad()
            cross_entropy(module(examples.inputs[batch]), examples.targets[batch]).backward()
            optimizer.step()
    return found


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


def test_where_jax_is_missing_the_result_says_that_it_was_not_run(tmp_path: Path) -> None:
    """The other arms run, and the demand on JAX neither holds nor fails."""
    (tmp_path / "jax.py").write_text("raise ModuleNotFoundError('there is none')\n")
    out = tmp_path / "gpu.json"
    done = bench("mlp", "--rehearse", "--out", out, path=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    why = report["parts"]["mlp"]["missing"]["JAX"]
    assert why.startswith("JAX is not installed: the comparison with it was not run")
    assert why in done.stdout
    assert "JAX" not in report["parts"]["mlp"]["examples_per_s"]
    (demand,) = (each for each in report["demands"] if each["compared"] == "over JAX")
    assert (demand["value"], demand["holds"], demand["why"]) == (None, None, why)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_only_another_that_computes_what_the_engine_does_is_compared(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's own SGD is within rounding; a hundredth more rate is not, nor is no momentum."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import arms
    import arms_gpu

    work = arms_gpu.Work(arms.task(64), model, members=2, batch_size=4, steps=8)
    others = partial(momentum_sgd, rate=arms.RATE, momentum=arms.MOMENTUM)
    assert arms_gpu.disagreement(work, others) < 1
    assert arms_gpu.disagreement(work, partial(others, rate=1.01 * arms.RATE)) > 1
    with pytest.raises(RuntimeError, match="does not move as in the engine"):
        arms_gpu.disagreement(work, partial(others, momentum=0.0))


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
