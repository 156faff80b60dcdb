"""What only a GPU shows, part by part: sweeps, kernels, memory, utilisation.

    make bench-gpu      (or: python benchmarks/bench_gpu.py [PART ...] [--out FILE] [--rehearse])

    mlp, cnn      64 trainings at batch size 32 side by side, against one after the other (one
                  member, graphs off), against JAX where it is installed (else the result says
                  that it was not run) and computes the same, and against the floor; and the
                  share of the sweep's time in which a kernel runs
    memory        the memory law against the caching allocator
    utilisation   operations a second over the most the device does, against the batch size

A part that ``results/gpu.json`` holds of this device is not measured again, unless it is named: so
whatever ends the program, the next call goes on. Without CUDA it is refused; ``--rehearse`` runs
every part on the CPU in tiny sizes and, unless ``--out`` says where, keeps nothing.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any library starts its threads
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # float32 is float32, here and in JAX
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler tells when it starts and stops

import argparse  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import Any  # noqa: E402

import arms  # noqa: E402
import arms_gpu  # noqa: E402
import bench_memory  # noqa: E402
import torch  # noqa: E402

from bslib import device, memory  # noqa: E402
from bslib.throughput import utilisation  # noqa: E402

RESULTS = HERE / "results" / "gpu.json"
NEEDS_CUDA = "this measures a GPU, and there is no CUDA device here; --rehearse tries it on the CPU"
PACKAGES = ("torch", "numpy", "jax", "jaxlib")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        members, batch_size, steps: of a sweep. The clock counts those of one epoch, and in them
            orders are drawn once.
        alone: how many of its trainings are taken one after the other.
        repeats: of each arm, in turn; medians are compared.
        examples: that the sweeps draw from.
        cases: of the memory law, at most: a network with an optimiser or a variant.
        width, depth, batch_sizes, rounds: of the step whose utilisation is measured.
    """

    members: int = 64
    batch_size: int = 32
    steps: int = arms_gpu.WARM + 1_875
    alone: int = 2
    repeats: int = 5
    examples: int = 60_000
    cases: int = 1_000
    width: int = 4_096
    depth: int = 4
    batch_sizes: tuple[int, ...] = tuple(2**power for power in range(15))
    rounds: int = 20


TINY = Size(2, 4, arms_gpu.WARM + 16, 1, 1, 64, 1, 16, 1, (1, 8, 16), 6)

# (part, what is compared, at least)
DEMANDS = [
    ("mlp", "over one by one", 20.0),
    ("mlp", "over JAX", 1.0),
    ("mlp", "share of time in kernels", 0.6),
    ("cnn", "over the floor", 0.5),
    ("cnn", "share of time in kernels", 0.6),
]


def sweep(model: str, where: torch.device, size: Size) -> dict[str, Any]:
    """Measure the arms in turn, then the sweep once more under the profiler."""
    task = arms.task(size.examples).to(where)
    work = arms_gpu.Work(task, model, size.members, size.batch_size, size.steps)
    found = arms_gpu.running(work, size.alone)
    rates: dict[str, list[float]] = {name: [] for name in found.running}
    for repeat in range(size.repeats + 1):
        for name, run in found.running.items():
            rate = run()
            rates[name] += [rate] if repeat else []  # the first warms up
    medians = {name: statistics.median(values) for name, values in rates.items()}
    compared = {
        f"over {name}": medians[arms_gpu.SWEEP] / value
        for name, value in medians.items()
        if name != arms_gpu.SWEEP
    }
    compared["share of time in kernels"] = share = arms_gpu.kernel_share(work)
    for name, value in medians.items():
        print(f"{model:12} {name:12} {value:14,.0f} examples a second")
    if found.jax:
        print(f"{model:12} JAX by {found.jax['way']}, compiled in {found.jax['compile_s']:.1f} s")
    for name, why in found.missing.items():
        print(f"{model:12} {name:12} {'-':>14} {why}")
    print(f"{model:12} a kernel runs in {share:.1%} of the sweep's time", flush=True)
    facts = {"missing": found.missing, "jax": found.jax, "compared": compared}
    return {"examples_per_s": rates, **facts}


