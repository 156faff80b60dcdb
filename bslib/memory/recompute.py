"""Recomputed activations: a chain of layers that keeps only what enters each of its segments.

The forward pass keeps the inputs of ``segments`` stretches of layers; the backward pass runs
each stretch again when its turn comes. Of L equal layers, about S + L / S are held instead of
L, least at S = sqrt(L), for one more forward pass: Chen et al. (2016, arXiv:1604.06174).
The memory law does not see the generator's state that is kept for each stretch, 5 kB.
"""

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint_sequential

from bslib.refusal import Refusal


class Recomputed(nn.Module):
    """The same function as the chain that it wraps, and the same parameters."""

    def __init__(self, layers: nn.Sequential, segments: int) -> None:
        super().__init__()
        if not isinstance(layers, nn.Sequential):
            wanted = "an nn.Sequential; put torch.utils.checkpoint into the module's forward"
            raise Refusal(f"recomputation by segments needs {wanted}, not {type(layers).__name__}")
        if not 1 <= segments <= len(layers):
            raise Refusal(f"segments must lie between 1 and {len(layers)}, not {segments!r}")
        self.layers, self.segments = layers, segments

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the chain's outputs."""
        outputs: Tensor = checkpoint_sequential(
            self.layers, self.segments, inputs, use_reentrant=False
        )
        return outputs
