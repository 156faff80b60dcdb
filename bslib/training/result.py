"""What a training leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from torch import Tensor, nn

Modules = Mapping[tuple[int, int | None], nn.Module]  # (member, checkpoint; None at the end)


@dataclass(frozen=True, eq=False)
class Training:
    """Members trained side by side.

    Attributes:
        members: one row a member: ``member``, ``seed``, ``batch_size``, ``learning_rate``,
            ``weight_decay``, ``status`` ("finished": the budget is used; "reached": the
            target is; "diverged": the loss is not finite, or above 1,000 times the greater of
            1 and the loss at the start), ``steps`` and ``examples`` until then, ``seconds``
            (of the steps alone, those of all members beside it too), ``steps_to_target`` (NaN
            where there is no target, or it was not reached: right-censored at ``steps``), and
            the last metrics.
        history: one row a member and evaluation, from step 0 on: ``member``, ``seed``,
            ``batch_size``, ``learning_rate``, ``step``, ``examples``, ``seconds``, and
            ``{part}_loss`` and ``{part}_accuracy`` of the parts evaluated on.
        batch_losses: (members, steps), each step's mini-batch loss before the step, NaN after
            a member's end; None unless recorded.
        strategy: how members were trained at once: "stacked", "vmap" or "loop".
        peak_bytes: the estimate of memory needed, for the largest chunk of members.
        chunks: how many runs, one after another, the members were split into to fit.
    """

    members: pd.DataFrame
    history: pd.DataFrame
    batch_losses: Tensor | None
    strategy: str
    peak_bytes: int
    chunks: int
    _modules: Modules = field(repr=False)

    def module(self, member: int, step: int | None = None) -> nn.Module:
        """Return the member's trained network; with ``step``, as it was at that checkpoint.

        Raises:
            ValueError: no such checkpoint, or the member had ended before.
        """
        if (member, step) not in self._modules:
            raise ValueError(f"member {member} has no checkpoint at step {step}")
        return self._modules[member, step]
