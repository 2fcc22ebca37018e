"""FaceXFormer's decoder: a two-way transformer of learned task tokens and the image, and a head per task."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiqa_export.models.blocks.attention import multi_head

WIDTH = 256
"""Channels of tokens and image keys."""
_TASKS = {"landmarks": 136, "pose": 3, "attribute": 40, "visibility": 29, "age": 8, "gender": 2, "race": 5}
_MASKS = 11


class Attention(nn.Module):
    """Eight-head attention with separate projections to `inner`, tokens (N, n, 256)."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, inner)
        self.k_proj = nn.Linear(WIDTH, inner)
        self.v_proj = nn.Linear(WIDTH, inner)
        self.out_proj = nn.Linear(inner, WIDTH)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = self.out_proj(multi_head(self.q_proj(q), self.k_proj(k), self.v_proj(v), 8))
        return y


class ReluMlp(nn.Module):
    """Linear, ReLU, linear: 256 -> 2048 -> 256."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(WIDTH, 2048)
        self.lin2 = nn.Linear(2048, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lin2(functional.relu(self.lin1(x)))
        return y


class TwoWayLayer(nn.Module):
    """Tokens (N, 18, 256) attend to themselves, then they and image keys (N, cells, 256) to each other."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.cross_attn_token_to_image = Attention(WIDTH // 2)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = ReluMlp()
        self.norm3 = nn.LayerNorm(WIDTH)
        self.norm4 = nn.LayerNorm(WIDTH)
        self.cross_attn_image_to_token = Attention(WIDTH // 2)

    def forward(self, tokens: Tensor, image: Tensor, token_code: Tensor, image_code: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            coded = tokens + token_code
            tokens = tokens + self.self_attn(coded, coded, tokens)
        tokens = self.norm1(tokens)
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_code, image + image_code, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(image + image_code, tokens + token_code, tokens)
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """Two layers and a last look of the tokens at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList((TwoWayLayer(first=True), TwoWayLayer(first=False)))
        self.final_attn_token_to_image = Attention(WIDTH // 2)
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, token_code: Tensor, image: Tensor, image_code: Tensor) -> tuple[Tensor, Tensor]:
        tokens = token_code.unsqueeze(0)  # the same for every image until the first look at one
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_code, image_code)
        tokens = tokens + self.final_attn_token_to_image(tokens + token_code, image + image_code, image)
        return self.norm_final_attn(tokens), image


class Head(nn.Module):
    """Three linear layers with ReLU between them, 256 -> 256 -> 256 -> `outputs`."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, width) for width in (WIDTH, WIDTH, outputs))

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.layers
        y: Tensor = third(functional.relu(second(functional.relu(first(x)))))
        return y


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FaceDecoder(nn.Module):
    """Image keys (N, cells, 256) and their position code -> task tokens (N, 18, 256) and image keys."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        for task in _TASKS:
            self.add_module(f"{task}_token", nn.Embedding(1, WIDTH))
        self.mask_tokens = nn.Embedding(_MASKS, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, 64, 2, 2),
            ChannelNorm(64, 1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(64, 32, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetwork_mlps = Head(32)
        for task, outputs in _TASKS.items():
            self.add_module(f"{task}_prediction_head", Head(outputs))

    def forward(self, image: Tensor, image_code: Tensor) -> tuple[Tensor, Tensor]:
        parts = [getattr(self, f"{task}_token").weight for task in _TASKS]
        token_code = torch.cat((*parts, self.mask_tokens.weight))
        tokens, image = self.transformer(token_code, image, image_code)
        return tokens, image

    def landmarks(self, tokens: Tensor) -> Tensor:
        """The 68 landmarks from the first token, as pairs x, y: (N, 136)."""
        return self._output("landmarks", tokens)

    def tasks(self, tokens: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Every task's output (N, numbers) by name, and the masks (N, 11, 4 side, 4 side): `segmentation`."""
        side = math.isqrt(image.shape[1])
        pixels = self.output_upscaling(image.transpose(1, 2).reshape(-1, WIDTH, side, side))
        masks = self.output_hypernetwork_mlps(tokens[:, len(_TASKS) :])
        segmentation = torch.einsum("nmc,nchw->nmhw", masks, pixels)
        return {**{task: self._output(task, tokens) for task in _TASKS}, "segmentation": segmentation}

    def _output(self, task: str, tokens: Tensor) -> Tensor:
        output: Tensor = getattr(self, f"{task}_prediction_head")(tokens[:, list(_TASKS).index(task)])
        return output
