"""How busy a device is: operations a second over the most it can do, against the batch size.

The step is a network of ``depth`` square linear layers without bias, forward and backward with
the gradient of its inputs: 6 P B operations for P = depth width^2 parameters (counted by
PyTorch, and asserted). A layer's product moves at least its inputs, outputs and weights, so that
it does

    I(B) = 2 B width / (s (2 B + width))

operations a byte with s bytes a number. Where that is below the device's operations over bytes a
second, memory is the limit (Williams, Waterman and Patterson 2009); the batch size at which the
two meet is the ridge. NVIDIA (2023, section 2.1) reckons the same for a GPU.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bslib import device as devices
from bslib.stats.estimate import Estimate, refused
from bslib.throughput import timing
from bslib.throughput.training_step import BLOCK_S, block_counts
from bslib.training.replay import cuda_graph

Progress = Callable[[int, int], None]  # (done, total)

# Utilisation is read from this many times the ridge on, as "beyond saturation".
BEYOND = 8.0
SMALL = 8
SPAN = 4.0  # the gain of a doubling is read over at most this factor of the batch size
ITEM_BYTES = {"cpu": 4, "cuda": 2}
MATMUL, COPY = "matrix product", "copy"
SQUARES = (512, 1024)
# Far more than a device's last cache holds.
COPIED_BYTES = {"cpu": 2**26, "cuda": 2**30}
EAGER, ONE_LAUNCH = "operation by operation", "one launch"


def dtype_of(device: torch.device) -> torch.dtype:
    """Return float32 on a CPU and bfloat16 on a GPU: what each multiplies fastest."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def training_step(
    width: int, depth: int, batch_size: int, device: torch.device, *, seed: int = 0
) -> Callable[[], None]:
    """Return a step that computes all gradients and updates nothing."""
    generator = torch.Generator(device).manual_seed(seed)
    drawn: Any = {"device": device, "generator": generator}
    kind: Any = {"device": device, "dtype": dtype_of(device)}
    layers = [nn.Linear(width, width, bias=False, **kind) for _ in range(depth)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.randn(width, width, **drawn) / math.sqrt(width))
    inputs = torch.randn(batch_size, width, **drawn).to(**kind).requires_grad_()
    slopes = torch.randn(batch_size, width, **drawn).to(**kind)
    wanted = [inputs, *(layer.weight for layer in layers)]

    def step() -> None:
        for each in wanted:
            each.grad = None
        outputs: Tensor = inputs
        for layer in layers:
            outputs = layer(outputs)
        outputs.backward(slopes)

    return step


def operations(width: int, depth: int, batch_size: int) -> int:
    """Return the floating-point operations of a step, by PyTorch's own count."""
    with FlopCounterMode(display=False) as counter:
        training_step(width, depth, batch_size, torch.device("cpu"))()
    return int(counter.get_total_flops())


