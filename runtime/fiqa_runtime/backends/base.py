"""What every backend offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import ArtefactError

Arrays = dict[str, NDArray[np.float32]]
Inputs = Mapping[str, NDArray[np.float32] | NDArray[np.uint8]]
"""Network inputs by graph name, one batch axis first: float32, or uint8 where ``card.input.raw``."""


class Backend(Protocol):
    """One loaded artefact. Not to be used from two threads at once unless the backend says so."""

    name: str
    """`opencv`, `onnxruntime`, `openvino` or `tensorrt`."""
    info: Mapping[str, str]
    """What a report should say: version, device, `arithmetic` of what the graph leaves in floating point."""

    def run(self, inputs: Inputs) -> Arrays:
        """Network inputs -> outputs by the card's names."""
        ...

    def close(self) -> None:
        """Free everything; the backend cannot run afterwards. A second call does nothing."""
        ...


def in_file_order(names: list[str], card: Card) -> list[str]:
    """The card's name of each of a file's outputs `names`: the same, or the one in that place in files of others.

    Raises ArtefactError where the file has more or fewer outputs than the card.
    """
    known = [output.name for output in card.outputs]
    if len(names) != len(known):
        raise ArtefactError(
            f"the file of {card.model} gives {len(names)} outputs, its card names {len(known)}; export it again"
        )
    return names if set(names) == set(known) else known
