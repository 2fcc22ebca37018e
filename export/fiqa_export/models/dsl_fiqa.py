"""DSL-FIQA: how good a face picture looks (Chen et al., CVPR 2024), both networks in one graph.

`de.` describes the degradation of a crop; `iqa.` scores the crop from ViT features, that description, and
which of the 68 landmarks the crop shows. Parameters without effect on the score are kept for the strict load
and not computed: `de.mlp`, `iqa.vit` after block 9, `iqa.swintransformer*.downsample`, `iqa.testmlp` and
`iqa.decoder.*.attn.task_query`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.images.crop_sampling import landmark_vector
from torch import Tensor, nn
from torch.nn import functional

from fiqa_export.models.blocks.attention import Mlp, attend, multi_head
from fiqa_export.models.blocks.swin import SwinBlock
from fiqa_export.models.blocks.vit import EPS, Block, PatchEmbed, with_class_token
from fiqa_export.models.reference import Reference

_GRID = 24
_TOKENS = _GRID * _GRID
_SLOTS, _OCTAVES = 500, 10
_FEATURES = _SLOTS * (1 + 2 * _OCTAVES)


def _to_tokens(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C), row by row."""
    return maps.flatten(2).transpose(1, 2)


def _to_map(tokens: Tensor) -> Tensor:
    """(N, 576, C) -> (N, C, 24, 24)."""
    return tokens.transpose(1, 2).reshape(-1, tokens.shape[2], _GRID, _GRID)


class DegradationEncoder(nn.Module):
    """RGB (N, 3, 384, 384) in [-1, 1] -> description (N, 96, 256), an 8 x 12 grid row by row."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out, stride in (
            (3, 64, 1),
            (64, 64, 1),
            (64, 128, 2),
            (128, 128, 1),
            (128, 256, 2),
            (256, 256, 1),
        ):
            layers += nn.Conv2d(c_in, c_out, 3, stride, 1), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.1)
        self.E = nn.Sequential(*layers)
        self.mlp = nn.Sequential(nn.Linear(256, 256), nn.LeakyReLU(0.1), nn.Linear(256, 256))

    def forward(self, x: Tensor) -> Tensor:
        return _to_tokens(functional.avg_pool2d(self.E(x), (12, 8)))


class VisionTransformer(nn.Module):
    """RGB (N, 3, 384, 384) in [-1, 1] -> outputs of blocks 6 to 9 without the class token, (N, 576, 3072)."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 768))
        self.pos_embed = nn.Parameter(torch.zeros(1, _TOKENS + 1, 768))
        self.patch_embed = PatchEmbed(768, 16)
        self.blocks = nn.ModuleList(Block(768, 12) for _ in range(12))
        self.norm = nn.LayerNorm(768, EPS)
        self.head = nn.Linear(768, 1000)

    def forward(self, x: Tensor) -> Tensor:
        tokens = with_class_token(self.patch_embed(x), self.cls_token, self.pos_embed)
        taps = []
        for block in self.blocks[:10]:
            tokens = block(tokens)
            taps.append(tokens[:, 1:])
        return torch.cat(taps[6:], dim=2)


class ChannelAttention(nn.Module):
    """Attention among the channels of (N, C, 576). Its result is transposed before it is reshaped and added, as in
    training."""

    def __init__(self) -> None:
        super().__init__()
        self.c_q = nn.Linear(_TOKENS, _TOKENS)
        self.c_k = nn.Linear(_TOKENS, _TOKENS)
        self.c_v = nn.Linear(_TOKENS, _TOKENS)

    def forward(self, x: Tensor) -> Tensor:
        y = attend(self.c_q(x), self.c_k(x), self.c_v(x))
        return x + y.transpose(1, 2).reshape(-1, x.shape[1], _TOKENS)


