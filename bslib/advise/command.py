"""``bslib advise``: find the target, measure it within the time that is left, write the report."""

import json
import os
import shlex
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import torch

from bslib.advise import encoding, plain, report, targets
from bslib.advise.advising import advise
from bslib.advise.bars import Bars
from bslib.advise.targets import Settings
from bslib.parallel import Network, WorkerFailed, cost_model, timing
from bslib.parallel.__main__ import MESSAGE_BYTES
from bslib.refusal import Refusal

# Kept for drawing and writing the report, of the time that the whole command may take.
REPORT_S = 4.0
# Measuring gets no less, however long imports took.
LEAST_S = 2.0


def run(
    target: str,
    *,
    task: str | None,
    device: str,
    budget: float,
    json_file: Path | None,
    html_file: Path | None,
    memory_gb: float | None,
    model: str | None,
    optimizer: str | None,
    learning_rate: float | None,
    batch_size: int | None,
    world_size: int,
    bandwidth: float | None,
    latency: float | None,
    seed: int,
) -> str:
    """Advise, write what was asked for, and return the plain text.

    Args:
        budget: seconds from the start of this process.
        memory_gb, bandwidth, latency: in gigabytes, gigabytes a second, microseconds.

    The other arguments are those of the command line.
    """
    settings = Settings(model, optimizer, learning_rate, batch_size, seed)
    found = targets.find(target, task=task, settings=settings)
    network = _network(world_size, bandwidth, latency)
    with closing(Bars()) as bars:
        advice = advise(
            found.problem,
            target=found.name,
            device=device,
            budget_s=max(budget - REPORT_S - _age_s(), LEAST_S),
            memory_bytes=None if memory_gb is None else int(memory_gb * 1e9),
            world_size=world_size,
            network=network,
            with_noise=found.with_noise,
            seed=seed,
            progress=bars,
        )
    if json_file is not None:
        json_file.write_text(json.dumps(encoding.encode(advice), indent=1) + "\n")
    if html_file is not None:
        html_file.write_text(report.html(advice, command=shlex.join(["bslib", *sys.argv[1:]])))
    return plain.text(advice)


def _age_s() -> float:
    """Return how long ago this process was started: imports are part of the wait."""
    return time.time() - psutil.Process(os.getpid()).create_time()


def _network(world_size: int, bandwidth: float | None, latency: float | None) -> Network | None:
    if (bandwidth is None) != (latency is None):
        raise Refusal("a network has a bandwidth and a latency: give both, or neither to measure")
    if world_size == 1:
        if bandwidth is not None:
            raise Refusal("one device has no network: give --world-size too")
        return None
    if bandwidth is not None and latency is not None:
        return Network("as given", latency * 1e-6, bandwidth * 1e9)
    here = torch.cuda.device_count() or os.cpu_count() or 1
    if world_size > here:
        raise Refusal(
            f"{world_size} devices are more than the {here} of this machine, so the network "
            "between them cannot be measured here: give --bandwidth and --latency"
        )
    try:
        messages = timing.measure_messages(MESSAGE_BYTES, world_size=world_size)
    except WorkerFailed as error:
        raise Refusal(f"the network could not be measured ({error}); give --bandwidth and "
                      "--latency") from error  # fmt: skip
    return cost_model.fit_network(messages)