def law_and_allocator(where: torch.device, size: Size) -> dict[str, Any]:
    """Compare the law with the allocator, network by network, each after a first small step."""
    cells = []
    for number, (network, variant, step) in enumerate(bench_memory.cases(where)):
        if number == size.cases:
            break
        memory.peak_bytes(step, 2)  # brings the libraries' workspaces, which stay
        cell = {"network": network, "variant": variant, **bench_memory.measure(step)}
        error, sign = cell["law_over_allocator"], "" if cell["holds"] else "  FAILS"
        peak = f"{cell['law_bytes'] / 1e6:8.1f} MB"
        print(f"memory       {network:16} {variant:18} {peak} {error:8.3%}{sign}", flush=True)
        cells.append(cell)
    return {"cells": cells}


def against_batch_size(where: torch.device, size: Size) -> dict[str, Any]:
    """Measure a step's operations a second over the device's most, at each batch size."""
    settings: dict[str, Any] = {"device": where.type, "rounds": size.rounds}
    steps = utilisation.step_times(size.width, size.depth, size.batch_sizes, **settings)
    rates = utilisation.peak_rates(size.width, size.batch_sizes, **settings)
    table = utilisation.utilisation(steps, rates, width=size.width, depth=size.depth)
    for row in table.to_dict("records"):
        ends = f"({row['low']:.1%} to {row['high']:.1%})"
        print(f"utilisation  {row['batch_size']:6} {row['utilisation']:7.1%} {ends} {row['way']}")
    most = {kind: utilisation.highest(rates, kind) for kind in ("matrix product", "copy")}
    return {"most_per_s": most, "width": size.width, "rows": table.to_dict("records")}


PARTS: dict[str, Callable[[torch.device, Size], dict[str, Any]]] = {
    "mlp": lambda where, size: sweep("mlp", where, size),
    "cnn": lambda where, size: sweep("cnn", where, size),
    "memory": law_and_allocator,
    "utilisation": against_batch_size,
}


def main() -> None:
    """Measure what is missing, print it, and keep every part as soon as it is there."""
    options = _options()
    where = torch.device("cpu" if options.rehearse else "cuda")
    if where.type == "cuda" and not torch.cuda.is_available():
        print(f"bench_gpu: {NEEDS_CUDA}", file=sys.stderr)
        sys.exit(2)
    torch.set_num_threads(1)
    out = options.out or (None if options.rehearse else RESULTS)
    size, here = TINY if options.rehearse else Size(), machine(where)
    parts = held(out, here)
    for name in options.parts or [each for each in PARTS if each not in parts]:
        torch.manual_seed(0)
        parts[name] = {"date": time.strftime("%Y-%m-%d"), **PARTS[name](where, size)}
        keep(out, {"machine": here, "parts": parts, "demands": list(demands(parts))})
    if options.rehearse:
        print("all parts ran; the figures of a rehearsal tell nothing")
        return
    for each in demands(parts):
        what = f"at least {each['at_least']:4}: {each['part']}, {each['compared']}"
        if each["value"] is None:
            print(f"NOT RUN        {what}: {each['why']}")
        else:
            print(f"{'holds' if each['holds'] else 'FAILS'}  {each['value']:6.2f}, {what}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, help="the file of results")
    parser.add_argument("--rehearse", action="store_true", help="tiny, and on the CPU")
    options = parser.parse_args()
    unknown = [each for each in options.parts if each not in PARTS]
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return options


def machine(where: torch.device) -> dict[str, Any]:
    """Say where and with what this is measured: what parts kept together have in common."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    about = {"device": device.describe(where), "python": platform.python_version()}
    return {**about, "cuda": torch.version.cuda, "packages": found}


def held(out: Path | None, here: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that a file holds of this machine; another one's are measured anew."""
    if out is None or not out.exists():
        return {}
    report = json.loads(out.read_text())
    return dict(report["parts"]) if report["machine"] == here else {}


def keep(out: Path | None, report: dict[str, Any]) -> None:
    """Write the results, whole or not at all."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(report, indent=1) + "\n")
        unfinished.replace(out)


def demands(parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Compare what was measured with what is demanded, or say why it was not measured."""
    for part, compared, least in DEMANDS:
        if part in parts:
            value = parts[part]["compared"].get(compared)
            row = {"part": part, "compared": compared, "at_least": least, "value": value}
            if value is None:
                why = parts[part]["missing"][compared.removeprefix("over ")]
                yield row | {"holds": None, "why": why}
            else:
                yield row | {"holds": value >= least}


if __name__ == "__main__":
    main()
