"""FaceXFormer (Narayan et al., arXiv 2403.12960): Swin-B and a two-way transformer, here for 68 landmarks.

The input size is the spec's and fixed: masks, padding and position code follow from it. The other tasks are
kept for the strict load; :meth:`FaceXFormer.tasks` computes them, :meth:`FaceXFormer.forward` does not.
"""

from __future__ import annotations

import math

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.errors import InputError
from torch import Tensor, nn
from torch.nn import functional

from fiqa_export.models.blocks.face_decoder import WIDTH, FaceDecoder
from fiqa_export.models.blocks.swin import SwinBlock
from fiqa_export.models.reference import Reference


class Permute(nn.Module):
    """(N, C, H, W) -> (N, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class PatchMerging(nn.Module):
    """Map (N, H, W, C) -> (N, H / 2, W / 2, 2 C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        even, odd = x[:, 0::2], x[:, 1::2]
        parts = (even[:, :, 0::2], odd[:, :, 0::2], even[:, :, 1::2], odd[:, :, 1::2])
        y: Tensor = self.reduction(self.norm(torch.cat(parts, dim=-1)))
        return y


def _stage(side: int, width: int, heads: int, blocks: int) -> nn.Sequential:
    def mlp() -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Identity(), nn.Linear(4 * width, width))

    return nn.Sequential(
        *(SwinBlock(side, width, heads, 7, 3 * (i % 2), mlp(), torchvision=True) for i in range(blocks))
    )


def _swin_b(size: int) -> nn.Sequential:
    """torchvision's feature stack: stem, then stages (odd indices) and mergings (even indices)."""
    layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, 128, 4, 4), Permute(), nn.LayerNorm(128))]
    for stage, blocks in enumerate((2, 2, 18, 2)):
        width = 128 * 2**stage
        if stage:
            layers.append(PatchMerging(width // 2))
        layers.append(_stage(size // 4 // 2**stage, width, width // 32, blocks))
    return nn.Sequential(*layers)


class Projection(nn.Module):
    """Map (N, H, W, C) -> (N, 256, H, W), each cell by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.proj(x)
        return y.permute(0, 3, 1, 2)


class PositionCode(nn.Module):
    """Random Fourier code of the cells of a square map, row by row: (side * side, 256)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, WIDTH // 2))

    def forward(self, side: int) -> Tensor:
        matrix = self.positional_encoding_gaussian_matrix
        centres = (2 * torch.arange(side, dtype=matrix.dtype) + 1) / side - 1
        x, y = centres.repeat(side), centres.repeat_interleave(side)
        phase = 2 * math.pi * (torch.stack((x, y), dim=1) @ matrix)
        return torch.cat((phase.sin(), phase.cos()), dim=1)


class FaceXFormer(Reference):
    """RGB (N, 3, size, size), ImageNet-normalised -> landmarks (N, 136), 68 pairs (x, y).

    Coordinates run from -1 to 1 over the input and may leave it.
    """

    _position_code: Tensor | None = None

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        size, width = spec.input.height, spec.input.width
        if size is None or size != width or size % 32:
            raise InputError(
                f"facexformer takes square inputs of 32, 64, ... pixels, not {width} x {size}; use 224 or 512"
            )
        self.side = size // 4
        self.backbone = nn.Sequential(_swin_b(size), nn.LayerNorm(1024))
        self.pe_layer = PositionCode()
        self.face_decoder = FaceDecoder()
        self.linear_c = nn.ModuleList(Projection(128 * 2**stage) for stage in range(4))
        self.linear_fuse = nn.Conv2d(4 * WIDTH, WIDTH, 1, bias=False)

    def freeze(self) -> None:
        with torch.no_grad():
            self._position_code = self.pe_layer(self.side)

    def forward(self, x: Tensor) -> Tensor:
        tokens, _ = self._decode(x)
        return self.face_decoder.landmarks(tokens)

    def tasks(self, x: Tensor) -> dict[str, Tensor]:
        """Outputs of all tasks by name; see :meth:`FaceDecoder.tasks`."""
        return self.face_decoder.tasks(*self._decode(x))

    def _decode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        image = self._fuse(x).flatten(2).transpose(1, 2)
        code = self.pe_layer(self.side) if self._position_code is None else self._position_code
        tokens, image = self.face_decoder(image, code)
        return tokens, image

    def _fuse(self, x: Tensor) -> Tensor:
        """All four stages on the map of the first, the last stage first: (N, 256, side, side)."""
        maps: list[Tensor] = []
        layers = list(self.backbone[0].children())
        for stage, projection in enumerate(self.linear_c):
            x = layers[2 * stage + 1](layers[2 * stage](x))
            part = projection(x)
            maps.insert(0, functional.interpolate(part, scale_factor=2**stage, mode="bilinear") if stage else part)
        fused: Tensor = self.linear_fuse(torch.cat(maps, dim=1))
        return fused


def build(spec: ModelSpec) -> FaceXFormer:
    """The network of `spec`, for its input size, with untrained parameters."""
    return FaceXFormer(spec)
