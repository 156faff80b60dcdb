"""The run of one chunk of members: step, evaluate, let go of those that are done."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bslib import device as devices
from bslib.training.evaluation import metrics
from bslib.training.optimizers import for_members
from bslib.training.pace import Pace
from bslib.training.replay import ReplayStepper, cuda_graph
from bslib.training.setup import Members, Progress, Setup
from bslib.training.shuffling import Shuffle
from bslib.training.stacking import stack
from bslib.training.stepping import Stepper
from bslib.training.updates import update_of

# A member has diverged when its loss is not finite, or above this many times the greater of 1
# and its loss at the start.
DIVERGENCE = 1e3

# The share of a stack's rows that may stand idle before it is rebuilt without them. On a GPU
# the step then has to be recorded again, and idle rows cost little.
SPARE = {"cpu": 0.0, "cuda": 0.25}


@dataclass(frozen=True)
class Records:
    """What a run notes: rows of the two tables, modules, and mini-batch losses."""

    history: list[dict[str, Any]] = field(default_factory=list)
    members: dict[int, dict[str, Any]] = field(default_factory=dict)
    modules: dict[tuple[int, int | None], nn.Module] = field(default_factory=dict)
    losses: list[tuple[list[int], Tensor]] = field(default_factory=list)  # rows, (rows, steps)


class Run:
    """Members in step, from the evaluation before the first step to the last member's end."""

    def __init__(self, setup: Setup, members: Members) -> None:
        self.setup, self.members, self.records = setup, members, Records()
        self.device = setup.task.train.inputs.device
        self.rows = list(range(len(members)))  # the member in each row of the stack
        self.alive = set(self.rows)  # members that train on
        self.limits: list[float] = []  # of a member's loss, beyond which it has diverged
        self.stack = stack(members.modules, setup.task, setup.strategy)
        optimizer = for_members(setup.optimizer, members.decays)
        self.update = update_of(optimizer, self.stack.weights, members.rates)
        self.shuffle = Shuffle(
            len(setup.task.train),
            setup.batch_size,
            members.seeds,
            self.device,
            replacement=setup.replacement,
            drop_last=setup.drop_last,
        )
        self.pace = Pace(setup.budget, setup.schedule, self.shuffle, setup.clock)
        self.stepper = self._stepper()

    def finish(self, progress: Progress) -> Records:
        """Train every member to its end."""
        self._evaluate()
        while self.alive:
            self._advance(self.setup.next_stop(self.pace.step), progress)
            if self.pace.step in self.setup.checkpoints:
                self._keep_modules(self.alive, self.pace.step)
            if self.pace.over or self.setup.evaluates(self.pace.step):
                self._evaluate()
        total = self.pace.done()[1]
        progress(total, total)
        return self.records

    def _advance(self, stop: float, progress: Progress) -> None:
        """Step on to ``stop`` or the budget's end."""
        pace, losses = self.pace, []
        stop = min(stop, pace.last)
        pace.start()
        while pace.step < stop and not pace.over:
            most = self.stepper.pulse if pace.timed else 2**20
            values = self.stepper.advance(int(min(stop - pace.step, most)))
            if values is not None:
                losses.append(values)
            if pace.timed:
                self._read_clock()
            progress(*pace.done())
        self._read_clock()
        if losses:
            self.records.losses.append((list(self.rows), torch.cat(losses, dim=1)))

    def _read_clock(self) -> None:
        devices.synchronize(self.device)
        self.pace.read()

    def _evaluate(self) -> None:
        """Measure all, note how those that end have ended, and go on without them."""
        table = metrics(self.stack, self.setup.task, self.setup.evaluate_on)
        shown = f"{self.setup.evaluate_on[0]}_loss"
        self.limits = self.limits or [DIVERGENCE * max(1.0, loss) for loss in table[shown]]
        ended = set()
        for row, member in enumerate(self.rows):
            if member not in self.alive:
                continue
            values = {name: column[row] for name, column in table.items()}
            self.records.history.append(self._identity(member) | self._moment("step") | values)
            status = self._status(values, values[shown], self.limits[member])
            if status is not None:
                ended.add(member)
                self.records.members[member] = self._ending(member, status) | values
        self._keep_modules(ended, None)
        self.alive -= ended
        self._compact()

    def _status(self, values: dict[str, float], loss: float, limit: float) -> str | None:
        """Say how a member has ended; None while it trains on."""
        target = self.setup.target
        if not loss <= limit:  # NaN too
            return "diverged"
        if target is not None and target.reached(values[target.metric]):
            return "reached"
        return "finished" if self.pace.over else None

    def _identity(self, member: int) -> dict[str, Any]:
        return {
            "member": self.members.numbers[member],
            "seed": self.members.seeds[member],
            "batch_size": self.setup.batch_size,
            "learning_rate": self.members.rates[member],
        }

    def _moment(self, step_name: str) -> dict[str, Any]:
        pace = self.pace
        return {step_name: pace.step, "examples": pace.examples, "seconds": pace.elapsed}

    def _ending(self, member: int, status: str) -> dict[str, Any]:
        how = {"weight_decay": self.members.decays[member], "status": status}
        reached = self.pace.step if status == "reached" else math.nan
        moment = self._moment("steps") | {"steps_to_target": reached}
        return self._identity(member) | how | moment

    def _keep_modules(self, members: Iterable[int], checkpoint: int | None) -> None:
        for member in members:
            key = self.members.numbers[member], checkpoint
            self.records.modules[key] = self.stack.module(self.rows.index(member))

    def _compact(self) -> None:
        """Rebuild the stack without idle rows, where there are enough of them."""
        rows = [row for row, member in enumerate(self.rows) if member in self.alive]
        spare = SPARE[self.device.type] * len(self.rows)
        if rows and len(self.rows) - len(rows) > spare:
            kept = torch.tensor(rows, device=self.device)
            self.stack.keep(kept)
            self.update.keep(kept, self.stack.weights)
            self.shuffle.keep(rows)
            self.rows = [self.rows[row] for row in rows]
            self.stepper = self._stepper()

    def _stepper(self) -> Stepper:
        record = self.setup.record_batch_loss
        parts = (self.stack, self.update, self.setup.optimizer, self.shuffle, self.pace, record)
        if self.device.type == "cuda":
            return ReplayStepper(*parts, recorder=cuda_graph)
        return Stepper(*parts)
