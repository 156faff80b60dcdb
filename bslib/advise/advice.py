"""What advising on a problem comes to."""

from dataclasses import dataclass, field

import pandas as pd

from bslib.advise.combine import FLAT, Devices
from bslib.advise.memory import Memory
from bslib.advise.noise import Noise
from bslib.advise.rate import Rate
from bslib.advise.throughput import Throughput
from bslib.parallel.cost_model import Network
from bslib.stats import Estimate


@dataclass(frozen=True)
class Asked:
    """What the advice was asked for.

    Attributes:
        target: the problem, in words.
        device: its name.
        examples: of the data set; None where there is none.
        parameters: that are trained.
        optimizer, learning_rate, batch_size: in use, where given.
        world_size: devices that share a step.
        network: between them; None for one.
        seed, budget_s, seconds: of the measuring, and what it took.
    """

    target: str
    device: str
    examples: int | None
    parameters: int
    optimizer: str | None
    learning_rate: float | None
    batch_size: int | None
    world_size: int
    network: Network | None
    seed: int
    budget_s: float
    seconds: float


@dataclass(frozen=True)
class Accumulation:
    """Reaching a global batch beyond memory by accumulating gradients.

    Attributes:
        batch_size: the global batch.
        micro_batch_size: examples a device and pass.
        steps: passes that make a step.
        gain: time to target without it over the time with it; below 1 it costs time.
    """

    batch_size: int
    micro_batch_size: int
    steps: int
    gain: float

    @property
    def pays(self) -> bool:
        """Whether it saves more than is left of the time anywhere in the flat region."""
        return self.gain > 1 + FLAT


@dataclass(frozen=True)
class Advice:
    """Which batch size to use, how sure that is, and why.

    Attributes:
        asked: what it was asked for.
        batch_size: the advised global batch size, a power of two a device or the largest that
            fits; None where no noise was measured, and nothing can be said of time to target.
        best: the estimate of the fastest size B*, without regard to what fits.
        flat_region: global batch sizes whose time to target is within a tenth of the best that
            fits; None as above, or where B* has no value.
        slowdown: time at the advised size over the best, at worst over everything inside the
            intervals; None as above.
        certain: whether ``slowdown`` is small enough for advice; else the data cannot tell.
        binding: "statistics", "throughput", "both", "memory", "network" or "data"; "" as above.
        largest: the largest global batch that fits, or that there are data for.
        memory, throughput, noise: what was measured; noise is None where it was not.
        devices: what a step costs on all of them.
        curve: ``batch_size``, ``relative_time``, ``low``, ``high``: time to target over the
            best, and its range; without rows as above.
        learning_rate: at the advised size, or at that of accumulation where it pays; None where
            optimiser or batch size is not given.
        accumulation: where memory is the limit.
        not_measured: sentences.
        examples: processed while advising.
    """

    asked: Asked
    batch_size: int | None
    best: Estimate
    flat_region: tuple[int, int] | None
    slowdown: float | None
    certain: bool
    binding: str
    largest: int
    memory: Memory
    throughput: Throughput
    devices: Devices
    noise: Noise | None
    curve: pd.DataFrame = field(compare=False)
    learning_rate: Rate | None
    accumulation: Accumulation | None
    not_measured: tuple[str, ...]
    examples: int

    @property
    def local_batch_size(self) -> int | None:
        """Examples a device and step."""
        return None if self.batch_size is None else self.batch_size // self.asked.world_size
