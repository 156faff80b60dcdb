"""Normalisation layers by name, and batch-norm statistics measured anew on a frozen network."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from bslib.refusal import Refusal

MOMENTUM = 0.1  # of running statistics, as in torch
NORMS = ("none", "batch", "ghost", "group")


class GhostBatchNorm(_BatchNorm):
    """Batch norm whose statistics are over ``group`` examples, whatever the batch size.

    A batch is cut into groups of consecutive examples, each normalised by its own mean and
    variance (Hoffer et al. 2017, algorithm 1); a batch of ``group`` or fewer is one group. The
    running statistics move once a step, towards the groups' average.
    """

    def __init__(self, features: int, group: int) -> None:
        super().__init__(features, momentum=MOMENTUM)
        self.group = group

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise inputs (B, C) or (B, C, H, W).

        Raises:
            Refusal: in training, a batch that cannot be cut into groups.
        """
        groups = group_count(len(inputs), self.group) if self.training else 1
        if groups == 1:
            return super().forward(inputs)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        # groups as channels: (B/g, g, C, ...) -> (g, B/g C, ...)
        parts = inputs.unflatten(0, (groups, -1)).transpose(0, 1).flatten(1, 2)
        means, variances = self.running_mean.repeat(groups), self.running_var.repeat(groups)
        scales, shifts = self.weight.repeat(groups), self.bias.repeat(groups)
        normalised = functional.batch_norm(
            parts, means, variances, scales, shifts, True, MOMENTUM, self.eps
        )
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.copy_(means.unflatten(0, (groups, -1)).mean(0))
            self.running_var.copy_(variances.unflatten(0, (groups, -1)).mean(0))
        return normalised.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 1)

    def extra_repr(self) -> str:
        """Add the group's size."""
        return f"{super().extra_repr()}, group={self.group}"

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"inputs are (B, C) or (B, C, H, W), not {tuple(input.shape)}")


def group_count(batch_size: int, group: int) -> int:
    """Return into how many groups of examples a batch is cut.

    Raises:
        Refusal: the batch is larger than a group, and no multiple of it.
    """
    if batch_size <= group:
        return 1
    if batch_size % group:
        raise Refusal(
            f"ghost batch norm over groups of {group} takes batches of up to {group} or of a "
            f"multiple of it, not {batch_size}; drop_last leaves out a ragged last batch"
        )
    return batch_size // group


def layer(norm: str, features: int, group: int | None, *, images: bool = False) -> nn.Module:
    """Return a normalisation layer for ``features`` units or, of images, channels.

    Args:
        norm: "batch" (running statistics at evaluation, momentum 0.1), "ghost" or "group".
        features: how many there are.
        group: how many share their statistics: examples for "ghost", features for "group".
        images: whether the inputs are (B, C, H, W), not (B, C).

    Raises:
        Refusal: an unknown name, or a group that is missing, does not fit or is not used.
    """
    if norm not in NORMS[1:]:
        raise Refusal(f"norm {norm!r} is unknown; use one of {', '.join(NORMS)}")
    if norm == "batch":
        return nn.BatchNorm2d(features) if images else nn.BatchNorm1d(features)
    assert group is not None
    if norm == "ghost":
        return GhostBatchNorm(features, group)
    if features % group:
        raise Refusal(f"group norm over groups of {group} does not divide {features} features")
    return nn.GroupNorm(features // group, features)


def checked(norm: str, group: int | None, normalized: int | None, depth: int) -> int:
    """Return how many of ``depth`` layers are normalised, after a look at the options.

    Raises:
        Refusal: a setting that is wrong, missing, or would be ignored.
    """
    if norm not in NORMS:
        raise Refusal(f"norm {norm!r} is unknown; use one of {', '.join(NORMS)}")
    least = {"ghost": 2, "group": 1}.get(norm)
    if least is None and group is not None:
        raise Refusal(f"group is for norm 'ghost' or 'group', not {norm!r}")
    if least is not None and not _whole(group, least):
        raise Refusal(f"norm {norm!r} needs group, a whole number from {least} on, not {group!r}")
    count = (depth if norm != "none" else 0) if normalized is None else normalized
    if not _whole(count, 0) or count > (depth if norm != "none" else 0):
        raise Refusal(
            f"normalized must be a whole number of 0 to {depth} layers, and 0 with norm 'none'; "
            f"not {normalized!r} with norm {norm!r}"
        )
    return count


def check_batch(module: nn.Module, inputs: Tensor, size: int) -> None:
    """Refuse to train on batches of ``size`` where batch norm has no statistics for them.

    A single example has no variance, but over the pixels of an image it has one: whether it is
    enough is found by passing one of ``inputs`` through a copy of the module.

    Raises:
        Refusal: a batch of one, or one that ghost batch norm cannot cut into groups.
    """
    layers = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    for part in layers:
        if isinstance(part, GhostBatchNorm):
            group_count(size, part.group)
    if size != 1 or not layers:
        return
    probe = copy.deepcopy(module).to(inputs.device, inputs.dtype).train()
    try:
        with torch.no_grad():
            probe(inputs[:1])
    except ValueError as error:
        raise Refusal(
            f"batch norm has no statistics over one example: {error}; use batches of 2 or more, "
            "and drop_last where the last batch of an epoch would hold one"
        ) from error


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def recalibrated(module: nn.Module, inputs: Tensor) -> nn.Module:
    """Return a copy whose batch-norm statistics are those of ``inputs`` under its weights.

    One pass over all inputs at once, with each layer normalised by what it passes on: the
    population's statistics, where running ones are an average over the last steps' batches and
    weights. Variances have divisor m, as in training.
    """
    copied = copy.deepcopy(module)
    layers = [part for part in copied.modules() if isinstance(part, _BatchNorm)]
    handles = [part.register_forward_pre_hook(_measure) for part in layers]
    with torch.no_grad():
        copied.eval()(inputs)
    for handle in handles:
        handle.remove()
    return copied.train(module.training)


def as_in_training(module: nn.Module, batch_size: int) -> nn.Module:
    """Return a copy in training mode that normalises by groups of ``batch_size`` examples.

    What training saw of any inputs, in one pass over all of them: batch norm takes each group's
    own statistics, as ghost batch norm does.
    """
    copied = copy.deepcopy(module).train()
    for name, part in list(copied.named_modules()):
        if isinstance(part, _BatchNorm):
            ghost = GhostBatchNorm(part.num_features, batch_size).to(part.weight)
            ghost.load_state_dict(part.state_dict())
            copied.set_submodule(name, ghost)
    return copied


def _measure(part: _BatchNorm, arguments: tuple[Tensor]) -> None:
    (inputs,) = arguments
    others = [axis for axis in range(inputs.dim()) if axis != 1]
    variance, mean = torch.var_mean(inputs, others, correction=0)
    assert part.running_mean is not None
    assert part.running_var is not None
    part.running_mean.copy_(mean)
    part.running_var.copy_(variance)
