"""MobileFaceNet with a 512-d, unit-length embedding, as eDifFIQA(T) uses it."""

from __future__ import annotations

from torch import Tensor, nn


class Unit(nn.Module):
    """Convolution without bias, batch norm and, unless `linear`, a per-channel PReLU."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.prelu = nn.Identity() if linear else nn.PReLU(c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.prelu(self.bn(self.conv(x)))
        return y


class Bottleneck(nn.Module):
    """Expand, depth-wise, project; adds its input where `residual`."""

    def __init__(self, c_in: int, expanded: int, c_out: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.conv = Unit(c_in, expanded, 1)
        self.conv_dw = Unit(expanded, expanded, 3, stride, 1, groups=expanded)
        self.project = Unit(expanded, c_out, 1, linear=True)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.conv_dw(self.conv(x)))
        return x + y if self.residual else y


class Stack(nn.Module):
    """`count` residual bottlenecks at stride 1."""

    def __init__(self, count: int, channels: int, expanded: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(Bottleneck(channels, expanded, channels, residual=True) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


class MobileFaceNet(nn.Module):
    """RGB (N, 3, 112, 112) in [-1, 1] -> embedding (N, 512) of length 1 (no epsilon in the division)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Unit(3, 64, 3, stride=2, padding=1)
        self.conv2_dw = Unit(64, 64, 3, padding=1, groups=64)
        self.conv_23 = Bottleneck(64, 128, 64, stride=2)
        self.conv_3 = Stack(4, 64, 128)
        self.conv_34 = Bottleneck(64, 256, 128, stride=2)
        self.conv_4 = Stack(6, 128, 256)
        self.conv_45 = Bottleneck(128, 512, 128, stride=2)
        self.conv_5 = Stack(2, 128, 256)
        self.conv_6_sep = Unit(128, 512, 1)
        self.conv_6_dw = Unit(512, 512, 7, groups=512, linear=True)
        self.linear = nn.Linear(512, 512, bias=False)
        self.bn = nn.BatchNorm1d(512)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2_dw(self.conv1(x))
        x = self.conv_3(self.conv_23(x))
        x = self.conv_4(self.conv_34(x))
        x = self.conv_5(self.conv_45(x))
        x = self.conv_6_dw(self.conv_6_sep(x)).flatten(1)
        x = self.bn(self.linear(x))
        embedding: Tensor = x / x.norm(dim=1, keepdim=True)
        return embedding
