"""The training engine beside its peers: examples a second, on one core and one thread.

    make bench          (or, in its environment: python benchmarks/bench_training.py [--quick])

Arms are interleaved, five repeats of about a second each; the medians are compared. Compilation
and set-up are left out everywhere. Writes ``results/training.json`` and ``.png``.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ["OMP_NUM_THREADS"] = "1"  # before any library starts its threads
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import arms  # noqa: E402
import arms_jax  # noqa: E402
import arms_torch  # noqa: E402
import matplotlib as mpl  # noqa: E402
import torch  # noqa: E402

from bslib import device  # noqa: E402

ARMS = {
    "engine": arms_torch.engine,
    "DataLoader loop": arms_torch.dataloader,
    "Lightning": arms_torch.lightning_trainer,
    "JAX": arms_jax.scan,
    "floor": arms_torch.floor,
}
BATCH_SIZES = (16, 128, 1024)
REPEATS, SECONDS = 5, 1.0
PATIENCE = 60.0  # an arm that has taken so many seconds is repeated no more
PACKAGES = ("torch", "lightning", "jax", "jaxlib", "numpy")

# (model, batch size, arm, the engine's examples a second are at least this many times its own)
DEMANDS = [
    ("mlp", 16, "Lightning", 5.0),
    ("mlp", 16, "JAX", 1.0),
    ("mlp", 128, "JAX", 0.95),
    ("mlp", 1024, "JAX", 0.95),
    ("mlp", 128, "floor", 0.6),
    ("mlp", 1024, "floor", 0.6),
    *(("cnn", batch_size, "DataLoader loop", 1.0) for batch_size in BATCH_SIZES),
]


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tenth of a second, two repeats")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    task = arms.task(2_000 if quick else 60_000)
    size = (2, 0.1) if quick else (REPEATS, SECONDS)
    cells = []
    for model in arms.WORK:
        for batch_size in BATCH_SIZES:
            cells += measure(task, model, batch_size, *size)
            print_table(cells[-len(ARMS) :])
    report = {"machine": machine(), "cells": cells, "demands": list(demands(cells))}
    print_demands(report["demands"])
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "training.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(cells, results / "training.png")


def measure(
    task: Any, model: str, batch_size: int, repeats: int, seconds: float
) -> list[dict[str, Any]]:
    """Run the arms in turn, each for as many steps as last about ``seconds``."""
    running = {name: arm(task, model) for name, arm in ARMS.items()}
    steps = {name: _steps(run, batch_size, seconds) for name, run in running.items()}
    spent: dict[str, list[arms.Spent]] = {name: [] for name in running}
    for _ in range(repeats):
        for name, run in running.items():
            if sum(each.wall_s for each in spent[name]) < PATIENCE:
                spent[name].append(run(batch_size, steps[name]))
    return [
        {
            "model": model,
            "batch_size": batch_size,
            "arm": name,
            "steps": steps[name],
            "examples_per_cpu_s": statistics.median(each.rate for each in runs),
            "examples_per_s": statistics.median(each.examples / each.wall_s for each in runs),
            "repeats": [vars(each) for each in runs],
        }
        for name, runs in spent.items()
    ]


def _steps(run: arms.Arm, batch_size: int, seconds: float) -> int:
    """Find how many steps last ``seconds``, and let the arm compile for that many."""
    run(batch_size, 1)
    one = run(batch_size, 1).cpu_s
    if one > seconds:
        return 1
    tried = max(2, round(seconds / one / 8))  # one step alone is mostly its start
    steps = max(2, round(tried * seconds / run(batch_size, tried).cpu_s))
    run(batch_size, steps)
    return steps


def demands(cells: list[dict[str, Any]]) -> Any:
    """Compare the medians of examples a CPU second with what is demanded."""
    rates = {
        (cell["model"], cell["batch_size"], cell["arm"]): cell["examples_per_cpu_s"]
        for cell in cells
    }
    for model, batch_size, arm, least in DEMANDS:
        ratio = rates[model, batch_size, "engine"] / rates[model, batch_size, arm]
        where = {"model": model, "batch_size": batch_size, "arm": arm}
        yield where | {"at_least": least, "ratio": ratio, "holds": ratio >= least}


def machine() -> dict[str, Any]:
    """Say where and with what this was measured, and how busy it was."""
    return {
        "processor": device.cpu_name(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def print_table(cells: list[dict[str, Any]]) -> None:
    """Print the arms of one model at one batch size, the engine first."""
    own = cells[0]["examples_per_cpu_s"]
    print(f"\n{cells[0]['model']} at batch size {cells[0]['batch_size']}")
    print(f"{'':16} {'examples/CPU s':>15} {'examples/s':>12} {'engine is':>10}")
    for cell in cells:
        rates = f"{cell['examples_per_cpu_s']:15,.0f} {cell['examples_per_s']:12,.0f}"
        print(f"{cell['arm']:16} {rates} {own / cell['examples_per_cpu_s']:9.2f}x", flush=True)


def print_demands(held: list[dict[str, Any]]) -> None:
    """Print a line for each demand."""
    print()
    for each in held:
        where = f"{each['model']} at {each['batch_size']}, against {each['arm']}"
        sign = "holds" if each["holds"] else "FAILS"
        print(f"{sign}  {each['ratio']:5.2f} times, at least {each['at_least']:4}: {where}")


def draw(cells: list[dict[str, Any]], path: Path) -> None:
    """Plot examples a CPU second against batch size, a panel a model, a line an arm."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(arms.WORK), figsize=(9, 3.6), layout="constrained")
    for panel, model in zip(panels, arms.WORK, strict=True):
        for name in ARMS:
            row = [cell for cell in cells if (cell["model"], cell["arm"]) == (model, name)]
            style = {"floor": "k:", "engine": "o-"}.get(name, "s--")
            sizes = [cell["batch_size"] for cell in row]
            panel.plot(sizes, [cell["examples_per_cpu_s"] for cell in row], style, label=name)
        members = arms.WORK[model][1]
        panel.set(xscale="log", yscale="log", xlabel="batch size", ylabel="examples a CPU second")
        panel.set_title(f"{model}, {members} at once (engine, JAX)")
        panel.set_xticks(BATCH_SIZES, [str(size) for size in BATCH_SIZES], minor=False)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
