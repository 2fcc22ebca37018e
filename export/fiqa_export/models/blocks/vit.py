"""Vision transformer parts, under the names of the timm library, for IFQA++ and DSL-FIQA."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from fiqa_export.models.blocks.attention import Mlp, multi_head

EPS = 1e-6
"""Epsilon of every LayerNorm in both vision transformers."""


def with_class_token(patches: Tensor, cls_token: Tensor, positions: Tensor) -> Tensor:
    """`cls_token` (1, 1, width) before `patches` (N, tokens, width), plus `positions` (1, tokens + 1, width).

    The class token is added to a padded row of zeros, because repeating it for the batch would need the batch's size.
    """
    first = functional.pad(cls_token, (0, 0, 0, patches.shape[1]))
    return functional.pad(patches, (0, 0, 1, 0)) + (positions + first)


class PatchEmbed(nn.Module):
    """Image (N, 3, H, W) -> one token per patch, row by row: (N, tokens, width)."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class Attention(nn.Module):
    """Self-attention over (N, tokens, width) with queries, keys and values from one linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        y: Tensor = self.proj(multi_head(q, k, v, self.heads))
        return y


class Block(nn.Module):
    """Pre-norm transformer block over (N, tokens, width), its perceptron four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPS)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y
