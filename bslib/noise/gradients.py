"""Per-example gradients: what every statement about mini-batch noise is made of."""

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from bslib import models
from bslib.data import Examples, Loss, Task
from bslib.models.modes import normalises_over_batch


def per_example_gradients(
    module: torch.nn.Module, examples: Examples, loss: Loss, *, chunk: int = 256
) -> Tensor:
    """Return the gradient of each example's loss, flat: shape (N, trained parameters).

    The mean of a batch's rows is that batch's gradient only where examples do not meet in
    the forward pass, so batch normalisation in training mode is refused.

    Cost: about one forward and backward pass over the examples, in chunks; the result takes
    4 N d bytes in float32.

    Raises:
        ValueError: the module normalises over the batch.
    """
    if normalises_over_batch(module):
        raise ValueError("per-example gradients are undefined under batch normalisation")
    trained = {name: each for name, each in module.named_parameters() if each.requires_grad}
    parameters = {name: each.detach() for name, each in trained.items()}

    def example_loss(parameters: dict[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        outputs = functional_call(module, parameters, (inputs[None],))
        return loss(outputs, target[None]).squeeze(0)

    per_example = vmap(grad(example_loss), in_dims=(None, 0, 0), chunk_size=chunk)
    gradients = per_example(parameters, examples.inputs, examples.targets)
    return torch.cat([each.flatten(1) for each in gradients.values()], dim=1)


def backward_difference(task: Task, *, seed: int, batches: int = 8, batch_size: int = 32) -> float:
    """Compare means of per-example gradients with ordinary backward passes.

    Returns:
        The largest distance between the two over a few random batches of the training
        examples, relative to the norm of the batch gradient, at the task's own model as
        ``seed`` initialises it. Rounding is all that it should hold.
    """
    module = models.build(task.model, task, seed=seed).to(task.train.inputs)
    gradients = per_example_gradients(module, task.train, task.loss)
    generator = torch.Generator().manual_seed(seed)
    differences = []
    for _ in range(batches):
        rows = torch.randperm(len(task.train), generator=generator)[:batch_size]
        loss = task.loss(module(task.train.inputs[rows]), task.train.targets[rows]).mean()
        backward = torch.autograd.grad(loss, list(module.parameters()))
        flat = torch.cat([each.flatten() for each in backward])
        differences.append((gradients[rows].mean(dim=0) - flat).norm() / flat.norm())
    return max(differences).item()
