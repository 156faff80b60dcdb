"""Reading examples of a data set into memory, as batches are gathered from."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from bslib.advise.problem import error_line
from bslib.memory.step import tensors
from bslib.refusal import Refusal

# Examples held in memory at most, and their bytes.
MOST_EXAMPLES, MOST_BYTES = 2**15, 2**30
FEWEST, AT_ONCE = 2, 64  # examples read between two looks at the clock


def drawn(size: int, most: int, generator: torch.Generator) -> Tensor:
    """Return up to ``most`` different rows of ``size``, in random order."""
    if size <= 16 * most:
        return torch.randperm(size, generator=generator)[:most]
    rows = torch.randint(size, (most,), generator=generator).unique()  # a few are drawn twice
    return rows[torch.randperm(len(rows), generator=generator)]


def loaded(
    dataset: Any, order: Tensor, patience_s: float, clock: Callable[[], float]
) -> tuple[Any, int, float]:
    """Return collated examples, how many, and the seconds that one took.

    Examples are read in turn, until ``patience_s`` or their bytes are used up. The tensors of a
    ``TensorDataset`` are there already: 0 seconds.

    Raises:
        Refusal: the items do not make a batch of tensors.
    """
    if type(dataset) is TensorDataset:  # a class derived from it may give other items
        row = sum(each[:1].nbytes for each in dataset.tensors)
        rows = order[: max(2, MOST_BYTES // max(row, 1))]
        return tuple(each[rows] for each in dataset.tensors), len(rows), 0.0
    start, parts, room, held = clock(), [], MOST_BYTES, 0
    while held < len(order):
        part = order[held : held + min(max(FEWEST, held), AT_ONCE)].tolist()
        parts.append(_collated(dataset, part))
        held += len(part)
        room -= sum(each.nbytes for each in tensors(parts[-1]))
        if room <= 0 or clock() - start > patience_s:
            break
    seconds = clock() - start
    try:
        return _joined(parts), held, seconds / held
    except Exception as error:
        raise _unlike(error) from error


def _collated(dataset: Any, rows: Sequence[int]) -> Any:
    items = [_item(dataset, row) for row in rows]
    try:
        batch = default_collate(items)
    except Exception as error:
        raise _unlike(error) from error
    words = next(_words(batch), None)
    if words is not None or next(iter(tensors(batch)), None) is None:
        raise Refusal(f"an item holds {words or 'nothing'}: items are tensors or numbers, in "
                      "tuples, lists or dicts; leave out what else there is")  # fmt: skip
    return batch


def _item(dataset: Any, row: int) -> Any:
    try:
        return dataset[row]
    except Exception as error:
        raise Refusal(f"the data set's item {row} cannot be read: {error_line(error)}") from error


def _words(batch: Any, where: str = "") -> Iterator[str]:
    """Name the texts in a batch, and where in an item each is."""
    if isinstance(batch, dict):
        for key, part in batch.items():
            yield from _words(part, f"{where}[{key!r}]")
    elif isinstance(batch, tuple | list) and batch and isinstance(batch[0], str | bytes):
        yield f"a {type(batch[0]).__name__}" + (f" at item{where}" if where else "")
    elif isinstance(batch, tuple | list):
        for at, part in enumerate(batch):
            yield from _words(part, f"{where}[{at}]")


def _unlike(error: Exception) -> Refusal:
    return Refusal(
        f"the data set's items do not make a batch: {error_line(error)}; give items of one shape, "
        "padded where they differ in length"
    )


def _joined(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple | list):
        return tuple(_joined(each) for each in zip(*parts, strict=True))
    return torch.cat(list(parts))
