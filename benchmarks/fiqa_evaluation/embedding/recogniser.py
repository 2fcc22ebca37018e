"""A recognition network, opened: crops in, embeddings of length 1 out, with those of the mirror images behind."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.artefact.card import has_card
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.errors import ArtefactError, InputError, VerdictError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.networks.network_file import read_network
from fiqa_runtime.scoring.canaries import differences
from fiqa_runtime.scoring.foreign import open_foreign
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of
from numpy.typing import NDArray

from fiqa_evaluation.embedding.conventions import check_preset, network_text

CANARIES = 4
"""Seeded images by which a network shows that it gives what it gave before."""
NEAR = 1e-3
"""Largest difference of a number of two embeddings of length 1 that rounding makes."""
Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A recognition network on one backend."""

    scorer: Scorer
    output: str
    """Name of the embedding among the outputs."""
    flip: bool
    """Whether the embedding of the mirror image stands behind that of the crop."""
    mark: dict[str, Any]
    """What decides the embeddings: hashes of the files, convention, flip."""

    def embed(self, crops: Sequence[Image]) -> Vectors:
        """uint8 BGR crops -> float32 (N, D), or (N, 2 D) with the mirror images; each half has length 1.

        Raises ArtefactError where a vector is zero or not finite.
        """
        whole = self._normalised(crops)
        if not self.flip:
            return whole
        mirrored = self._normalised([np.ascontiguousarray(crop[:, ::-1]) for crop in crops])
        return np.concatenate([whole, mirrored], axis=1)

    def canaries(self) -> Vectors:
        """Embeddings of seeded images.

        Raises VerdictError where the network gives other values than its card says, or another embedding to an image
        that comes with others than to one that comes alone.
        """
        card = self.scorer.card
        if card.canaries:
            limits, found = self.scorer.canary_limits, differences(card, self.scorer.outputs)
            missed = [name for name, limit in limits.items() if not found[name] <= limit]
            if missed:
                raise VerdictError(f"{self.scorer.path} misses its canaries ({missed[0]}); choose another --backend")
        height, width = card.input.height or 112, card.input.width or 112
        images = [seeded_image(index, height, width) for index in range(CANARIES)]
        together, alone = self.embed(images), np.concatenate([self.embed([image]) for image in images])
        if np.abs(together - alone).max() > NEAR:
            raise VerdictError(
                f"{self.scorer.path} gives an image another embedding where it comes with others; set --batch 1"
            )
        return together

    def close(self) -> None:
        """Free the backend."""
        self.scorer.close()

    def _normalised(self, crops: Sequence[Image]) -> Vectors:
        vectors = self.scorer.outputs(crops)[self.output].reshape(len(crops), -1)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ArtefactError(f"{self.scorer.path.name} gave a vector that is zero or not finite; check its preset")
        return np.asarray(vectors / lengths[:, None], np.float32)


def open_recogniser(
    network: str | Path,
    preset: str | None = None,
    flip: bool = True,
    backend: str = "auto",
    threads: int | None = None,
    batch: int | None = None,
    device: str | None = None,
) -> Recogniser:
    """The recognition network in an artefact of ``fiqa-export``, in an ONNX file of others fed as `preset` says, or in
    the ONNX file that a network file describes.

    `batch` is the most crops that are fed at once, `device` what runs it, as for :class:`Scorer`. Raises InputError
    where the network gives no embedding, or nothing says how it is fed, and what opening it raises.
    """
    scorer, described = _opened(Path(network), preset, backend, threads, device)
    output = output_of("embedding", scorer.card.outputs)
    if output is None:
        given = ", ".join(f"{each.name} ({each.kind})" for each in scorer.card.outputs)
        scorer.close()
        raise InputError(
            f'{network} gives {given} and no embedding; say kind = "embedding" of an output in its network file'
        )
    if batch is not None:
        scorer = scorer.with_max_batch(min(batch, scorer.card.max_batch))
    card = scorer.card
    files = {"network": sha256_of(scorer.path), **described}
    fed = {"colour": card.input.colour, "mean": list(card.input.mean), "std": list(card.input.std)}
    return Recogniser(scorer, output, flip, {**files, **fed, "output": output, "flip": flip})


def _opened(
    path: Path, preset: str | None, backend: str, threads: int | None, device: str | None
) -> tuple[Scorer, dict[str, str]]:
    if path.suffix.lower() == ".toml":
        if preset is not None:
            raise InputError(f"{path} says how the network is fed; leave --preset out")
        reference = read_network(path).reference.onnx
        if reference is None:
            raise InputError(f"{path} has a torch reference; export it with fiqa-export {path} and name the artefact")
        opened = open_foreign(path.parent / reference, path, backend, threads, device)
        return opened, {"described": sha256_of(path)}
    found = find_artefact(path)
    if preset is not None:
        check_preset(preset)
        if has_card(found):
            raise InputError(f"the card of {found} says how it is fed; leave --preset out")
        with tempfile.TemporaryDirectory(prefix="fiqa-eval-") as folder:
            described = Path(folder, "network.toml")
            described.write_text(network_text(preset, found), encoding="utf-8")
            return open_foreign(found, described, backend, threads, device), {"preset": preset}
    if not has_card(found):
        raise InputError(f"{found} has no card, so nothing says how it is fed; add --preset, or give a network file")
    return Scorer(found, backend, threads, device=device), {}
