"""MTCNN: three small networks that look for faces one after the other (Zhang, Zhang, Li, Qiao, 2016)."""

from __future__ import annotations

from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn

from fiqa_export.models.reference import Reference


class ProposalNet(Reference):
    """RGB (N, 3, H, W) in [-1, 1], sides of at least 12 -> probability (N, 1, h, w) of a face in each cell of 12 x 12
    pixels, one every 2 pixels, and offsets (N, 4, h, w) of its box's left, top, right and bottom, in box sizes."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.conv1 = nn.Conv2d(3, 10, 3)
        self.prelu1 = nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(10, 16, 3)
        self.prelu2 = nn.PReLU(16)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.prelu3 = nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1:], self.conv4_2(x)


class RefinementNet(Reference):
    """RGB (N, 3, 24, 24) in [-1, 1] -> probability (N, 1) of a face, offsets (N, 4) of its box."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.conv1 = nn.Conv2d(3, 28, 3)
        self.prelu1 = nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(28, 48, 3)
        self.prelu2 = nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(48, 64, 2)
        self.prelu3 = nn.PReLU(64)
        self.dense4 = nn.Linear(576, 128)
        self.prelu4 = nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(_columns_first(x)))
        return self.dense5_1(x).softmax(1)[:, 1:], self.dense5_2(x)


class OutputNet(Reference):
    """RGB (N, 3, 48, 48) in [-1, 1] -> probability (N, 1) of a face, offsets (N, 4) of its box, points (N, 10): five x,
    then five y, in box sizes from its left top corner."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.prelu1 = nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.prelu2 = nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.prelu3 = nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4 = nn.Conv2d(64, 128, 2)
        self.prelu4 = nn.PReLU(128)
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.pool3(self.prelu3(self.conv3(x)))
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(_columns_first(x)))
        return self.dense6_1(x).softmax(1)[:, 1:], self.dense6_2(x), self.dense6_3(x)


STAGES: dict[str, type[Reference]] = {"mtcnn-p": ProposalNet, "mtcnn-r": RefinementNet, "mtcnn-o": OutputNet}


def _columns_first(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, W * H * C), the order in which the published dense layers take a map."""
    return x.permute(0, 3, 2, 1).flatten(1)


def build(spec: ModelSpec) -> Reference:
    """The network of `spec` with untrained parameters."""
    return STAGES[spec.name](spec)
