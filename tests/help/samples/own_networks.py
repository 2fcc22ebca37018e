"""Networks that this project has never seen: a TOML file, and Python or ONNX beside it."""

from __future__ import annotations

from pathlib import Path

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8),
            nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        features = self.body(x).flatten(1)
        return {"embedding": features, "bins": self.head(features).softmax(1)}

def build():
    return Net()

def tuple_of_two():
    class Two(Net):
        def forward(self, x):
            return tuple(super().forward(x).values())
    return Two()

def no_module():
    return 3

def failing():
    raise RuntimeError("out of luck")
"""
TOML = """name = "mynet"
framing = "arcface-112"
licence = "MIT"
source = "a test"

[input]
size = [112, 112]
colour = "BGR"
mean = [0, 0, 0]
std = [255, 255, 255]

[[outputs]]
name = "quality"
kind = "score"
of = "embedding"
reduce = "l2-norm"

[reference]
torch = "net.py:build"
"""


def write_network(folder: Path, **changes: str) -> Path:
    """``net.toml`` and ``net.py`` in `folder`; `changes` are lines of the TOML file, by what they replace."""
    (folder / "net.py").write_text(NET)
    text = TOML
    for old, new in changes.items():
        line = next(line for line in text.splitlines() if line.startswith(old))
        text = text.replace(line, new)
    (folder / "net.toml").write_text(text)
    return folder / "net.toml"
