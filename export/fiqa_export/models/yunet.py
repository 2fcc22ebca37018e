"""YuNet: one-stage, anchor-free detector of faces with five landmarks (Wu, Peng, Yu, 2023)."""

from __future__ import annotations

from collections.abc import Iterable

from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fiqa_export.models.reference import Reference

WIDTHS = {"yunet-s": (16, 32, 64, 64, 64, 64), "yunet-n": (16, 64, 64, 64, 64, 64)}
"""Output channels of the stem and the five stages by model name."""


class Unit(nn.Module):
    """Point-wise, then depth-wise convolution; batch norm and ReLU unless `raw`."""

    def __init__(self, c_in: int, c_out: int, raw: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, groups=c_out)
        self.bn = nn.Identity() if raw else nn.BatchNorm2d(c_out)
        self.relu = nn.Identity() if raw else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.bn(self.conv2(self.conv1(x))))
        return y


class Stem(nn.Module):
    """BGR (N, 3, H, W) -> (N, C, H/2, W/2)."""

    def __init__(self, c_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, c_out, 3, stride=2, padding=1)
        self.conv2 = Unit(c_out, c_out)
        self.bn1 = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(F.relu(self.bn1(self.conv1(x))))
        return y


class Stage(nn.Module):
    """Two units, the second of which changes the number of channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = Unit(c_in, c_in)
        self.conv2 = Unit(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y


class Backbone(nn.Module):
    """BGR (N, 3, H, W) -> three maps of the last width at strides 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.model0 = Stem(widths[0])
        self.model1 = Stage(widths[0], widths[1])
        self.model2 = Stage(widths[1], widths[2])
        self.model3 = Stage(widths[2], widths[3])
        self.model4 = Stage(widths[3], widths[4])
        self.model5 = Stage(widths[4], widths[5])

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.model2(self.model1(_halve(self.model0(x))))
        c3 = self.model3(_halve(x))
        c4 = self.model4(_halve(c3))
        c5 = self.model5(_halve(c4))
        return [c3, c4, c5]


class Neck(nn.Module):
    """One unit per level, coarse to fine; each result, doubled in size, is added to the next unit's input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(Unit(channels, channels) for _ in range(3))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        c3, c4, c5 = levels
        fine, middle, coarse = self.lateral_convs
        p5 = coarse(c5)
        p4 = middle(c4 + _double(p5))
        p3 = fine(c3 + _double(p4))
        return [p3, p4, p5]


class Head(nn.Module):
    """Three maps -> raw cls, obj, bbox and kps maps of each; `share` puts a unit before the four branches."""

    def __init__(self, channels: int, share: bool) -> None:
        super().__init__()
        units = (nn.Sequential(Unit(channels, channels)) if share else nn.Identity() for _ in range(3))
        self.multi_level_share_convs = nn.ModuleList(units)
        self.multi_level_cls = _branch(channels, 1)
        self.multi_level_bbox = _branch(channels, 4)
        self.multi_level_obj = _branch(channels, 1)
        self.multi_level_kps = _branch(channels, 10)

    def forward(self, levels: list[Tensor]) -> dict[str, list[Tensor]]:
        levels = _each(self.multi_level_share_convs, levels)
        return {
            "cls": _each(self.multi_level_cls, levels),
            "obj": _each(self.multi_level_obj, levels),
            "bbox": _each(self.multi_level_bbox, levels),
            "kps": _each(self.multi_level_kps, levels),
        }


class YuNet(Reference):
    """BGR (N, 3, H, W), 0..255, H and W multiples of 32 -> twelve heads in the order of ``spec.outputs``.

    Each head is (N, H/s * W/s, C), rows first, for stride s; `cls` and `obj` are in (0, 1), the others raw.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        widths = WIDTHS[spec.name]
        self.backbone = Backbone(widths)
        self.neck = Neck(widths[-1])
        self.bbox_head = Head(widths[-1], share=spec.name == "yunet-n")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.bbox_head(self.neck(self.backbone(x)))
        heads = {kind: [m.permute(0, 2, 3, 1).flatten(1, 2) for m in levels] for kind, levels in maps.items()}
        probabilities = [h.sigmoid() for h in heads["cls"] + heads["obj"]]
        return (*probabilities, *heads["bbox"], *heads["kps"])


def _branch(channels: int, c_out: int) -> nn.ModuleList:
    return nn.ModuleList(Unit(channels, c_out, raw=True) for _ in range(3))


def _each(modules: Iterable[nn.Module], levels: list[Tensor]) -> list[Tensor]:
    return [module(level) for module, level in zip(modules, levels, strict=True)]


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def build(spec: ModelSpec) -> YuNet:
    """The network of `spec` with untrained parameters."""
    return YuNet(spec)
