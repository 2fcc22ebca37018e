"""IFQA++: a masked autoencoder of the huge size whose decoder predicts one quality value per pixel.

The published model shuffles the patch tokens and undoes that. No token is dropped at inference, so this is left out
here. `mask_token` has no effect at inference and is kept for the strict load only.
"""

from __future__ import annotations

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn

from fiqa_export.models.blocks.vit import EPS, Block, PatchEmbed, with_class_token
from fiqa_export.models.reference import Reference

_PATCH, _GRID = 14, 16
_TOKENS = _GRID * _GRID + 1
_ENCODER, _DECODER, _HEADS = 1280, 512, 16


class IFQAPlus(Reference):
    """RGB (N, 3, 224, 224) in about [-1, 1] -> score (N, 1) and map (N, 1, 224, 224), both in (0, 1)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, _ENCODER))
        self.pos_embed = nn.Parameter(torch.zeros(1, _TOKENS, _ENCODER))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, _DECODER))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, _TOKENS, _DECODER))
        self.patch_embed = PatchEmbed(_ENCODER, _PATCH)
        self.blocks = nn.Sequential(*(Block(_ENCODER, _HEADS) for _ in range(32)))
        self.norm = nn.LayerNorm(_ENCODER, EPS)
        self.decoder_embed = nn.Linear(_ENCODER, _DECODER)
        self.decoder_blocks = nn.Sequential(*(Block(_DECODER, _HEADS) for _ in range(8)))
        self.decoder_norm = nn.LayerNorm(_DECODER, EPS)
        self.decoder_pred = nn.Linear(_DECODER, _PATCH * _PATCH)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        tokens = with_class_token(self.patch_embed(x), self.cls_token, self.pos_embed)
        latent = self.norm(self.blocks(tokens))
        decoded = self.decoder_blocks(self.decoder_embed(latent) + self.decoder_pos_embed)
        pixels = self.decoder_pred(self.decoder_norm(decoded))[:, 1:].sigmoid()
        quality = to_map(pixels)
        return quality.mean((2, 3)), quality


def to_map(pixels: Tensor) -> Tensor:
    """Pixels of each patch, row by row (N, 256, 196) -> map (N, 1, 224, 224)."""
    grid = pixels.reshape(-1, _GRID, _GRID, _PATCH, _PATCH)
    return grid.transpose(2, 3).reshape(-1, 1, _GRID * _PATCH, _GRID * _PATCH)


def build(spec: ModelSpec) -> IFQAPlus:
    """The network of `spec` with untrained parameters: 2.6 GB."""
    return IFQAPlus(spec)
