"""A loss seen from the outputs: values, and derivatives with respect to the outputs.

Outputs are taken class-major, (K, C, b): a softmax along narrow rows of ten classes is up to
twenty times slower on a CPU than one along a strided dimension, which runs along the examples.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from bslib.data import CrossEntropy, Loss

Operation = Callable[[], object]


def values(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the losses (K, b) of outputs (K, C, b) for targets (K, b) or (b,)."""
    if not isinstance(loss, CrossEntropy):
        return loss(outputs.transpose(1, 2), targets)
    return outputs.logsumexp(1) - outputs.gather(1, _rows(outputs, targets)).squeeze(1)


def differentiate(
    loss: Loss, outputs: Tensor, targets: Tensor, recorded: Tensor | None
) -> Iterator[Operation]:
    """Yield what replaces outputs (K, C, b) by the losses' derivatives with respect to them.

    Mean losses are left in ``recorded`` (K,), if given. For the cross-entropy the derivative is
    softmax(outputs) less 1 at the target. Other losses go through autograd, which costs a few
    more operations.
    """
    if not isinstance(loss, CrossEntropy):
        yield partial(_differentiate, loss, outputs, targets, recorded)
        return
    if recorded is not None:
        yield lambda: torch.mean(values(loss, outputs, targets), 1, out=recorded)
    wanted = _rows(outputs, targets)
    yield partial(torch.softmax, outputs, 1, out=outputs)
    yield partial(outputs.scatter_add_, 1, wanted, outputs.new_full((), -1).expand_as(wanted))


def _rows(outputs: Tensor, targets: Tensor) -> Tensor:
    return targets.expand(len(outputs), -1).unsqueeze(1)


def _differentiate(loss: Loss, outputs: Tensor, targets: Tensor, recorded: Tensor | None) -> None:
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        losses = loss(leaf.transpose(1, 2), targets)
        (slopes,) = torch.autograd.grad(losses.sum(), leaf)
    outputs.copy_(slopes)
    if recorded is not None:
        torch.mean(losses.detach(), 1, out=recorded)
