"""What every backend offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.card import Card

Arrays = dict[str, NDArray[np.float32]]


class Backend(Protocol):
    """One loaded artefact. Not to be used from two threads at once unless the backend says so."""

    name: str
    """`opencv`, `onnxruntime`, `openvino` or `tensorrt`."""
    info: Mapping[str, str]
    """What a report should say: version, device, precision of the arithmetic."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> Arrays:
        """Network inputs by graph name (float32, one batch axis first) -> outputs by the card's names."""
        ...

    def close(self) -> None:
        """Free everything; the backend cannot run afterwards."""
        ...


Opener = Callable[[Path, Card, int | None], Backend]
"""Opens an artefact: path, card, threads (None: the backend's own choice)."""
