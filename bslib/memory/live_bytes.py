"""Bytes of the storages that are alive, after every operation.

A storage counts from the operation that returns it until its last tensor is gone. What a
kernel takes and gives back inside one operation is not seen.
"""

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Watches every operation inside its ``with`` block, real or fake.

    Attributes:
        live: bytes alive now.
        phase: a word that the operations to come are filed under.
        operations: (name, phase) of each since :meth:`restart`.
        after: live bytes after each of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.phase = ""
        self.operations: list[tuple[str, str]] = []
        self.after: list[int] = []
        self._sizes: dict[int, int] = {}
        self._references: dict[int, weakref.ref[Any]] = {}
        self._resident: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, count what it returned, and note how much is alive."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.count(leaf)
        self.operations.append((func.__name__, self.phase))
        self.after.append(self.live)
        return result

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's storage, unless it is counted already; note where it has grown."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._resident:
            return
        if key not in self._references:
            # The Python object of a storage lives as long as the storage does.
            self._references[key] = weakref.ref(storage, lambda _: self._forget(key))
        self.live += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def leave_out(self, tensor: Tensor) -> None:
        """Never count a tensor's storage, nor views of it; the caller keeps it alive."""
        self._resident.add(tensor.untyped_storage()._cdata)

    def file_under(self, phase: str) -> None:
        """Note the phase of the operations to come."""
        self.phase = phase

    def restart(self) -> None:
        """Forget the operations so far; what is alive stays counted."""
        self.operations, self.after = [], []

    def _forget(self, key: int) -> None:
        self._references.pop(key)
        self.live -= self._sizes.pop(key)
