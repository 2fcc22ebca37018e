"""Artefact plus backend: crops in, scores and maps out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.base import Backend
from fiqa_runtime.card import read_card
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.preprocess import Image, prepare

ENGINES = Path("engines")


def find_artefact(name: str | Path) -> Path:
    """`name` as it stands or, for a bare file name, in ``engines/``; raises InputError where there is neither."""
    path = Path(name)
    candidates = [path, ENGINES / path] if path.parent == Path() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = " or ".join(str(c) for c in candidates)
    raise InputError(f"no artefact at {looked}; make one with fiqa-export {path.name.split('.')[0] or 'MODEL'}")


class Scorer:
    """Scores face crops with one exported artefact.

        with Scorer("engines/ediffiqa-t.fp32.onnx") as scorer:
            scores = scorer.score(crops)        # uint8 BGR crops -> float32 (N,)

    Crops are uint8 BGR (H, W, 3), framed as ``card.input.framing`` says; another size is resized as the network's
    official script does it. Higher scores are better. `backend` is a name, or a loaded
    :class:`fiqa_runtime.backends.base.Backend` of your own. Raises InputError, ArtefactError (CardError),
    DependencyError or UnsupportedError when it cannot be built, see :mod:`fiqa_runtime.errors`.
    """

    def __init__(self, artefact: str | Path, backend: str | Backend = "auto", threads: int | None = None) -> None:
        self.path = find_artefact(artefact)
        self.card = read_card(self.path)
        if isinstance(backend, str):
            backend = open_backend(backend, self.path.resolve(), self.card, threads)
        self.backend = backend

    def __repr__(self) -> str:
        return f"<Scorer {self.card.model} {self.card.precision} on {self.backend.name}>"

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the backend."""
        self.backend.close()

    @property
    def has_map(self) -> bool:
        """Whether the network gives per-pixel quality."""
        return any(output.name == "map" for output in self.card.outputs)

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """uint8 BGR crops -> float32 (N,), higher is better; raises ArtefactError where a score is not finite."""
        if not len(crops):
            return np.empty(0, np.float32)
        scores = self._output("score", "quality scores", crops).reshape(len(crops))
        if not np.isfinite(scores).all():
            raise ArtefactError(f"{self.path.name} gave a score that is no number; run fiqa-score --self-test on it")
        return scores

    def map(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """uint8 BGR crops -> float32 (N, H, W) per-pixel quality in 0..1; InputError where the network has no map."""
        if not len(crops):
            return np.empty((0, self.card.input.height or 0, self.card.input.width or 0), np.float32)
        return self._output("map", "quality maps", crops)[:, 0]

    def outputs(self, crops: Sequence[Image]) -> dict[str, NDArray[np.float32]]:
        """Every graph output for uint8 BGR crops, by name, in batches of at most ``card.max_batch``."""
        parts = [self.backend.run(inputs) for inputs in self.batches(crops)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def batches(self, crops: Sequence[Image]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """What the backend is fed for uint8 BGR crops: inputs by name, ``card.max_batch`` crops at a time."""
        for start in range(0, len(crops), self.card.max_batch):
            yield {self.card.input.name: prepare(crops[start : start + self.card.max_batch], self.card.input)}

    def _output(self, name: str, what: str, crops: Sequence[Image]) -> NDArray[np.float32]:
        if all(output.name != name for output in self.card.outputs):
            raise InputError(f"{self.card.model} gives no {what}; fiqa-export --list shows what each network gives")
        return self.outputs(crops)[name]
