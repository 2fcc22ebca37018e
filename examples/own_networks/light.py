"""A light network in the manner of MobileNetV3, with a distribution over five grades of quality as its result."""

from torch import Tensor, nn


class Block(nn.Module):
    """Expand, depth-wise, squeeze and excite, project; adds its input where the shapes allow it."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        wide = 4 * c_in
        self.expand = nn.Sequential(nn.Conv2d(c_in, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish())
        self.depth = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.Hardswish()
        )
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, c_in, 1), nn.ReLU(), nn.Conv2d(c_in, wide, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(wide, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.depth(self.expand(x))
        y = self.project(y * self.excite(y))
        return x + y if self.adds else y


class Light(nn.Module):
    """RGB (N, 3, 224, 224), ImageNet's normalisation -> probabilities (N, 5) of the grades."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.blocks = nn.Sequential(
            Block(16, 16, 1), Block(16, 24, 2), Block(24, 24, 1), Block(24, 40, 2), Block(40, 40, 1)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 5), nn.Softmax(1))

    def forward(self, x: Tensor) -> Tensor:
        grades: Tensor = self.head(self.blocks(self.stem(x)))
        return grades


def build() -> nn.Module:
    """The network with untrained parameters."""
    return Light()
