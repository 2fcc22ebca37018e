"""IFQA: a residual U-Net that says for every pixel how real the face looks (Jo et al., WACV 2023)."""

from __future__ import annotations

import math

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fiqa_export.models.reference import Reference


class Layers(nn.Module):
    """The layers of a pre-activation residual block; only the second convolution changes the width."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_in, 3, padding=1)
        self.conv2 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm1 = nn.InstanceNorm2d(c_in, affine=True)
        self.norm2 = nn.InstanceNorm2d(c_in, affine=True)
        self.conv1x1 = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1, bias=False)


class Encoder(Layers):
    """(N, C, H, W) -> (N, C', H/2, W/2), or the same size where not `halve`."""

    def __init__(self, c_in: int, c_out: int, halve: bool = True) -> None:
        super().__init__(c_in, c_out)
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.conv1(_act(self.norm1(x))))
        y = self.conv2(_act(self.norm2(y)))
        total: Tensor = self.pool(self.conv1x1(x)) + y
        return total / math.sqrt(2)


class Decoder(Layers):
    """(N, C, H, W) -> (N, C', 2 H, 2 W)."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(_double(_act(self.norm1(x))))
        y = self.conv2(_act(self.norm2(y)))
        total: Tensor = y + self.conv1x1(_double(x))
        return total / math.sqrt(2)


class IFQA(Reference):
    """RGB (N, 3, 256, 256) in [-1, 1] -> score (N, 1), map (N, 1, 256, 256), in (0, 1), higher is better."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.encoder128 = Encoder(3, 64)
        self.encoder64 = Encoder(64, 128)
        self.encoder32 = Encoder(128, 256)
        self.encoder16 = Encoder(256, 512)
        self.encoder8 = Encoder(512, 1024)
        self.btn = nn.Sequential(*(Encoder(1024, 1024, halve=False) for _ in range(4)))
        self.decoder16 = Decoder(1024, 512)
        self.decoder32 = Decoder(512, 256)
        self.decoder64 = Decoder(256, 128)
        self.decoder128 = Decoder(128, 64)
        self.decoder256 = nn.Sequential(Decoder(64, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        e1 = self.encoder128(x)
        e2 = self.encoder64(e1)
        e3 = self.encoder32(e2)
        e4 = self.encoder16(e3)
        d4 = self.decoder16(self.btn(self.encoder8(e4)))
        d3 = self.decoder32(d4 * e4 + e4)
        d2 = self.decoder64(d3 * e3 + e3)
        d1 = self.decoder128(d2 * e2 + e2)
        realness = self.decoder256(d1 * e1 + e1)
        score = realness.mean((2, 3), dtype=torch.promote_types(realness.dtype, torch.float32))
        return score, realness


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def build(spec: ModelSpec) -> IFQA:
    """The network of `spec` with untrained parameters."""
    return IFQA(spec)
