"""The Hessian of a mean loss, as a map of vectors: it is never written out."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn
from torch.func import functional_call

from bslib.data import Examples, Loss
from bslib.models.modes import drops_out, normalises_over_batch
from bslib.refusal import Refusal

Parameters = dict[str, Tensor]
MeanLoss = Callable[[Parameters, Tensor, Tensor], Tensor]  # of parameters, inputs, targets


class Hessian:
    """H, the matrix of second derivatives of the mean loss in a module's trained parameters.

    Calling it with v, (d,), gives H v, the gradient of the gradient's product with v
    (Pearlmutter 1994), exact but for rounding. Chunks are weighted by their sizes, so that a
    ragged last one counts for what it holds. The weights are copied as they are now; the module
    stays as it is, mode and buffers included.

    Attributes:
        size: d, the number of trained parameters.
        products: how many products were made.

    Args:
        module: in the mode whose Hessian is meant. Dropout that is switched on has none, and
            batch normalisation in training mode has one only over all examples at once.
        examples: those whose mean loss it is.
        loss: of single examples.
        chunk: examples at once; bounds the memory.

    Cost: a product takes about as much as two forward and backward passes over the examples.

    Raises:
        Refusal: a module whose Hessian is not defined; in a product, one that is not finite.
    """

    def __init__(
        self, module: nn.Module, examples: Examples, loss: Loss, *, chunk: int = 1024
    ) -> None:
        if len(examples) == 0:
            raise Refusal("a mean loss needs at least one example")
        _check(module, batches=-(-len(examples) // chunk))
        self._loss = mean_loss(module, loss)
        self._parameters = trained(module)
        self._like = next(iter(self._parameters.values())).detach()
        self._examples, self._chunk = examples, chunk
        self.size = sum(each.numel() for each in self._parameters.values())
        self.products = 0

    def __call__(self, vector: Tensor) -> Tensor:
        """Return H v (d,) for v (d,)."""
        total, count = torch.zeros_like(vector), len(self._examples)
        for start in range(0, count, self._chunk):
            rows = torch.arange(start, min(start + self._chunk, count))
            part = self._examples.subset(rows)
            _, product = gradient_and_product(self._loss, self._parameters, part, vector)
            total += product * (len(part) / count)
        self.products += 1
        if not total.isfinite().all():
            raise Refusal("a product with the Hessian is not finite; did the training diverge?")
        return total

    def random_vector(self, generator: torch.Generator) -> Tensor:
        """Return d independent signs, on the device and in the dtype of the parameters."""
        signs = torch.randint(2, (self.size,), generator=generator) * 2 - 1
        return signs.to(self._like)

    def operator(self) -> LinearOperator:
        """Return the map as scipy's, of float64 vectors."""

        def matvec(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            found = self(torch.from_numpy(vector.ravel()).to(self._like))
            return found.double().cpu().numpy()

        return LinearOperator((self.size, self.size), matvec=matvec, dtype=np.float64)


def gradient_and_product(
    mean: MeanLoss, parameters: Parameters, batch: Examples, vector: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradient g of the batch's mean loss and H v, (d,) each; H g where v is None.

    Both are of one forward pass: random numbers that it draws are the same in g and in H.
    """
    values = list(parameters.values())
    with torch.enable_grad():
        loss = mean(parameters, batch.inputs, batch.targets)
        parts = torch.autograd.grad(loss, values, create_graph=True, materialize_grads=True)
        gradient = flatten(parts)
        along = torch.dot(gradient, gradient.detach() if vector is None else vector)
        if not along.requires_grad:  # a loss that is linear in the parameters
            return gradient.detach(), torch.zeros_like(gradient)
        turned = torch.autograd.grad(along, values, materialize_grads=True)
    return gradient.detach(), flatten(turned)


def mean_loss(module: nn.Module, loss: Loss) -> MeanLoss:
    """Return the mean loss as a function of parameters, inputs and targets; buffers are copied."""

    def mean(parameters: Parameters, inputs: Tensor, targets: Tensor) -> Tensor:
        buffers = {name: each.clone() for name, each in module.named_buffers()}
        return loss(functional_call(module, {**buffers, **parameters}, (inputs,)), targets).mean()

    return mean


def trained(module: nn.Module) -> Parameters:
    """Return a copy of the module's trained parameters, by name, as leaves of their own graph.

    Raises:
        Refusal: there are none, or one holds a value that is not finite.
    """
    kept = {name: each for name, each in module.named_parameters() if each.requires_grad}
    parameters = {name: each.detach().clone().requires_grad_() for name, each in kept.items()}
    if not parameters:
        raise Refusal("the module has no trained parameters")
    for name, each in parameters.items():
        if not each.isfinite().all():
            raise Refusal(f"parameter {name!r} is not finite; did the training diverge?")
    return parameters


def flatten(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors of any shapes as one vector (d,), in their order."""
    return torch.cat([each.flatten() for each in parts])


def _check(module: nn.Module, batches: int) -> None:
    way_out = "switch to evaluation mode"
    if drops_out(module):
        raise Refusal(f"under dropout each product would be of another Hessian; {way_out}")
    if batches > 1 and normalises_over_batch(module):
        rule = "batch normalisation joins the examples of a chunk"
        raise Refusal(f"{rule}; {way_out}, or take a chunk that holds all examples")
