"""What following ``bslib advise`` costs over the best batch size of a full sweep.

    make bench-advice        (or: .venv/bin/python benchmarks/bench_advice.py [--stage STAGE])

Twelve problems over four data sets, four families of models, SGD, momentum and Adam. Stages:

- sweeps: steps to a target at every batch size, each with its own tuned learning rate;
- times: what an ordinary training step takes at every size, on one thread;
- advise: three advices a problem, and trainings that follow them;
- report: regrets and costs, ``results/advice.json`` and ``.png``.

What is measured is kept in ``results/advice/``, and measured again where a problem's definition
has changed; times also on another processor, the advice with another version of its source. Run
times and advise on a quiet machine.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ["OMP_NUM_THREADS"] = "1"  # before any library starts its threads

import argparse  # noqa: E402
import functools  # noqa: E402
import multiprocessing  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import advice_regrets  # noqa: E402
import advice_report  # noqa: E402
import advice_sweeps  # noqa: E402
import torch  # noqa: E402
from advice_problems import WORKLOADS, Workload  # noqa: E402
from advice_results import kept, sources  # noqa: E402
from advice_sweeps import Swept  # noqa: E402

from bslib import device  # noqa: E402

STAGES = ("sweeps", "times", "advise", "report")
WORKERS = 2


def main() -> None:
    """Measure what is missing, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", action="append", choices=STAGES, help="this one; all by default")
    parser.add_argument("--only", action="append", help="this problem; all by default")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [each for each in WORKLOADS if not arguments.only or each.name in arguments.only]
    stages = arguments.stage or STAGES
    if "sweeps" in stages:
        sweeps(chosen, arguments.again)
    if "times" in stages:
        for workload in chosen:
            _told(workload, "times", functools.partial(step_times, workload, arguments.again))
    if "advise" in stages:
        for workload in chosen:
            _told(workload, "advise", functools.partial(advices, workload, arguments.again))
    if "report" in stages:
        measured = [(each, swept(each), step_times(each), advices(each)) for each in chosen]
        report = {"machine": machine(), **advice_report.report(measured)}
        advice_report.write(report, HERE / "results")


def sweeps(workloads: list[Workload], again: bool) -> None:
    """Sweep in processes side by side."""
    sweep_one = functools.partial(_told_sweep, again=again)
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        longest_first = workloads[::-1]
        for line in pool.imap_unordered(sweep_one, longest_first, chunksize=1):
            print(line, flush=True)


def _told_sweep(workload: Workload, again: bool) -> str:
    torch.set_num_threads(1)
    found = sweep(workload, again)
    trainings = len(found["runs"]["seed"])
    return (
        f"{workload.name:26} sweeps  {trainings} trainings, {found['examples']:,} examples, "
        f"{found['cpu_s']:.0f} CPU s"
    )


def _told(workload: Workload, stage: str, measure: Any) -> None:
    start = time.perf_counter()
    found = measure()
    seconds = time.perf_counter() - start
    print(f"{workload.name:26} {stage:7} load {found['load']:.1f}, {seconds:.0f} s", flush=True)


def sweep(workload: Workload, again: bool = False) -> dict[str, Any]:
    """Return the sweep."""
    key = workload.key(advice_sweeps.settings())
    measure = functools.partial(advice_sweeps.sweep, workload)
    return kept(workload, "sweep", key, measure, again)


def swept(workload: Workload) -> Swept:
    """Return the sweep, read."""
    return Swept.of(sweep(workload))


def step_times(workload: Workload, again: bool = False) -> dict[str, Any]:
    """Return the times of steps."""
    key = workload.key(advice_sweeps.ROUNDS, list(advice_sweeps.CLOCKS), device.cpu_name())
    measure = functools.partial(advice_sweeps.times, workload)
    return kept(workload, "times", key, measure, again)


def advices(workload: Workload, again: bool = False) -> dict[str, Any]:
    """Return the advice, asked with several seeds, and what following it took."""
    of_sweep = swept(workload)
    rate = float(of_sweep.rates[advice_regrets.BATCH_SIZE])
    key = workload.key(advice_regrets.settings(), sources(), rate, device.cpu_name())
    measure = functools.partial(advice_regrets.asked, workload, of_sweep)
    return kept(workload, "advise", key, measure, again)


def machine() -> dict[str, Any]:
    """Say where and with what this was measured."""
    return {
        "processor": device.cpu_name(),
        "python": sys.version.split()[0],
        "packages": {"torch": torch.__version__},
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
