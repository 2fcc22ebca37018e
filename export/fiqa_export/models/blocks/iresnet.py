"""IResNet: the residual face-recognition network that eDifFIQA (S, M, L) and CR-FIQA are built on."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

DEPTHS = {18: (2, 2, 2, 2), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
"""Blocks per stage by the usual name of the network."""


class Block(nn.Module):
    """Residual block whose stride sits in the second convolution and whose shortcut starts before `bn1`."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.prelu = nn.PReLU(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = nn.Sequential() if stride == 1 else _shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        total: Tensor = self.bn3(self.conv2(y)) + self.downsample(x)
        return total


def iresnet(depth: int) -> nn.Sequential:
    """IResNet-`depth`: RGB (N, 3, 112, 112) in [-1, 1] -> embedding (N, 512), not normalised."""
    widths = (64, 64, 128, 256, 512)
    stages = {f"layer{i}": _stage(widths[i - 1], widths[i], n) for i, n in enumerate(DEPTHS[depth], start=1)}
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(64),
            prelu=nn.PReLU(64),
            **stages,
            bn2=nn.BatchNorm2d(512),
            flatten=nn.Flatten(),
            fc=nn.Linear(512 * 7 * 7, 512),
            features=nn.BatchNorm1d(512),
        )
    )


def _stage(c_in: int, c_out: int, blocks: int) -> nn.Sequential:
    rest = (Block(c_out, c_out, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(Block(c_in, c_out, stride=2), *rest)


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


def iresnet50() -> nn.Sequential:
    """IResNet-50, for network files: MagFace, ArcFace and others share its shape."""
    return iresnet(50)


def iresnet100() -> nn.Sequential:
    """IResNet-100, for network files."""
    return iresnet(100)
