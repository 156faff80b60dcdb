"""An advice as strict JSON: units in the keys, and null with a reason for what is not finite.

Batch sizes, noise scales and everything else that is counted in examples have no unit in their
names. ``format`` changes where a key goes or changes its meaning.
"""

import math
from typing import Any

import pandas as pd

from bslib.advise import guidance, words
from bslib.advise.advice import Advice, Asked
from bslib.advise.memory import Memory
from bslib.advise.noise import Noise
from bslib.advise.rate import Rate
from bslib.advise.throughput import Throughput
from bslib.stats import Estimate

FORMAT = 1


def encode(advice: Advice) -> dict[str, Any]:
    """Return plain data that :mod:`json` writes with ``allow_nan=False`` and reads back equal."""
    return {
        "format": FORMAT,
        "headline": words.headline(advice),
        "reason": list(words.reason(advice)),
        "how_sure": words.sureness(advice),
        "to_do": guidance.to_do(advice),
        "batch_size": advice.batch_size,
        "local_batch_size": advice.local_batch_size,
        "certain": advice.certain,
        "worst_relative_time": number(advice.slowdown),
        "binding": advice.binding or None,
        "best_batch_size": estimate(advice.best),
        "flat_region": None if advice.flat_region is None else list(advice.flat_region),
        "largest_batch_size": advice.largest,
        "learning_rate": None if advice.learning_rate is None else _rate(advice.learning_rate),
        "accumulation": _accumulation(advice),
        "memory": _memory(advice.memory),
        "throughput": _throughput(advice.throughput),
        "noise": None if advice.noise is None else _noise(advice.noise),
        "curve": table(advice.curve),
        "not_measured": list(advice.not_measured),
        "examples_processed": advice.examples,
        "asked": _asked(advice.asked),
    }


def number(value: float | None) -> float | None:
    """Return a finite number, else None."""
    return float(value) if value is not None and math.isfinite(value) else None


def estimate(each: Estimate) -> dict[str, Any]:
    """Encode an estimate; an end that is not finite is null, and ``reason`` says so."""
    reason = each.reason
    if not reason and not all(map(math.isfinite, (each.low, each.high))):
        reason = "an end of the interval is not bounded"
    return {
        "value": number(each.value),
        "low": number(each.low),
        "high": number(each.high),
        "level": each.level,
        "n": int(each.n),
        "reason": reason or None,
    }


def table(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Encode a table as a list of rows; what is not finite is null, named in ``unbounded``."""
    encoded = []
    for row in frame.to_dict("records"):
        plain = {str(name): _cell(value) for name, value in row.items()}
        lost = [name for name, value in plain.items() if value is None]
        encoded.append(plain | ({"unbounded": lost} if lost else {}))
    return encoded


def _cell(value: Any) -> Any:
    if isinstance(value, bool | int | str):
        return value
    return number(float(value))


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "value": rate.value,
        "bracket": list(rate.bracket),
        "factor": rate.factor,
        "from_learning_rate": rate.from_rate,
        "from_batch_size": rate.from_batch_size,
        "rule": rate.rule,
        "beta2": rate.beta2,
        "warm_up_share": rate.warm_up,
    }


def _accumulation(advice: Advice) -> dict[str, Any] | None:
    told = advice.accumulation
    if told is None:
        return None
    return {
        "batch_size": told.batch_size,
        "micro_batch_size": told.micro_batch_size,
        "accumulation_steps": told.steps,
        "time_without_over_with": number(told.gain),
        "pays": told.pays,
    }


def _memory(memory: Memory) -> dict[str, Any]:
    return {
        "largest_batch_size": memory.largest,
        "stopped_by": memory.stopped_by or None,
        "limit_bytes": memory.limit_bytes,
        "confirmed": memory.confirmed,
        "reason": memory.reason or None,
        "peaks": table(memory.peaks),
        "examples_processed": memory.examples,
    }


def _throughput(speed: Throughput) -> dict[str, Any]:
    return {
        "fixed_time_s": number(speed.fixed_time_s),
        "example_time_s": number(speed.example_time_s),
        "half_batch_size": estimate(speed.half_batch_size),
        "knee_batch_size": speed.knee,
        "step_times": table(speed.times),
        "examples_processed": speed.examples,
    }


def _noise(noise: Noise) -> dict[str, Any]:
    return {
        "critical_batch_size": estimate(noise.critical_batch_size),
        "growth_exponent": estimate(noise.growth),
        "path": table(noise.path),
        "batch_size": noise.batch_size,
        "learning_rate": number(noise.learning_rate),
        "optimizer": noise.optimizer,
        "metric": noise.metric,
        "micro_batch_size": noise.micro_batch_size,
        "ghost_batch_size": noise.ghost_batch_size,
        "examples_processed": noise.examples,
    }


def _asked(asked: Asked) -> dict[str, Any]:
    network = asked.network
    return {
        "target": asked.target,
        "device": asked.device,
        "examples": asked.examples,
        "parameters": asked.parameters,
        "optimizer": asked.optimizer,
        "learning_rate": number(asked.learning_rate),
        "batch_size": asked.batch_size,
        "world_size": asked.world_size,
        "network": None
        if network is None
        else {
            "name": network.name,
            "latency_s": network.latency_s,
            "bandwidth_bytes_per_s": network.bandwidth,
        },
        "seed": asked.seed,
        "budget_s": asked.budget_s,
        "seconds": asked.seconds,
    }
