"""The arms of the GPU benchmark: a sweep side by side, one by one, on JAX; and its floor."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import arms
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from bslib import device as devices
from bslib import training
from bslib.data import Task
from bslib.training import engine, shuffling, stepping

SWEEP, ONE_BY_ONE, JAX, FLOOR = "sweep", "one by one", "JAX", "the floor"
WARM = 4  # steps before the clock counts: in the first, a GPU's step is recorded
SQUARE, COPIED = 4_096, 2**28
NO_JAX = "JAX is not installed: the comparison with it was not run"

# Another's training is compared with the engine's over a few small steps, of some members.
COMPARED_MEMBERS, COMPARED_BATCH_SIZE, COMPARED_STEPS = 16, 4, 3
UNIT, TIPPED = 2.0**-24, 0.1  # float32's rounding; what a rectifier that rounding tips may change

Arm = Callable[[], float]  # examples a second; set-up and compilation left out
# Networks trained in the order (members, steps, b) of the examples.
Trained = Callable[[Sequence[nn.Module], Tensor], Sequence[nn.Module]]


@dataclass(frozen=True)
class Work:
    """What an arm does: so many members of a model, so many steps, on the task's device."""

    task: Task
    model: str
    members: int
    batch_size: int
    steps: int

    @property
    def where(self) -> torch.device:
        """The task's device."""
        return self.task.train.inputs.device

    @property
    def warm(self) -> int:
        """Steps before the clock counts."""
        return min(WARM, self.steps - 1)

    def modules(self) -> list[nn.Module]:
        """Return the members' networks as they start."""
        build = arms.WORK[self.model][0]
        return [build(self.task, seed=seed) for seed in range(self.members)]


@dataclass(frozen=True)
class Arms:
    """The arms by name, why others are missing, and what there is to say of JAX's."""

    running: dict[str, Arm]
    missing: dict[str, str]
    jax: dict[str, Any]


def running(work: Work, alone: int) -> Arms:
    """Return the arms that run here."""
    found: dict[str, Arm] = {
        SWEEP: partial(sweep, work),
        ONE_BY_ONE: partial(one_by_one, work, alone),
        FLOOR: partial(floor, work),
    }
    try:
        run, about = _jax(work)
    except RuntimeError as error:
        return Arms(found, {JAX: str(error)}, {})
    return Arms(found | {JAX: run}, {}, about)


def sweep(work: Work) -> float:
    """Train all members through the engine; the clock counts from the ``WARM``-th step on."""
    history = train(work).history
    ends = history[history["step"] >= work.warm].groupby("step")["seconds"].first()
    taken = ends.index[-1] - ends.index[0]
    return float(work.members * work.batch_size * taken / (ends.iloc[-1] - ends.iloc[0]))


def train(work: Work) -> training.Training:
    """Take the steps of a sweep, from weights and orders of its members' own."""
    return training.train(
        work.task,
        initial=work.modules(),
        batch_size=work.batch_size,
        learning_rates=[arms.RATE] * work.members,
        seeds=range(work.members),
        optimizer=training.SGD(momentum=arms.MOMENTUM),
        budget=training.Budget(steps=work.steps),
        evaluate_every=[work.warm],
        evaluate_on=["test"],
    )


def one_by_one(work: Work, alone: int) -> float:
    """The same trainings one after the other, every operation launched by the host."""
    replaying = engine.ReplayStepper
    launched = cast(Any, lambda *parts, recorder: stepping.Stepper(*parts))
    engine.ReplayStepper = launched  # type: ignore[misc]
    try:
        rates = [sweep(replace(work, members=1)) for _ in range(alone)]
    finally:
        engine.ReplayStepper = replaying  # type: ignore[misc]
    return alone / sum(1 / rate for rate in rates)


def floor(work: Work) -> float:
    """What the device's own rates allow: a step's operations, and the bytes that it must move.

    Operations over the rate of large matrix products in float32, by PyTorch's own count, plus
    bytes over the rate of a large copy: weights and velocity read and written, the gradient
    written and read, each input gathered once. Fusing them could save some; doing without none.
    """
    module = replace(work, members=1).modules()[0].to(work.where)
    batch = work.task.train.subset(range(work.batch_size))
    with FlopCounterMode(display=False) as counter:
        work.task.loss(module(batch.inputs), batch.targets).mean().backward()
    parameters = sum(each.numel() for each in module.parameters())
    moved = 4 * work.members * (6 * parameters + 2 * batch.inputs.numel())
    operations, copied = _rates(work.where)
    seconds = work.members * counter.get_total_flops() / operations + moved / copied
    return work.members * work.batch_size / seconds


