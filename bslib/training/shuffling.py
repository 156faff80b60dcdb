"""Which examples each member learns from at each step: a stream of its own, from its seed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_PURPOSE = 0x5348  # keeps the shuffle's stream apart from the initial weights' of one seed


class Shuffle:
    """Batches for all members in step: each epoch a fresh permutation a member.

    Without replacement an epoch visits every example once; its last batch is smaller where
    the batch size does not divide the examples (``drop_last`` leaves it out). With replacement
    each batch is drawn independently. The batch size at a step is the same for all members, so
    they stay in step whoever has left.

    A member's batches depend on its seed and on the kind of device, on no other member.
    """

    def __init__(
        self,
        examples: int,
        batch_size: int,
        seeds: Sequence[int],
        device: torch.device,
        *,
        replacement: bool = False,
        drop_last: bool = False,
    ) -> None:
        self.examples, self.batch_size, self.replacement = examples, batch_size, replacement
        self.full = -(-examples // batch_size) if replacement else examples // batch_size
        self.tail = 0 if replacement or drop_last else examples % batch_size
        self.device = device
        self._generators = [_generator(seed, device) for seed in seeds]
        self._position = 0
        self._batches = self._rest = torch.empty(0)

    @property
    def whole(self) -> bool:
        """Whether every batch is the whole data set, so that its order means nothing."""
        return not self.replacement and self.batch_size == self.examples

    @property
    def epoch_steps(self) -> int:
        """Steps an epoch."""
        return self.full + (self.tail > 0)

    def size(self, step: int) -> int:
        """Return the batch size at ``step`` (from 0)."""
        return self.batch_size if step % self.epoch_steps < self.full else self.tail

    def seen(self, steps: int) -> int:
        """Return how many examples a member has learnt from after ``steps`` steps."""
        epochs, rest = divmod(steps, self.epoch_steps)
        return epochs * (self.full * self.batch_size + self.tail) + rest * self.batch_size

    def steps_for(self, examples: int) -> int:
        """Return the first number of steps after which ``examples`` have been seen."""
        epochs, rest = divmod(examples, self.full * self.batch_size + self.tail)
        return epochs * self.epoch_steps + -(-rest // self.batch_size)

    def next(self, most: int) -> Sequence[Tensor | None]:
        """Return the following batches' indices, (members, b) each, of one size: 1 to ``most``.

        They do not cross an epoch's end. None stands for all examples in their order.
        """
        if self.whole:
            return [None] * most
        first = self._position
        if first == 0:
            self._draw()
        last = max(first + 1, min(first + most, self.full))
        self._position = last % self.epoch_steps
        return self._batches[first:last].unbind() if first < self.full else [self._rest]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these members only."""
        self._generators = [self._generators[row] for row in rows]
        if self._batches.numel():
            self._batches = self._batches[:, rows].contiguous()
            self._rest = self._rest[rows].contiguous()

    def _draw(self) -> None:
        cut, width = self.full * self.batch_size, len(self._generators)
        del self._batches, self._rest  # the last epoch's, before this one's are made
        # step-major, so that a step's indices are one contiguous block
        self._batches = torch.empty(
            self.full, width, self.batch_size, dtype=torch.int64, device=self.device
        )
        self._rest = torch.empty(width, self.tail, dtype=torch.int64, device=self.device)
        for row, generator in enumerate(self._generators):
            order = self._order(generator)
            self._batches[:, row] = order[:cut].view(self.full, self.batch_size)
            self._rest[row] = order[cut : cut + self.tail]

    def _order(self, generator: torch.Generator) -> Tensor:
        if self.replacement:
            size = (self.full * self.batch_size,)
            return torch.randint(self.examples, size, generator=generator, device=self.device)
        return torch.randperm(self.examples, generator=generator, device=self.device)


def _generator(seed: int, device: torch.device) -> torch.Generator:
    state = int(np.random.SeedSequence([seed, _PURPOSE]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(state >> 1)
