"""Shifted-window attention (Liu et al.: Swin Transformer, ICCV 2021), for DSL-FIQA and FaceXFormer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiqa_export.models.blocks.attention import multi_head


def cut_windows(x: Tensor, window: int) -> Tensor:
    """Map (N, H, W, C) -> (N, windows, window * window, C), windows and tokens row by row."""
    _, height, width, channels = x.shape
    rows, columns = height // window, width // window
    x = x.reshape(-1, rows, window, columns, window * channels).transpose(2, 3)
    return x.reshape(-1, rows * columns, window * window, channels)


def join_windows(x: Tensor, window: int, side: int) -> Tensor:
    """Undo `cut_windows` for a square map of `side`."""
    channels = x.shape[-1]
    x = x.reshape(-1, side // window, side // window, window, window * channels).transpose(2, 3)
    return x.reshape(-1, side, side, channels)


def relative_index(window: int) -> Tensor:
    """(tokens, tokens): row of the bias table for each query and key of a window."""
    step = torch.arange(window)[:, None] - torch.arange(window) + window - 1
    index = (2 * window - 1) * step[:, None, :, None] + step[None, :, None, :]
    return index.reshape(window**2, window**2)


def shift_mask(side: int, window: int, shift: int) -> Tensor:
    """Mask (windows, tokens, tokens): -100 between tokens that only the roll made neighbours, else 0."""
    at = torch.arange(side)
    region = (at >= side - window).int() + (at >= side - shift).int()
    labels = cut_windows((3 * region[:, None] + region)[None, :, :, None], window)[0, :, :, 0]
    return torch.where(labels[:, :, None] == labels[:, None, :], 0.0, -100.0)


class WindowAttention(nn.Module):
    """Self-attention with relative position bias inside each window of (N, windows, tokens, width)."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: int, flat_index: bool) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        index = relative_index(window)
        self.register_buffer("relative_position_index", index.flatten() if flat_index else index)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        tokens = x.shape[2]
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.reshape(tokens, tokens, self.heads).permute(2, 0, 1)
        if mask is not None:
            bias = bias + mask[:, None]
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        y: Tensor = self.proj(multi_head(q, k, v, self.heads, bias))
        return y


class SwinBlock(nn.Module):
    """Window attention and `mlp`, each pre-norm and residual, on square maps (N, side, side, width).

    Sides that are not multiples of the window are padded with zeros after the norm. Where one window covers the padded
    map, nothing is shifted. `torchvision` chooses the state dict of that library, with a flat index and without the
    mask.
    """

    attn_mask: Tensor | None

    def __init__(
        self, side: int, width: int, heads: int, window: int, shift: int, mlp: nn.Module, torchvision: bool
    ) -> None:
        super().__init__()
        self.side, self.window = side, window
        self.padded = -(-side // window) * window
        self.shift = shift if self.padded > window else 0
        mask = shift_mask(self.padded, window, self.shift) if self.shift else None
        self.register_buffer("attn_mask", mask, persistent=not torchvision)
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, flat_index=torchvision)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y

    def _attend(self, x: Tensor) -> Tensor:
        missing = self.padded - self.side
        if missing:
            x = functional.pad(x, (0, 0, 0, missing, 0, missing))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = join_windows(self.attn(cut_windows(x, self.window), self.attn_mask), self.window, self.padded)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, : self.side, : self.side] if missing else x