def disagreement(work: Work, trained: Trained) -> float:
    """Return how far another's training is from the engine's, over what rounding explains.

    Both start from the same weights and see the same batches. Compared is how far each weight
    has moved, in the norm over a member's weights. Rounding explains, of each of the two: in
    the products, three a layer, a random walk as long as the longest sum; and in each step the
    rounding of the weights themselves. The median over members is returned: where rounding
    moves a rectifier's input, or the larger of two that are pooled, across the other, a
    member's gradient jumps.

    Raises:
        RuntimeError: of some member it is more than such jumps explain.
    """
    few = replace(work, members=COMPARED_MEMBERS, batch_size=COMPARED_BATCH_SIZE)
    work = replace(few, steps=COMPARED_STEPS)
    initial, own = work.modules(), train(work)
    examples, seeds = len(work.task.train), range(work.members)
    order = shuffling.Shuffle(examples, work.batch_size, seeds, work.where).next(work.steps)
    others = trained(initial, torch.stack([cast(Tensor, each) for each in order], dim=1))
    longest = work.task.train.inputs[: work.batch_size].numel()
    ratios = []
    for member, (start, other) in enumerate(zip(initial, others, strict=True)):
        at = _weights(start)
        moved, others_moved = _weights(own.module(member)) - at, _weights(other) - at
        apart = float((others_moved - moved).norm())
        share = apart / float(moved.norm())
        if not share <= TIPPED:  # NaN too
            raise RuntimeError(f"member {member} does not move as in the engine: {share:.0%} off")
        products = 3 * sum(each.dim() > 1 for each in start.parameters())
        of_products = products * math.sqrt(longest) * float(moved.norm())
        of_weights = work.steps * float(at.norm())
        ratios.append(apart / (2 * UNIT * (of_products + of_weights)))
    return statistics.median(ratios)


def kernel_share(work: Work) -> float:
    """Return the share of a sweep's wall time, all of it, in which a kernel runs.

    Recording the step, evaluations and the drawing of orders count as the sweep's time. On a CPU,
    an operation stands for a kernel.
    """
    where = work.where
    train(replace(work, steps=WARM + 1))
    on_gpu = where.type == "cuda"
    kind = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[kind]) as profiler:
        devices.synchronize(where)
        began = time.perf_counter()
        train(work)
        devices.synchronize(where)
        wall = time.perf_counter() - began
    wanted = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
    spans = [
        (each.time_range.start, each.time_range.end)
        for each in profiler.events()
        if each.device_type == wanted and not each.is_user_annotation
    ]
    return covered(spans) / 1e6 / wall


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _rates(where: torch.device) -> tuple[float, float]:
    """Return operations and bytes a second at most, in float32; smaller sizes serve a CPU."""
    scale = 1 if where.type == "cuda" else 8
    side, count = SQUARE // scale, COPIED // 4 // scale**2
    left = torch.ones(side, side, device=where)
    product, source = torch.empty_like(left), torch.ones(count, device=where)
    target = torch.empty_like(source)
    multiplied = _seconds(lambda: torch.mm(left, left, out=product), where)
    copied = _seconds(lambda: target.copy_(source), where)
    return 2 * side**3 / multiplied, 2 * source.nbytes / copied


def _seconds(call: Callable[[], Tensor], where: torch.device, calls: int = 20) -> float:
    """Return the shortest time of a call among a few blocks of calls."""
    times = []
    for _ in range(4):
        devices.synchronize(where)
        began = time.perf_counter()
        for _ in range(calls):
            call()
        devices.synchronize(where)
        times.append((time.perf_counter() - began) / calls)
    return min(times)


def _weights(module: nn.Module) -> Tensor:
    return torch.cat([each.detach().flatten() for each in module.parameters()]).cpu().double()


def _jax(work: Work) -> tuple[Arm, dict[str, Any]]:
    """Return JAX's arm, if it computes what the engine does, and what there is to say of it."""
    try:
        import jax
    except ImportError as error:
        raise RuntimeError(f"{NO_JAX} ({error})") from error
    if work.where.type == "cuda" and jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX is installed without CUDA: it runs on {jax.default_backend()}")
    import arms_jax

    apart = {}
    for way in arms_jax.WAYS[work.model]:
        trained = partial(arms_jax.trained, work.task, work.model, way=way)
        apart[way.name] = disagreement(work, trained)
        if apart[way.name] > 1:
            times = f"{apart[way.name]:.1f} times what rounding explains"
            raise RuntimeError(f"JAX ({way.name}) is off the engine by {times}")
    counted = work.steps - work.warm  # those that the engine's clock counts
    run = arms_jax.Sweep(work.task, work.model, work.modules(), work.batch_size, counted)
    about = {"way": run.way, "compile_s": run.compile_s, "disagreement_over_rounding": apart}

    def rate() -> float:
        spent = run()
        return spent.examples / spent.wall_s

    return rate, about
