"""What measuring the gradient noise scale costs over a plain backward pass of the same examples.

    make bench               (or: .venv/bin/python benchmarks/bench_noise_scale.py [--quick])

The meter takes 32 micro-batches of 64 examples and gives the noise scale of the whole network
and of each layer, with intervals; the plain pass gives the mean gradient, from all examples at
once (on a CPU much of that is page faults) or in the same micro-batches. Arms are interleaved in
one process on one thread, the medians of CPU time compared. Per-example gradients by
``torch.func.vmap`` are shown beside them. Writes ``results/noise_scale.json``.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ["OMP_NUM_THREADS"] = "1"  # before any library starts its threads

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import arms  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from bslib import device, noise  # noqa: E402
from bslib.data import Task  # noqa: E402

MICRO_BATCH_SIZE, MICRO_BATCHES = 64, 32
REPEATS = 9
AT_ONCE, IN_MICRO_BATCHES = "backward, at once", "backward, in micro-batches"
METER, SKETCHED = "meter", "meter, sketched"
# (model, arm, over, its CPU time is at most this many times as long)
DEMANDS = [("cnn", METER, AT_ONCE, 1.5), ("cnn", METER, IN_MICRO_BATCHES, 1.5)]


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three repeats")
    repeats = 3 if parser.parse_args().quick else REPEATS
    torch.set_num_threads(1)
    task = arms.task(MICRO_BATCH_SIZE * MICRO_BATCHES)
    cells = [cell for model in arms.WORK for cell in measure(task, model, repeats)]
    report = {"machine": machine(), "cells": cells, "demands": demands(cells)}
    for each in report["demands"]:
        sign = "holds" if each["holds"] else "FAILS"
        where = f"{each['model']}: {each['arm']} over {each['over']}"
        print(f"{sign}  {each['ratio']:5.2f} times, at most {each['at_most']}: {where}")
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "noise_scale.json").write_text(json.dumps(report, indent=1) + "\n")


def measure(task: Task, model: str, repeats: int) -> list[dict[str, Any]]:
    """Run the arms in turn, once to warm up and then ``repeats`` times, and print a table."""
    module = arms.WORK[model][0](task, seed=0)
    running = arms_of(task, module)
    spent: dict[str, list[float]] = {name: [] for name in running}
    for repeat in range(repeats + 1):
        for name, run in running.items():
            start = time.process_time()
            run()
            if repeat:
                spent[name].append(time.process_time() - start)
    plain = statistics.median(spent[AT_ONCE])
    print(f"\n{model}, {len(task.train):,} examples")
    cells = []
    for name, times in spent.items():
        median = statistics.median(times)
        print(f"{name:28} {median:8.3f} CPU s {median / plain:6.2f}x", flush=True)
        cells.append({"model": model, "arm": name, "cpu_s": median, "repeats": times})
    return cells


def arms_of(task: Task, module: nn.Module) -> dict[str, Callable[[], object]]:
    """Return what is compared: each makes one pass over all the examples."""
    parameters, data = list(module.parameters()), task.train
    rows = torch.arange(len(data)).split(MICRO_BATCH_SIZE)

    def backward(size_rows: Any) -> None:
        for parameter in parameters:
            parameter.grad = None
        for each in size_rows:
            part = data.subset(each)
            task.loss(module(part.inputs), part.targets).mean().backward()

    def meter(sketch_width: int | None) -> None:
        noise.measure_noise_scale(
            module,
            data,
            task.loss,
            generator=torch.Generator().manual_seed(0),
            micro_batch_size=MICRO_BATCH_SIZE,
            relative_width=0.0,
            sketch_width=sketch_width,
        )

    return {
        AT_ONCE: lambda: backward([torch.arange(len(data))]),
        IN_MICRO_BATCHES: lambda: backward(rows),
        METER: lambda: meter(None),
        SKETCHED: lambda: meter(1_024),
        "per-example gradients": lambda: noise.exact_noise_scale(module, data, task.loss),
    }


def demands(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the medians with what is demanded."""
    times = {(cell["model"], cell["arm"]): cell["cpu_s"] for cell in cells}
    found = []
    for model, arm, over, most in DEMANDS:
        ratio = times[model, arm] / times[model, over]
        where = {"model": model, "arm": arm, "over": over, "at_most": most}
        found.append(where | {"ratio": ratio, "holds": ratio <= most})
    return found


def machine() -> dict[str, Any]:
    """Say where and with what this was measured, and how busy it was."""
    return {
        "processor": device.cpu_name(),
        "python": platform.python_version(),
        "packages": {"torch": torch.__version__},
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
