"""Multi-head attention and the two-layer perceptron that every transformer here is made of.

Reshapes name every axis but the batch, which keeps exported graphs free of shape arithmetic.
"""

from __future__ import annotations

from torch import Tensor, nn


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q k / sqrt(d) + bias) v for queries (..., n, d), keys and values (..., m, d) -> (..., n, d).

    Queries are scaled before the product, which keeps the logits within the range of float16.
    """
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if bias is not None:
        logits = logits + bias
    y: Tensor = logits.softmax(-1) @ v
    return y


def multi_head(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """`attend` per head: queries (N, ..., n, width), keys and values (N, ..., m, width) -> like queries.

    Heads are outermost in the width; `bias` broadcasts to (N, ..., heads, n, m).
    """
    joined = attend(_split(q, heads), _split(k, heads), _split(v, heads), bias).transpose(-2, -3)
    return joined.reshape(-1, *q.shape[1:])


def _split(x: Tensor, heads: int) -> Tensor:
    return x.reshape(-1, *x.shape[1:-1], heads, x.shape[-1] // heads).transpose(-2, -3)


class Mlp(nn.Module):
    """Linear, exact GELU, linear over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.act(self.fc1(x)))
        return y
