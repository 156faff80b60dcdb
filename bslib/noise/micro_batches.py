"""Micro-batch gradients, one at a time, as accumulation or data parallelism makes them anyway."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bslib.noise.noise_scale import Moments, together
from bslib.noise.sketch import CountSketch


class MicroBatches:
    """Collects the gradients of equal micro-batches at one set of weights.

    Without a sketch the k gradients are kept: 4 k d bytes. With one, their sum and a sketch
    of each: 4 (2 d + k layers width). The value of the noise scale is then still exact, since it
    needs the norms of the gradients and of their sum alone; the sketch stands in for their inner
    products in the jackknife. That widens the interval: with r = (tr S)^2 / tr S^2, the
    effective number of directions of the noise, the jackknife's variance grows by r / width of
    itself where noise dominates the micro-batches (one standard error by 5 % at width = 10 r),
    by tr S |G|^2 / (G'SG width) where signal does.

    Under DistributedDataParallel each rank collects its own micro-batches (within ``no_sync``,
    or with a world size of k one each, before the reduction) and the ranks' collectors are
    merged; sketches are what makes that cheap.

    Args:
        micro_batch_size: m, the examples whose mean loss each gradient belongs to.
        layers: sizes of the layers by name, in the order of the flat gradient, see
            :func:`layer_sizes`; None for one layer.
        metric: weights (d,) of the squared coordinates in every norm, such as
            :func:`bslib.noise.adam_metric`; None for the Euclidean norm.
        sketch_width: how many numbers to keep of a layer's gradient; None keeps it all.
        seed: of the sketch.
        population: see :class:`bslib.noise.Moments`.
    """

    def __init__(
        self,
        micro_batch_size: int,
        *,
        layers: Mapping[str, int] | None = None,
        metric: Tensor | None = None,
        sketch_width: int | None = None,
        seed: int = 0,
        population: int | None = None,
    ) -> None:
        self.micro_batch_size, self.population = micro_batch_size, population
        self._layers = dict(layers) if layers is not None else {}
        self._scale = None if metric is None else metric.sqrt()
        self._sketch_width, self._seed = sketch_width, seed
        self._sketch: CountSketch | None = None
        self._total: Tensor | None = None
        self._norms: list[Tensor] = []  # (layers,) each
        self._kept: list[Tensor] = []  # gradients (d,), or sketches (layers, width)

    def __len__(self) -> int:
        return len(self._norms)

    def add(self, gradient: Tensor) -> None:
        """Take the gradient (d,) of a micro-batch's mean loss."""
        if self._scale is not None:
            gradient = gradient * self._scale
        self._add(gradient)

    def add_accumulated(self, total: Tensor) -> None:
        """Take the sum (d,) of all gradients so far, this micro-batch's included.

        For what gradient accumulation leaves in ``.grad`` (:func:`flat_gradient`); where the
        loss is divided by the number of micro-batches, multiply by it. The weights must not
        have moved, nor the gradients been set to zero, since the first micro-batch.
        """
        if self._scale is not None:
            total = total * self._scale
        self._add(total.clone() if self._total is None else total - self._total)

    def _add(self, gradient: Tensor) -> None:
        gradient = gradient.detach()
        if self._total is None:
            self._layers = self._layers or {"all": len(gradient)}
            if sum(self._layers.values()) != len(gradient):
                named = sum(self._layers.values())
                raise ValueError(f"the layers have {named} numbers, the gradient {len(gradient)}")
            self._total = torch.zeros_like(gradient)
            if self._sketch_width is not None:
                sizes = list(self._layers.values())
                self._sketch = CountSketch(sizes, self._sketch_width, self._seed)
        self._total += gradient
        self._norms.append(self._products(gradient, gradient))
        self._kept.append(self._sketch(gradient) if self._sketch is not None else gradient)

    def _products(self, one: Tensor, other: Tensor) -> Tensor:
        """Return inner products layer by layer, (layers,)."""
        sizes = list(self._layers.values())
        pairs = zip(one.split(sizes), other.split(sizes), strict=True)
        return torch.stack([torch.dot(first, second) for first, second in pairs])

    def merge(self, other: "MicroBatches") -> None:
        """Take over what another collector holds, of the same model, settings and weights."""
        settings = ("micro_batch_size", "_sketch_width", "_seed", "_layers")
        for name in settings:
            own, its = getattr(self, name), getattr(other, name)
            if own != its:
                raise ValueError(f"collectors differ in {name.strip('_')}: {own!r}, {its!r}")
        if self._total is None or other._total is None:
            raise ValueError("a collector without micro-batches has nothing to merge")
        self._total += other._total
        self._norms += other._norms
        self._kept += other._kept

    def halve(self) -> None:
        """Join neighbours into micro-batches of twice the size: half the memory.

        Raises:
            ValueError: their number is odd, or they are sketched, and so no longer exact.
        """
        if self._sketch_width is not None or len(self) % 2:
            raise ValueError("only an even number of whole gradients can be joined in pairs")
        self.micro_batch_size *= 2
        pairs = zip(self._kept[::2], self._kept[1::2], strict=True)
        self._kept = [first.add(second).div_(2) for first, second in pairs]
        self._norms = [self._products(each, each) for each in self._kept]
        if self._total is not None:
            self._total /= 2

    def moments(self) -> Moments:
        """Return the moments of the whole gradient."""
        return together(self.by_layer().values())

    def by_layer(self) -> dict[str, Moments]:
        """Return the moments of each layer's part of the gradient; they sum to the whole's."""
        if self._total is None:
            raise ValueError("there are no micro-batches yet")
        norms = torch.stack(self._norms).double().cpu()
        sums = self._row_sums(norms).numpy()
        return {
            name: Moments(self.micro_batch_size, norms[:, at].numpy(), sums[:, at], self.population)
            for at, name in enumerate(self._layers)
        }

    def _row_sums(self, norms: Tensor) -> Tensor:
        """Return <g_j, sum g> layer by layer, (k, layers)."""
        assert self._total is not None
        if self._sketch is None:
            products = [self._products(each, self._total) for each in self._kept]
            return torch.stack(products).double().cpu()
        sketches = torch.stack(self._kept)
        others = sketches.sum(dim=0) - sketches
        rows = norms + (sketches * others).sum(dim=-1).double().cpu()
        exact = self._products(self._total, self._total).double().cpu()
        return rows + (exact - rows.sum(dim=0)) / len(rows)


def layer_sizes(module: nn.Module) -> dict[str, int]:
    """Return how many trained numbers each layer has, in the order of the flat gradient.

    A layer is a module that holds parameters of its own; those of the outermost module go by
    their own names.
    """
    sizes: dict[str, int] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            layer = name.rpartition(".")[0] or name
            sizes[layer] = sizes.get(layer, 0) + parameter.numel()
    return sizes


def flat_gradient(module: nn.Module) -> Tensor:
    """Return what the module's trained parameters hold as ``.grad``, (d,); None counts as zero."""
    parameters = [each for each in module.parameters() if each.requires_grad]
    gradients = [each.grad if each.grad is not None else each.new_zeros(()) for each in parameters]
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([gradient.expand_as(each).flatten() for gradient, each in pairs])
