"""What every backend offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import ArtefactError, InputError

Arrays = dict[str, NDArray[np.float32]]
Inputs = Mapping[str, NDArray[np.float32] | NDArray[np.uint8]]
"""Network inputs by graph name, one batch axis first: float32, or uint8 where ``card.input.raw``."""


class Backend(Protocol):
    """One loaded artefact. Any number of threads may use it at once; each gets what it would get alone."""

    name: str
    """`opencv`, `onnxruntime`, `openvino` or `tensorrt`."""
    info: Mapping[str, str]
    """What reports say about it: `version`, `device`, which is the one really used, and `arithmetic`, the type that
    floating-point nodes compute in; on other devices than the processor also what else is known about the place."""

    def run(self, inputs: Inputs) -> Arrays:
        """Network inputs -> outputs by the card's names.

        Raises ArtefactError or UnsupportedError where the runtime refuses to compute them, InputError after `close`.
        """
        ...

    def close(self) -> None:
        """Free everything; the backend cannot run afterwards. A second call does nothing."""
        ...


def by_names(inputs: Inputs, names: list[str]) -> dict[str, NDArray[np.float32] | NDArray[np.uint8]]:
    """`inputs` under the `names` that a file has for them: the same names, or in files of others those in its order."""
    return dict(inputs) if set(inputs) == set(names) else dict(zip(names, inputs.values(), strict=True))


def closed(name: str) -> InputError:
    """The error for a run after `close` of the artefact called `name`."""
    return InputError(f"{name} is closed; open it again")


def failed(name: str, runtime: str, error: Exception) -> ArtefactError:
    """The error for a run of the artefact called `name` that `runtime` refused with `error`."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ArtefactError(f"{runtime} cannot run {name} on this input ({reason}); export it again with fiqa-export")


def in_file_order(names: list[str], card: Card) -> list[str]:
    """The card's name of each output of a file, whose own `names` are in the order of the file.

    A file of ours has the names of the card. In files of others the card's names count in their order.

    Raises ArtefactError where the file has more or fewer outputs than the card.
    """
    known = [output.name for output in card.outputs]
    if len(names) != len(known):
        raise ArtefactError(
            f"the file of {card.model} gives {len(names)} outputs, its card names {len(known)}; export it again"
        )
    return names if set(names) == set(known) else known
