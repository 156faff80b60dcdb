"""A decoder-only transformer for sequences of tokens, small enough to train in seconds."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from bslib.data.task import Task
from bslib.models.layers import linear, positive
from bslib.refusal import Refusal


class Attention(nn.Module):
    """Causal self-attention: a position sees itself and those before it.

    Written out, without a buffer for the mask: plain products and a softmax serve in a loop,
    under ``torch.func.vmap`` and in a recorded step alike.
    """

    def __init__(self, width: int, heads: int, generator: torch.Generator, gain: float) -> None:
        super().__init__()
        self.heads = heads
        self.mixed = linear(width, 3 * width, generator)
        self.out = linear(width, width, generator, gain=gain)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (B, L, width) from (B, L, width)."""
        mixed = self.mixed(hidden).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, heads, size)
        query, key, value = mixed.transpose(-4, -2).unbind(-3)  # each (B, heads, L, size)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        length = hidden.shape[-2]
        later = torch.ones(length, length, dtype=torch.bool, device=hidden.device).triu(1)
        seen = scores.masked_fill(later, -math.inf).softmax(-1)
        out: Tensor = self.out((seen @ value).transpose(-3, -2).flatten(-2))
        return out


class Block(nn.Module):
    """Attention, then a hidden layer of four times the width, each after a layer norm."""

    def __init__(self, width: int, heads: int, generator: torch.Generator, gain: float) -> None:
        super().__init__()
        self.attention_norm, self.hidden_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, generator, gain)
        self.hidden = linear(width, 4 * width, generator, gain=2.0)
        self.out = linear(4 * width, width, generator, gain=gain)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (B, L, width) from (B, L, width)."""
        hidden = hidden + self.attention(self.attention_norm(hidden))
        inner = functional.gelu(self.hidden(self.hidden_norm(hidden)))
        out: Tensor = hidden + self.out(inner)
        return out


class Transformer(nn.Module):
    """Token and position embeddings, blocks, a last norm and a linear layer."""

    def __init__(
        self,
        tokens: int,
        length: int,
        generator: torch.Generator,
        *,
        width: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.token = skip_init(nn.Embedding, tokens, width)
        self.position = nn.Parameter(torch.empty(length, width))
        with torch.no_grad():
            self.token.weight.normal_(0.0, 1.0, generator=generator)
            self.position.normal_(0.0, 0.1, generator=generator)
        gain = 1 / (2 * depth)
        self.blocks = nn.Sequential(*[Block(width, heads, generator, gain) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = linear(width, tokens, generator, gain=1 / width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, L, tokens) for the tokens after each of ``inputs`` (B, L)."""
        hidden = self.token(inputs.long()) + self.position[: inputs.shape[-1]]
        logits: Tensor = self.head(self.norm(self.blocks(hidden)))
        return logits


def build(
    task: Task, generator: torch.Generator, *, width: int = 64, depth: int = 2, heads: int = 4
) -> nn.Module:
    """Return a decoder with pre-layer-norm blocks (Xiong et al. 2020) and learned positions.

    Token numbers come as floating point, as all inputs do. Weights are N(0, gain / fan-in): 1
    within a block, 2 before its hidden layer's GELU, 1 / (2 depth) at a block's two outputs, so
    that their sum over blocks has unit variance (Radford et al. 2019, section 2.3), and
    1 / width at the last layer, so that the first loss is near ln(tokens).

    Raises:
        Refusal: the task has no target at every position, or ``heads`` does not divide
            ``width``.
    """
    positive(width=width, depth=depth, heads=heads)
    if task.classes is None or task.train.targets.dim() != 2:
        wanted = "a target at every position of a sequence"
        raise Refusal(f"model 'transformer' needs {wanted}, which task {task.name!r} has not")
    if width % heads:
        raise Refusal(f"heads must divide width, and {heads} does not divide {width}")
    length = task.train.inputs.shape[1]
    return Transformer(task.classes, length, generator, width=width, depth=depth, heads=heads)
