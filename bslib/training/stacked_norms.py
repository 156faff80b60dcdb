"""Normalisation between a linear layer and its ReLU, for many members at once."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bslib.models.normalization import GhostBatchNorm, group_count
from bslib.training.losses import Operation


class Norm(NamedTuple):
    """Which values share statistics, and where a layer's scales and shifts stand in a row."""

    name: str  # the module's, which its buffers are named after
    units: int
    start: int
    by_units: bool  # a group is of units of one example; else of examples, unit by unit
    group: int  # how many are in one; 0 for all examples of a batch
    eps: float
    momentum: float

    def scale(self, rows: Tensor) -> Tensor:
        """Return the scales in ``rows`` (K, P) as a view (K, 1, units)."""
        return rows[:, self.start : self.start + self.units].unsqueeze(1)

    def shift(self, rows: Tensor) -> Tensor:
        """Return the shifts in ``rows`` (K, P) as a view (K, 1, units)."""
        start = self.start + self.units
        return rows[:, start : start + self.units].unsqueeze(1)

    def grouped(self, values: Tensor) -> Tensor:
        """View values (K, b, units) in four dimensions, a group along that in ``axis``."""
        if self.by_units:
            return values.unflatten(2, (-1, self.group))
        return values.unflatten(1, (self.groups(values.shape[1]), -1))

    @property
    def axis(self) -> int:
        """The dimension of ``grouped`` that statistics are over."""
        return 3 if self.by_units else 2

    def groups(self, count: int) -> int:
        """Return into how many groups ``count`` examples are cut."""
        return group_count(count, self.group) if self.group else 1

    def buffers(self, buffers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the running means (K, units), variances (K, units) and steps (K,)."""
        mean, variance = (buffers[f"{self.name}.running_{each}"] for each in ("mean", "var"))
        return mean, variance, buffers[f"{self.name}.num_batches_tracked"]


class Buffers(NamedTuple):
    """What a norm keeps from a forward pass for the backward pass, and room for its means."""

    normalised: Tensor  # (g, b, units)
    mean: Tensor  # one a group, as are the two below
    inverse: Tensor  # 1 / standard deviation
    other: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return sum(each.nbytes for each in self)


def norm_of(name: str, part: nn.Module, start: int) -> Norm | None:
    """Return what a stack needs to know of a normalisation layer; None for other modules."""
    if isinstance(part, nn.GroupNorm) and part.affine:
        units = part.num_channels
        return Norm(name, units, start, True, units // part.num_groups, part.eps, 0.0)
    if type(part) not in (nn.BatchNorm1d, GhostBatchNorm):
        return None
    assert isinstance(part, nn.modules.batchnorm._BatchNorm)
    if not part.affine or not part.track_running_stats or part.momentum is None:
        return None
    group = part.group if isinstance(part, GhostBatchNorm) else 0
    return Norm(name, part.num_features, start, False, group, part.eps, part.momentum)


def buffers_of(norm: Norm | None, like: Tensor, *, step: bool) -> Buffers | None:
    """Allocate for values like the layer's output (g, b, units), of a step or an evaluation."""
    if norm is None:
        return None
    shape = [0]  # running statistics serve in an evaluation
    if step or norm.by_units:
        sizes = enumerate(norm.grouped(like).shape)
        shape = [1 if axis == norm.axis else size for axis, size in sizes]
    mean, inverse, other = (like.new_empty(shape) for _ in range(3))
    return Buffers(torch.empty_like(like), mean, inverse, other)


def forward(
    norm: Norm,
    weights: Tensor,
    running: Mapping[str, Tensor] | None,
    ones: Tensor,
    space: Buffers,
    hidden: Tensor,
) -> Iterator[Operation]:
    """From the linear layer's outputs, in ``space.normalised``, to ``hidden`` (K, b, units).

    ``running`` statistics of batch norm, where given, move towards the batch's.
    """
    values, scratch = norm.grouped(space.normalised), norm.grouped(hidden)
    yield partial(torch.mean, values, norm.axis, True, out=space.mean)
    yield partial(values.sub_, space.mean)
    yield partial(torch.mul, values, values, out=scratch)
    yield partial(torch.mean, scratch, norm.axis, True, out=space.inverse)
    if running is not None and not norm.by_units:
        yield from _track(norm, running, ones, space, values.shape[2])
    yield partial(space.inverse.add_, norm.eps)
    yield space.inverse.rsqrt_
    yield partial(values.mul_, space.inverse)
    scale, shift = norm.scale(weights), norm.shift(weights)
    yield partial(torch.addcmul, shift, space.normalised, scale, out=hidden)


def _track(
    norm: Norm, running: Mapping[str, Tensor], ones: Tensor, space: Buffers, size: int
) -> Iterator[Operation]:
    """Move running statistics towards the mean of the groups', variances with divisor m - 1."""
    mean, variance, steps = norm.buffers(running)
    count, keep = space.mean.shape[1], 1 - norm.momentum
    for kept, new, factor in (
        (mean, space.mean, 1.0),
        (variance, space.inverse, size / (size - 1)),
    ):
        share = norm.momentum * factor / count
        average = kept.unsqueeze(1).baddbmm_
        yield partial(average, ones[..., :count], new.squeeze(2), beta=keep, alpha=share)
    yield partial(steps.add_, 1)


def evaluate(
    norm: Norm, weights: Tensor, running: Mapping[str, Tensor], space: Buffers, hidden: Tensor
) -> Iterator[Operation]:
    """Do what :func:`forward` does, with the running statistics in place of the batch's."""
    if norm.by_units:
        yield from forward(norm, weights, None, weights, space, hidden)
        return
    mean, variance, _ = (each.unsqueeze(1) for each in norm.buffers(running))
    scale = norm.scale(weights) * (variance + norm.eps).rsqrt()
    shift = norm.shift(weights) - mean * scale
    yield partial(torch.addcmul, shift, space.normalised, scale, out=hidden)


def backward(
    norm: Norm,
    weights: Tensor,
    into: Tensor,
    carry: float,
    ones: Tensor,
    space: Buffers,
    scratch: Tensor,
    slope: Tensor,
) -> Iterator[Operation]:
    """From derivatives at the outputs to those at the inputs, in place of ``slope``.

    With x^ the normalised values, gamma the scales and m a group's mean, an input's derivative
    is (d - m(d) - x^ m(d x^)) / sd, where d is gamma times the output's (Ioffe and Szegedy 2015,
    section 3). Those of the scales and shifts are accumulated in ``into``, which may be the
    weights: the scales are read before. ``scratch`` (K, b, units) is overwritten.
    """
    scale, normalised = norm.scale(weights), space.normalised
    yield partial(torch.mul, slope, normalised, out=scratch)
    yield partial(norm.shift(into).baddbmm_, ones, slope, beta=carry)
    yield partial(slope.mul_, scale)
    yield partial(norm.scale(into).baddbmm_, ones, scratch, beta=carry)
    yield partial(torch.mul, slope, normalised, out=scratch)
    slopes, products = norm.grouped(slope), norm.grouped(scratch)
    yield partial(torch.mean, slopes, norm.axis, True, out=space.mean)
    yield partial(torch.mean, products, norm.axis, True, out=space.other)
    yield partial(slopes.sub_, space.mean)
    yield partial(slopes.addcmul_, norm.grouped(normalised), space.other, value=-1)
    yield partial(slopes.mul_, space.inverse)
