"""Random numbers that stay the same: named, seeded, and apart from every other stream.

numpy freezes the output of ``RandomState`` for good (its policy on compatibility of random
numbers, NEP 19), which torch's generators and numpy's newer ones do not promise: a task drawn
on another machine, with other versions, is the same task.
"""

import zlib

import numpy as np
import torch

from bslib.data.task import Examples


def stream(*key: str | int) -> np.random.RandomState:
    """Return the random stream of a key, such as ``("mnist1d", "train", seed)``.

    Streams with different keys share no state; integers are at most 2^32 - 1.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.RandomState(words)


def split(name: str, count: int, held_out: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut 0..count-1 in two at random, by the task's name only; the second part is held out."""
    order = torch.from_numpy(stream(name, "split").permutation(count))
    return order[: count - held_out], order[count - held_out :]


def take(name: str, examples: Examples, count: int, seed: int) -> Examples:
    """Return ``count`` of the examples at random; all of them, in their order, where it is all."""
    if count == len(examples):
        return examples
    order = stream(name, "subset", seed).permutation(len(examples))
    return examples.subset(torch.from_numpy(order[:count]))