class SwinLayer(nn.Module):
    """A plain and a shifted block, a convolution and ReLU, on tokens (N, 576, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(SwinBlock(_GRID, width, 4, 4, shift, Mlp(width, 768), torchvision=False) for shift in (0, 2))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(x.reshape(-1, _GRID, _GRID, x.shape[2]))
        return _to_tokens(functional.relu(self.conv(y.permute(0, 3, 1, 2))))


class SwinStage(nn.Module):
    """Two layers, each added at 0.13 of its size, on maps (N, width, 24, 24)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(width, width, 3)
        self.layers = nn.ModuleList(SwinLayer(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        tokens = _to_tokens(x)
        for layer in self.layers:
            tokens = tokens + 0.13 * layer(tokens)
        return _to_map(tokens)


class CrossAttention(nn.Module):
    """Cross-attention: the description (N, 96, 256) queries the tokens (N, 576, 256); each answer is repeated for six
    tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.task_query = nn.Parameter(torch.zeros(1, 1, 256))
        self.q = nn.Linear(256, 256)
        self.kv = nn.Linear(256, 512)
        self.proj = nn.Linear(256, 256)

    def forward(self, x: Tensor, description: Tensor) -> Tensor:
        k, v = self.kv(x).chunk(2, dim=-1)
        answers = self.proj(multi_head(self.q(description), k, v, 8))
        repeated: Tensor = answers.repeat_interleave(6, dim=1)
        return repeated


class DepthwiseConv(nn.Module):
    """3 x 3 convolution of each channel of tokens (N, 576, width) on their map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return _to_tokens(self.dwconv(_to_map(x)))


class ConvMlp(nn.Module):
    """Perceptron 256 -> 1024 -> 256 with a depth-wise convolution before its GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(256, 1024)
        self.dwconv = DepthwiseConv(1024)
        self.fc2 = nn.Linear(1024, 256)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(functional.gelu(self.dwconv(self.fc1(x))))
        return y


class DecoderBlock(nn.Module):
    """Cross-attention and perceptron on tokens (N, 576, 256), each pre-norm and residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(256, EPS)
        self.attn = CrossAttention()
        self.norm2 = nn.LayerNorm(256, EPS)
        self.mlp = ConvMlp()

    def forward(self, x: Tensor, description: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), description)
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


def _perceptron(c_in: int, hidden: int, c_out: int, end: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(c_in, hidden), nn.ReLU(), nn.Identity(), nn.Linear(hidden, c_out), end)


class QualityNetwork(nn.Module):
    """RGB crop, description (N, 96, 256) and landmark values (N, 576) -> score (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = VisionTransformer()
        self.tablock1 = nn.Sequential(ChannelAttention(), ChannelAttention())
        self.conv1 = nn.Conv2d(3072, 768, 1)
        self.swintransformer1 = SwinStage(768)
        self.tablock2 = nn.Sequential(ChannelAttention(), ChannelAttention())
        self.conv2 = nn.Conv2d(768, 384, 1)
        self.swintransformer2 = SwinStage(384)
        self.decoder = nn.ModuleList(DecoderBlock() for _ in range(3))
        self.conv_decoder = nn.Conv2d(384, 256, 1)
        self.testmlp = _perceptron(256, 256, 256, nn.Identity())
        self.embed_mlp = _perceptron(_FEATURES, _FEATURES, _TOKENS, nn.Sigmoid())
        self.fc_score = _perceptron(257, 257, 1, nn.ReLU())
        self.fc_weight = _perceptron(257, 257, 1, nn.Sigmoid())

    def forward(self, x: Tensor, description: Tensor, landmark_values: Tensor) -> Tensor:
        channels = self.tablock1(self.vit(x).transpose(1, 2))
        maps = self.swintransformer1(self.conv1(channels.reshape(-1, 3072, _GRID, _GRID)))
        channels = self.tablock2(maps.flatten(2))
        maps = self.swintransformer2(self.conv2(channels.reshape(-1, 768, _GRID, _GRID)))
        tokens = _to_tokens(self.conv_decoder(maps))
        for block in self.decoder:
            tokens = block(tokens, description)
        tokens = torch.cat((tokens, landmark_values.unsqueeze(2)), dim=2)
        weights = self.fc_weight(tokens)
        score: Tensor = (self.fc_score(tokens) * weights).sum(1) / weights.sum(1)
        return score


class DSLFIQA(Reference):
    """RGB crop (N, 3, 384, 384) in [-1, 1] and landmark vector (N, 500) -> score (N, 1), not negative."""

    calibration_images = 2
    seeded_scale: Mapping[str, float] = {
        f"iqa.tablock{stage}.{block}.c_q.{entry}": 2.0**-6
        for stage, block, entry in product((1, 2), (0, 1), ("weight", "bias"))
    }

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.de = DegradationEncoder()
        self.iqa = QualityNetwork()

    def forward(self, x: Tensor, landmarks: Tensor) -> Tensor:
        score: Tensor = self.iqa(x, self.de(x), self.landmark_values(landmarks))
        return score

    def landmark_values(self, landmarks: Tensor) -> Tensor:
        """Landmark vector (N, 500) -> what it contributes to each token (N, 576), in (0, 1)."""
        waves = [wave(2.0**octave * landmarks) for octave in range(_OCTAVES) for wave in (torch.sin, torch.cos)]
        values: Tensor = self.iqa.embed_mlp(torch.cat((landmarks, *waves), dim=1))
        return values

    def calibration_forward(self, x: Tensor) -> None:
        self.de(x)

    def extra_inputs(self, batch: int) -> dict[str, Tensor]:
        """`landmarks` of crops that show all 68."""
        return {"landmarks": torch.from_numpy(landmark_vector(range(68))).expand(batch, -1)}


class DSLFIQAVisible(DSLFIQA):
    """RGB crop (N, 3, 384, 384) in [-1, 1] that shows all 68 landmarks -> score (N, 1).

    The contribution of the landmarks is then a constant, so the 116 million parameters behind it are not in the graph.
    """

    _values: Tensor | None = None

    def freeze(self) -> None:
        with torch.no_grad():
            self._values = self._visible_values()

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        values = self._visible_values() if self._values is None else self._values
        score: Tensor = self.iqa(x, self.de(x), values.expand(x.shape[0], -1))
        return score

    def extra_inputs(self, batch: int) -> dict[str, Tensor]:
        return {}

    def _visible_values(self) -> Tensor:
        vector = super().extra_inputs(1)["landmarks"]
        return self.landmark_values(vector.to(next(self.parameters()).dtype))


def build(spec: ModelSpec) -> DSLFIQA:
    """The networks of `spec` with untrained parameters: 1.0 GB."""
    constant = spec.input.sampling is not None and spec.input.sampling.landmarks == "constant"
    return DSLFIQAVisible(spec) if constant else DSLFIQA(spec)
