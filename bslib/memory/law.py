"""The memory law: a step's peak bytes against its batch size, from two small steps.

After each operation t of a step the live bytes are affine in the batch size B: weights,
gradients and optimiser state in a_t, the examples' share in c_t B. Two runs give both, and

    peak(B) = max_t (a_t + c_t B),        largest(M) = min_t floor((M - a_t) / c_t).

The peak is convex and piecewise linear: at small B the optimiser's update binds, at large B an
operation of the forward or backward pass. A line through two peaks is not this law: it misses
the pieces in between. The bytes of saved activations alone: Korthikanti et al. (2022).

What is left out is what the allocator adds: rounding (512 bytes a tensor on CUDA), a kernel's
own scratch memory, fragments; and everything outside it, such as CUDA's context.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bslib.memory.step import TrainingStep
from bslib.memory.timelines import Timeline, accumulating, timeline
from bslib.refusal import Refusal

SMALL = (4, 8)
# A third size, at which every operation's bytes are checked and none fitted.
CHECK = 13


@dataclass(frozen=True)
class Binding:
    """The operation at which a step's memory peaks.

    Attributes:
        batch_size: where this piece of the law was read.
        operation: its name, such as ``aten.convolution_backward.default``.
        phase: "batch", "forward", "backward", "optimizer" or "evaluation".
        fixed_bytes: a_t.
        bytes_per_example: c_t.
    """

    batch_size: int
    operation: str
    phase: str
    fixed_bytes: float
    bytes_per_example: float


@dataclass(frozen=True, eq=False)
class MemoryLaw:
    """Live bytes after each operation, as a line over batch sizes.

    Attributes:
        operations: (name, phase) of each operation.
        fixed_bytes: a_t, one an operation.
        bytes_per_example: c_t, likewise.
        source: "fake" or "real": which tensors the two steps were made of.
    """

    operations: tuple[tuple[str, str], ...]
    fixed_bytes: NDArray[np.float64]
    bytes_per_example: NDArray[np.float64]
    source: str = "fake"

    def peak_bytes(self, batch_size: int) -> int:
        """Return the most bytes that are alive at once in a step of ``batch_size``."""
        return int(np.ceil(self._after(batch_size).max()))

    def largest_batch(self, limit_bytes: float) -> int:
        """Return the largest batch size whose peak is no more than ``limit_bytes``; 0 for none."""
        grows = self.bytes_per_example > 0
        if not grows.any():
            raise Refusal("no operation's memory grows with the batch: there is no largest batch")
        room = (limit_bytes - self.fixed_bytes[grows]) / self.bytes_per_example[grows]
        # one more than the quotient of rounded numbers, then down to what holds exactly
        largest = max(0, int(np.floor(room.min())) + 1)
        while largest and self._after(largest).max() > limit_bytes:
            largest -= 1
        return largest

    def binding(self, batch_size: int) -> Binding:
        """Return the operation that binds at a batch size; of several, the one that grows most."""
        after = self._after(batch_size)
        ties = np.flatnonzero(after == after.max())
        first = int(ties[np.argmax(self.bytes_per_example[ties])])
        line = float(self.fixed_bytes[first]), float(self.bytes_per_example[first])
        return Binding(batch_size, *self.operations[first], *line)

    def pieces(self, most: int = 2**31) -> pd.DataFrame:
        """Return the pieces of the law: a row for each operation that binds, from small B up.

        Columns: those of :class:`Binding`; ``batch_size`` is the first that the piece holds at.
        """
        found = [self.binding(1)]
        while True:
            at = found[-1]
            steeper = self.bytes_per_example > at.bytes_per_example
            rise = self.bytes_per_example[steeper] - at.bytes_per_example
            meets = (at.fixed_bytes - self.fixed_bytes[steeper]) / rise
            if not len(meets) or meets.min() >= most:
                return pd.DataFrame([vars(each) for each in found])
            found.append(self.binding(max(at.batch_size + 1, int(np.floor(meets.min())) + 1)))

    def _after(self, batch_size: int) -> NDArray[np.float64]:
        return self.fixed_bytes + self.bytes_per_example * batch_size


def memory_law(
    step: TrainingStep,
    *,
    batch_sizes: tuple[int, int] = SMALL,
    check: int | None = CHECK,
    fake: bool | None = None,
) -> MemoryLaw:
    """Fit the law of a step. Nothing is allocated under fake tensors, and the module is untouched.

    Where the step has a ``micro_batch_size``, the law is that of an accumulated gradient, over
    the micro-batch's size: ``batch_size`` then stands for examples in one pass.

    Args:
        batch_sizes: the two small sizes. A size of 1 can take other paths than the rest.
        check: a third size; the second step is recorded there too and compared, operation by
            operation, since a loss over pairs of examples, say, is not affine. None: unchecked.
        fake: under fake tensors (True), real ones (False), or real ones where fake ones fail
            (None); ``source`` says which it was.

    Raises:
        Refusal: the steps do not run the same operations at all sizes, or memory is not
            affine in the batch size.
    """
    sizes = [*batch_sizes] if check is None else [*batch_sizes, check]
    if fake is None:
        try:
            return memory_law(step, batch_sizes=batch_sizes, check=check, fake=True)
        except Refusal:
            raise
        except Exception:  # whatever a module does that fake tensors cannot; real ones decide
            return memory_law(step, batch_sizes=batch_sizes, check=check, fake=False)
    runs = [_run(step, size, fake) for size in sizes]
    fitted = fit(runs[:2], batch_sizes, "fake" if fake else "real")
    for size, run in zip(sizes[2:], runs[2:], strict=True):
        _compare(fitted, run, size)
    return fitted


def fit(runs: Sequence[Timeline], sizes: Sequence[int], source: str) -> MemoryLaw:
    """Return the law through two timelines.

    Raises:
        Refusal: they are not of the same operations.
    """
    small, large = runs
    _same(small, large)
    slope = (large.live_bytes - small.live_bytes) / (sizes[1] - sizes[0])
    return MemoryLaw(small.operations, small.live_bytes - slope * sizes[0], slope, source)


def _run(step: TrainingStep, size: int, fake: bool) -> Timeline:
    if step.micro_batch_size is not None:
        return timeline(*accumulating(step, size), fake=fake)
    return timeline(step, size, fake=fake)


def _same(one: Timeline, other: Timeline) -> None:
    if one.operations == other.operations:
        return
    pairs = zip(one.operations, other.operations, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), -1)
    names = [each.operations[place][0] for each in (one, other)]
    raise Refusal(
        f"the step does not run the same operations at {one.batch_size} and at "
        f"{other.batch_size} examples (first {names[0]} against {names[1]}): its memory has no "
        "one law; measure each size, or take two larger sizes"
    )


def _compare(law: MemoryLaw, run: Timeline, size: int) -> None:
    if law.operations != run.operations:
        _same(Timeline(size, law.operations, run.live_bytes), run)
    expected = law._after(size)
    off = np.abs(run.live_bytes - expected)
    # a byte an example is left to what is rounded up, such as bits packed into bytes
    if (off > size + 1e-9 * expected).any():
        worst = int(np.argmax(off))
        raise Refusal(
            f"memory is not affine in the batch size: after {law.operations[worst][0]} "
            f"{run.live_bytes[worst]:,.0f} bytes are alive at {size} examples, where a line "
            f"through two smaller sizes gives {expected[worst]:,.0f}; measure each size instead"
        )
