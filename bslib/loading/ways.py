"""Ways to bring shuffled batches to the device: a loader in this process, with workers, slices.

The loaders are PyTorch's own, over a file of records, as they are commonly set up: shuffled,
an example at a time, collated into a batch, and pinned where the device is a GPU. The slices
are of data that stand on the device: one permutation an epoch, and one gather a batch.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from bslib import device as devices
from bslib.data import Examples
from bslib.loading.records import Records, write

IN_PROCESS = "a loader in the training process"
WORKERS = "a loader with worker processes"
RESIDENT = "slices of resident data"


@dataclass(frozen=True)
class Way:
    """One way of loading.

    Attributes:
        name: as in the claim's arms.
        epoch: loads all examples once, in batches of the size it is given, and returns when
            the last of them is on the device.
        bytes_read: how many bytes were read from files so far; always 0 for resident data.
    """

    name: str
    epoch: Callable[[int], None]
    bytes_read: Callable[[], int]


@contextlib.contextmanager
def ways(examples: Examples, *, workers: int, seed: int = 0) -> Iterator[list[Way]]:
    """Give the three ways, over a temporary file and with worker processes while inside.

    The workers are started, and every way has loaded an epoch, before the first is timed: what
    starting costs is outside of every epoch.

    Args:
        examples: on the device that they are to be loaded to.
        workers: how many processes the second way has.
        seed: of the shuffles.
    """
    with tempfile.TemporaryDirectory(prefix="bslib-") as folder:
        path = Path(folder) / "records"
        write(examples, path)
        datasets = [Records(path, examples) for _ in range(2)]
        found = [
            _loading(IN_PROCESS, datasets[0], examples.inputs.device, workers=0, seed=seed),
            _loading(WORKERS, datasets[1], examples.inputs.device, workers=workers, seed=seed),
            _slicing(examples, seed),
        ]
        for way in found:
            way.epoch(len(examples) // 4 or 1)
        try:
            yield found
        finally:
            datasets[0].close()


def _loading(name: str, dataset: Records, device: torch.device, *, workers: int, seed: int) -> Way:
    """Wrap a loader whose batches may change in size, while its workers go on."""
    generator = torch.Generator().manual_seed(seed)
    sampler = BatchSampler(RandomSampler(dataset, generator=generator), 1, drop_last=False)
    on_gpu = device.type == "cuda"
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=on_gpu,
        generator=generator,
    )

    def epoch(batch_size: int) -> None:
        sampler.batch_size = batch_size
        for inputs, targets in loader:
            inputs.to(device, non_blocking=on_gpu)
            targets.to(device, non_blocking=on_gpu)
        devices.synchronize(device)

    return Way(name, epoch, lambda: dataset.bytes_read)


def _slicing(examples: Examples, seed: int) -> Way:
    device = examples.inputs.device
    generator = torch.Generator(device).manual_seed(seed)

    def epoch(batch_size: int) -> None:
        order = torch.randperm(len(examples), generator=generator, device=device)
        for indices in order.split(batch_size):
            examples.inputs.index_select(0, indices)
            examples.targets.index_select(0, indices)
        devices.synchronize(device)

    return Way(RESIDENT, epoch, lambda: 0)
