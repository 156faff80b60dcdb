"""The memory law beside what a step really takes: networks, optimisers and variants.

    make bench                      (or: .venv/bin/python benchmarks/bench_memory.py [--quick])

From two small steps under fake tensors the law predicts the peak at a batch 64 times larger. It
is compared with a step of that size under fake tensors, and with the peak of the allocator's
log in a real one (CPU), or the caching allocator's own (CUDA, where there is one). Writes
``results/memory.json``.
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
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import replace  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from bslib import device, memory  # noqa: E402
from bslib.data import vision  # noqa: E402

SMALL, TIMES = (2, 4), 64  # small sizes of 1 can take paths of their own
BATCH_SIZE = SMALL[1] * TIMES
OPTIMIZERS = {
    "SGD": memory.Named("sgd"),
    "momentum": memory.Named("momentum"),
    "Adam": memory.Named("adam"),
    "Adam, foreach": memory.Named("adam", {"foreach": True}),
    "Adam, fused": memory.Named("adam", {"fused": True}),
}
# Demanded: |law / fake step - 1|, and |law / allocator - 1| above and below so many bytes.
FAKE, LARGE, SMALLER, LARGE_BYTES = 0.001, 0.02, 0.05, 10_000_000
# How well a peak that CUDA's allocator rounds, and its libraries add to, should be met.
CUDA = 0.10


def mlp() -> tuple[nn.Module, Tensor]:
    """Return 784-1024-1024-10, and an image's pixels."""
    layers = [nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(1024, 10)), torch.randn(8, 784)


def cnn() -> tuple[nn.Module, Tensor]:
    """Return two blocks of convolution and pooling, and images of 28x28."""
    first = [nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    head = [nn.Linear(64 * 49, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*first, *second, *head), torch.randn(8, 1, 28, 28)


def resnet() -> tuple[nn.Module, Tensor]:
    """Return torchvision's ResNet-18, and images of 32x32."""
    vision.datasets()  # makes the import below work beside a CPU-only torch
    from torchvision.models import resnet18

    return resnet18(num_classes=10), torch.randn(8, 3, 32, 32)


class Encoder(nn.Module):
    """torch's transformer encoder, two layers over 32 positions, and the first one's class."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(128, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, 10) from (B, 32, 128)."""
        outputs: Tensor = self.head(self.encoder(inputs)[:, 0])
        return outputs


def transformer() -> tuple[nn.Module, Tensor]:
    """Return the encoder, and sequences of 32 vectors."""
    return Encoder(), torch.randn(8, 32, 128)


def chain() -> tuple[nn.Module, Tensor]:
    """Return sixteen hidden layers, of which four stretches are recomputed."""
    layers = [part for _ in range(16) for part in (nn.Linear(256, 256), nn.ReLU())]
    return memory.Recomputed(nn.Sequential(*layers), 4), torch.randn(8, 256)


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "MLP": mlp,
    "CNN": cnn,
    "ResNet-18": resnet,
    "transformer": transformer,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "accumulation": ("CNN", {"micro_batch_size": BATCH_SIZE}),
    "bfloat16 autocast": ("transformer", {"autocast": torch.bfloat16}),
    "with evaluation": ("ResNet-18", {"evaluate": True}),
}


def loss(module: nn.Module, batch: Any) -> Tensor:
    """Return the cross-entropy of a batch (inputs, targets)."""
    inputs, targets = batch
    return functional.cross_entropy(module(inputs), targets)


def cases(where: torch.device) -> Iterator[tuple[str, str, memory.TrainingStep]]:
    """Iterate over (network, optimiser or variant, step)."""
    for name, build in [*MODELS.items(), ("MLP, recomputed", chain)]:
        module, inputs = build()
        examples = (inputs.to(where), torch.arange(8, device=where) % 10)
        step = memory.TrainingStep(module.to(where), loss, examples, OPTIMIZERS["SGD"])
        for optimizer, make in OPTIMIZERS.items():
            yield name, optimizer, replace(step, optimizer=make)
        for variant, (network, settings) in VARIANTS.items():
            if network == name:
                yield name, variant, replace(step, **settings)


def measure(step: memory.TrainingStep) -> dict[str, Any]:
    """Predict a step's peak from two small ones, then take it, fake and real."""
    began = time.process_time()
    law = memory.memory_law(step, batch_sizes=SMALL, check=None, fake=True)
    spent = time.process_time() - began
    whole = BATCH_SIZE if step.micro_batch_size is None else 2 * BATCH_SIZE
    predicted = law.peak_bytes(BATCH_SIZE)
    fake = memory.timeline(step, whole).peak_bytes
    real = memory.peak_bytes(step, whole)
    binding = law.binding(BATCH_SIZE)
    return {
        "batch_size": BATCH_SIZE,
        "law_bytes": predicted,
        "fake_step_bytes": fake,
        "allocator_bytes": real,
        "law_over_fake_step": predicted / fake - 1,
        "law_over_allocator": predicted / real - 1,
        "binding": f"{binding.operation} ({binding.phase})",
        "pieces": len(law.pieces()),
        "operations": len(law.operations),
        "law_cpu_s": spent,
        "holds": abs(predicted / fake - 1) <= FAKE
        and abs(predicted / real - 1) <= allowed(real, step.device.type),
    }


def allowed(real: int, kind: str) -> float:
    """Return how far the law may be from the allocator's peak."""
    if kind == "cuda":
        return CUDA
    return LARGE if real >= LARGE_BYTES else SMALLER


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="SGD and Adam only")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    torch.manual_seed(0)
    where = device.resolve("auto")
    header = f"{'':16} {'':18} {'law':>9} {'fake step':>10} {'allocator':>10}  binding"
    print(header, flush=True)
    cells = []
    for network, variant, step in cases(where):
        if quick and variant not in ("SGD", "Adam"):
            continue
        cell = {"network": network, "variant": variant, **measure(step)}
        errors = f"{cell['law_over_fake_step']:10.3%} {cell['law_over_allocator']:10.3%}"
        size = f"{cell['law_bytes'] / 1e6:6.1f} MB"
        sign = "" if cell["holds"] else "  FAILS"
        print(f"{network:16} {variant:18} {size} {errors}  {cell['binding']}{sign}", flush=True)
        cells.append(cell)
    machine = {
        "device": device.describe(where),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    report = {"machine": machine, "cells": cells}
    (results / "memory.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
