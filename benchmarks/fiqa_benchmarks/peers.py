"""Who takes part: engines on their backend, and what they are compared with by name (``--against``).

- ``torch``: the PyTorch reference, eager, float32, with the same weights as the artefact;
- ``onnxruntime``, ``opencv``, ``openvino``: the same artefact in another backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from fiqa_runtime.backends import PACKAGES
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.card import Card, read_card
from fiqa_runtime.errors import CheckpointError, DependencyError, InputError
from fiqa_runtime.fetch import search_folders
from fiqa_runtime.scorer import Scorer, find_artefact
from fiqa_runtime.zoo import MODELS
from numpy.typing import NDArray

PEERS = ("torch", *PACKAGES)
"""Names that ``--against`` takes."""


@dataclass(frozen=True)
class Contender:
    """One way to run an artefact; plain data, so that another process can open it too."""

    name: str
    """What reports call it."""
    artefact: str
    """Path of the ONNX file or plan; for `torch` the file whose card names network and weights."""
    backend: str
    """`torch`, or what :class:`Scorer` takes."""
    weights: str | None = None
    """For `torch`: what :func:`fiqa_export.checkpoint.load_reference` takes; None until :func:`prepare`."""


def contenders(engines: Sequence[str], backend: str, against: Sequence[str]) -> list[Contender]:
    """Every engine on `backend`, then the first engine in each peer.

    Raises InputError for a missing engine or an unknown name, DependencyError where a peer is not installed.
    """
    if not engines:
        raise InputError("which engine? fiqa-bench --engine FILE; make one with fiqa-export MODEL")
    paths = list(dict.fromkeys(str(find_artefact(name)) for name in engines))
    names = [Path(path).name for path in paths]
    for peer in against:
        _check_installed(peer)
    if len(set(names)) < len(names):
        names = paths
    entered = [Contender(name, path, backend) for name, path in zip(names, paths, strict=True)]
    return entered + [Contender(peer, paths[0], peer) for peer in dict.fromkeys(against)]


def prepare(contender: Contender, folder: Path) -> Contender:
    """`contender` with everything that has to happen once, before it is opened any number of times.

    Seeded weights become checkpoint files in `folder`: loading and memory are then those of trained weights.
    Raises CheckpointError where the weights of the artefact are not to be had.
    """
    if contender.backend != "torch":
        return contender
    card = read_card(Path(contender.artefact))
    if card.weights.get("kind") == "seeded":
        return replace(contender, weights=_save_seeded(card, folder))
    return replace(contender, weights=_trained(card))


def open_contender(contender: Contender, threads: int | None = None) -> Scorer:
    """Load a prepared contender; raises what :class:`Scorer` and the torch peer's loader raise."""
    if contender.backend != "torch":
        return Scorer(contender.artefact, contender.backend, threads)
    card = read_card(Path(contender.artefact))
    return Scorer(contender.artefact, TorchBackend(card, contender.weights, threads))


class TorchBackend:
    """The PyTorch reference in eager mode, behind the runtime's protocol: same crops, same preprocessing."""

    name = "torch"

    def __init__(self, card: Card, weights: str | None, threads: int | None) -> None:
        """`weights` as for ``fiqa-export``; raises CheckpointError where they are not the ones on the card.

        torch's thread count is one number for the whole process.
        """
        import torch
        from fiqa_export.checkpoint import load_reference

        if threads:
            torch.set_num_threads(threads)
        self._reference, loaded = load_reference(card.model, weights)
        expected = card.weights.get("files", {}) if card.weights.get("kind") != "seeded" else {}
        if expected and set(expected.values()) != set(loaded.files.values()):
            raise CheckpointError(
                f"torch: {', '.join(loaded.files)} here is not what the artefact was made from "
                "(SHA-256 differs); export the artefact again"
            )
        self._input = card.input.name
        self.info: Mapping[str, str] = {
            "version": torch.__version__,
            "device": "cpu",
            "arithmetic": "float32",
        }

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> Arrays:
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        with torch.inference_mode():
            outputs = self._reference.outputs(tensors.pop(self._input), **tensors)
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def close(self) -> None:
        del self._reference


def _check_installed(peer: str) -> None:
    if peer not in PEERS:
        raise InputError(f"unknown peer '{peer}'; --against takes {', '.join(PEERS)}")
    package, extra = ("torch", "export") if peer == "torch" else (PACKAGES[peer], peer)
    if not find_spec(package):
        raise DependencyError(f"peer {peer} is not installed; pip install 'fiqa-edge[{extra}]'")


def _save_seeded(card: Card, folder: Path) -> str:
    """The card's seeded weights as the files that trained ones come in."""
    import torch
    from fiqa_export.checkpoint import load_reference

    reference, _ = load_reference(card.model, f"seeded:{card.weights['seed']}")
    state = reference.state_dict()
    files = next(iter(reference.spec.weights.values()))
    for checkpoint in files:
        own = {n.removeprefix(checkpoint.prefix): t for n, t in state.items() if n.startswith(checkpoint.prefix)}
        torch.save(own, folder / Path(checkpoint.file).name)
    return str(folder / Path(files[0].file).name if len(files) == 1 else folder)


def _trained(card: Card) -> str | None:
    """The weight set, file or folder that the card's hashes belong to."""
    names = [Path(name) for name in card.weights.get("files", {})]
    if card.weights.get("kind") == "official":
        sets = MODELS[card.model].weights.items()
        return next((key for key, files in sets if [Path(f.file) for f in files] == names), None)
    for folder in search_folders():
        if names and all((folder / name).is_file() for name in names):
            return str(folder / names[0] if len(names) == 1 else folder)
    listed = ", ".join(map(str, names)) or "which its card does not name"
    raise CheckpointError(f"torch: the artefact was made from {listed}; put that into weights/ to compare with torch")
