"""Count sketch: a gradient in a few numbers that keep inner products."""

from collections.abc import Sequence

import torch
from torch import Tensor


class CountSketch:
    """A random linear map of gradients (d,) to sketches (layers, width).

    Each coordinate is added, with a random sign, to a random one of its layer's ``width``
    buckets. The inner product of two sketches is on average that of the gradients, with the
    variance (|x|^2 |y|^2 + <x, y>^2 - 2 sum_i x_i^2 y_i^2) / width over seeds (Charikar, Chen
    and Farach-Colton 2002; Weinberger et al. 2009, section 2).

    Args:
        sizes: how many coordinates each layer has, in the order of the gradient.
        width: numbers kept for each layer.
        seed: draws the buckets and the signs. Sketches of one seed can be compared.

    Holds 4 d bytes. Cost of a sketch: one indexed addition over the gradient.
    """

    def __init__(self, sizes: Sequence[int], width: int, seed: int) -> None:
        if width < 1:
            raise ValueError(f"a sketch keeps at least one number, not {width}")
        self.layers, self.width, self.seed = len(sizes), width, seed
        generator = torch.Generator().manual_seed(seed)
        # A layer's buckets come twice: what falls into the second half counts negative.
        parts = [
            torch.randint(2 * width, (size,), generator=generator, dtype=torch.int32)
            + 2 * width * layer
            for layer, size in enumerate(sizes)
        ]
        self._places = torch.cat(parts)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the sketch (layers, width) of a gradient (d,)."""
        if self._places.device != gradient.device:
            self._places = self._places.to(gradient.device)
        sums = gradient.new_zeros(2 * self.layers * self.width)
        sums.index_add_(0, self._places, gradient)
        plus, minus = sums.reshape(self.layers, 2, self.width).unbind(1)
        return plus - minus