def step_times(
    width: int,
    depth: int,
    batch_sizes: Sequence[int],
    *,
    device: str,
    rounds: int,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Time steps at given batch sizes and at odd ones beside them, interleaved in rounds.

    Returns:
        A row a timed block: ``batch_size``, ``round``, ``step_time_s``, ``way``: launched
        operation by operation, or, on a GPU also, all of it in one launch (a CUDA graph).
    """
    place = torch.device(devices.resolve(device))
    sizes = sorted({*batch_sizes, *odd_sizes(batch_sizes)})
    eager = {size: training_step(width, depth, size, place, seed=seed) for size in sizes}
    ways: dict[str, dict[int, Callable[[], None]]] = {EAGER: eager}
    if place.type == "cuda":
        ways[ONE_LAUNCH] = {size: cuda_graph(step, []) for size, step in eager.items()}
    frames = [
        _timed(steps, place, rounds, seed, progress)
        .rename(columns={"key": "batch_size"})
        .assign(way=way)
        for way, steps in ways.items()
    ]
    return pd.concat(frames, ignore_index=True)


def odd_sizes(batch_sizes: Sequence[int]) -> list[int]:
    """Return sizes one off, and an eighth above, those of 64 or more, below the largest."""
    middle = [size for size in sorted(batch_sizes)[:-1] if size >= 64]
    return [other for size in middle[::2] for other in (size - 1, size + 1, size + size // 8)]


def peak_rates(
    width: int,
    batch_sizes: Sequence[int],
    *,
    device: str,
    rounds: int,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> pd.DataFrame:
    """Time matrix products and a copy: what the device can do at most.

    Products of square matrices, and of the step's own shapes, since a library is not fastest at
    squares everywhere. Operands are random: a GPU's clock is higher on constant
    ones. The copy is of ``COPIED_BYTES``, read and written.

    Returns:
        A row a timed block: ``kind``, ``size`` (rows of the product; bytes of the copy),
        ``round``, ``rate`` (operations or bytes a second).
    """
    place = torch.device(devices.resolve(device))
    kind: Any = {"device": place, "dtype": dtype_of(place)}
    drawn: Any = {**kind, "generator": torch.Generator(place).manual_seed(seed)}
    shapes = {(size, width) for size in batch_sizes if size >= SMALL} | {(n, n) for n in SQUARES}
    products, counts = {}, {}
    for number, (rows, columns) in enumerate(sorted(shapes)):
        left, right = torch.randn(rows, columns, **drawn), torch.randn(columns, columns, **drawn)
        into = torch.empty(rows, columns, **kind)
        products[number] = _product(left, right, into)
        counts[number] = (MATMUL, rows, 2.0 * rows * columns**2)
    copied = COPIED_BYTES[place.type]
    source = torch.ones(copied // 2 // ITEM_BYTES[place.type], **kind)
    target = torch.empty_like(source)
    products[len(products)] = lambda: target.copy_(source)
    counts[len(counts)] = (COPY, copied, float(copied))
    frame = _timed(products, place, rounds, seed, progress)
    names = ("kind", "size", "work")
    for position, name in enumerate(names):
        frame[name] = [counts[key][position] for key in frame["key"]]
    return frame.assign(rate=frame["work"] / frame["step_time_s"])[
        ["kind", "size", "round", "rate"]
    ]


def _product(left: Tensor, right: Tensor, into: Tensor) -> Callable[[], object]:
    return lambda: torch.mm(left, right, out=into)


def _timed(
    steps: Mapping[int, Callable[[], object]],
    device: torch.device,
    rounds: int,
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    def synchronize() -> None:
        devices.synchronize(device)

    calls = block_counts(steps, trials=2, block_s=BLOCK_S[device.type], synchronize=synchronize)
    times = timing.step_times(
        steps, rounds=rounds, warm_up=1, calls=calls, seed=seed, synchronize=synchronize,
        progress=progress,
    )  # fmt: skip
    return times.rename(columns={"batch_size": "key"})


def item_bytes(device: str) -> int:
    """Return the bytes of a number on a device."""
    return ITEM_BYTES[torch.device(devices.resolve(device)).type]


def device_table(rates: pd.DataFrame, width: int, item_bytes: int) -> pd.DataFrame:
    """Return what the device can do, and where the ridge and eight times the ridge lie."""
    at = ridge(rates, width, item_bytes)
    rows = {
        "matrix products (operations a second)": highest(rates, MATMUL),
        "copy (bytes a second)": highest(rates, COPY),
        "operations a byte": highest(rates, MATMUL) / highest(rates, COPY),
        "ridge (batch size)": at,
        "eight times the ridge": BEYOND * at,
    }
    return pd.DataFrame({"value": [f"{value:.3g}" for value in rows.values()]}, index=list(rows))


def highest(rates: pd.DataFrame, kind: str) -> float:
    """Return the highest median rate of a kind, over its sizes."""
    return float(rates[rates["kind"] == kind].groupby("size")["rate"].median().max())


def ridge(rates: pd.DataFrame, width: int, item_bytes: int) -> float:
    """Return the batch size at which a layer's product stops being bound by memory.

    s width b / (2 (width - s b)) with b = operations over bytes a second; infinite where no
    batch brings enough operations a byte.
    """
    balance = highest(rates, MATMUL) / highest(rates, COPY)
    room = width - item_bytes * balance
    return item_bytes * width * balance / (2 * room) if room > 0 else math.inf


def arms(
    steps: pd.DataFrame, rates: pd.DataFrame, *, width: int, item_bytes: int, level: float = 0.95
) -> dict[str, Estimate]:
    """Estimate the arms of claim 3.2: ratios of utilisation, each within a round of timing.

    The peak cancels in a ratio; only the ridge is read from it. The median over rounds has the
    sign test's interval.

    Args:
        steps: of :func:`step_times`.
        rates: of :func:`peak_rates`.
        width, item_bytes: of the layers and their numbers.
    """
    table = _by_round(steps)
    start = BEYOND * ridge(rates, width, item_bytes)
    powers = [size for size in table if not _odd(size)]
    first = min((size for size in powers if size >= start), default=0)
    last = max((size for size in powers if size <= SPAN * first), default=0)
    missing = refused(f"no batch size of {start:,.0f} or more, eight times the ridge", level=level)
    up = beyond = missing
    if first > SMALL and SMALL in table:
        ratio = first / SMALL * table[SMALL] / table[first]
        up = timing.median(ratio.to_numpy(float), level)
    elif first:
        up = refused(f"eight times the ridge is {start:.2g}, at or below a batch of 8", level=level)
    if last >= 2 * first > 0:
        gain = last / first * table[first] / table[last]
        beyond = timing.median(gain.to_numpy(float) ** (1 / math.log2(last / first)), level)
    return {"up to saturation": up, "beyond saturation": beyond}


def _odd(size: int) -> bool:
    """Whether a size is no power of two."""
    return size & (size - 1) != 0


def _by_round(steps: pd.DataFrame, way: str = EAGER) -> dict[int, "pd.Series[float]"]:
    kept = steps[steps["way"] == way]
    table = kept.pivot(index="round", columns="batch_size", values="step_time_s")
    return {int(size): table[size] for size in table.columns.to_numpy(int)}


def utilisation(
    steps: pd.DataFrame, rates: pd.DataFrame, *, width: int, depth: int, odd: bool = False
) -> pd.DataFrame:
    """Return ``batch_size``, ``utilisation``, ``low``, ``high``, ``way``: medians over rounds.

    Args:
        odd: the sizes that are no powers of two, instead of those that are.
    """
    peak, rows = highest(rates, MATMUL), []
    for way in dict.fromkeys(steps["way"]):
        for size, times in _by_round(steps, way).items():
            if _odd(size) == odd:
                work = 6.0 * depth * width**2 * size / peak
                found = timing.median(work / times.to_numpy(float))
                rows.append((size, found.value, found.low, found.high, way))
    return pd.DataFrame(rows, columns=["batch_size", "utilisation", "low", "high", "way"])


def roofline(
    rates: pd.DataFrame, batch_sizes: Sequence[int], *, width: int, item_bytes: int
) -> pd.DataFrame:
    """Return the utilisation that memory allows: the smaller of 1 and intensity over balance."""
    sizes = np.geomspace(min(batch_sizes), max(batch_sizes), 80)
    intensity = 2 * sizes * width / (item_bytes * (2 * sizes + width))
    allowed = intensity * highest(rates, COPY) / highest(rates, MATMUL)
    values = np.minimum(1.0, allowed)
    return pd.DataFrame({"batch_size": sizes, "utilisation": values, "way": "the roofline"})


def odd_penalty(steps: pd.DataFrame) -> pd.DataFrame:
    """Return, for odd sizes, the time an example over that of the powers of two around it.

    Columns ``batch_size``, ``ratio``, ``low``, ``high``, ``way`` (how it is odd): within a round,
    against the interpolation in logarithms between the neighbouring powers.
    """
    table, rows = _by_round(steps), []
    powers = sorted(size for size in table if not _odd(size))
    for size in sorted(set(table) - set(powers)):
        below = max((each for each in powers if each < size), default=0)
        above = min((each for each in powers if each > size), default=0)
        if below and above:
            share = math.log(size / below) / math.log(above / below)
            smooth = (table[below] / below) ** (1 - share) * (table[above] / above) ** share
            found = timing.median((table[size] / size / smooth).to_numpy(float))
            kind = "an eighth above" if size == below + below // 8 else "one off"
            rows.append((size, found.value, found.low, found.high, kind))
    return pd.DataFrame(rows, columns=["batch_size", "ratio", "low", "high", "way"])
