"""The contenders of a benchmark: engines on their backend, and the peers that ``--against`` names.

- ``torch``, ``torch-compile``, ``torch-cuda-graph``: the PyTorch reference in float32 with the same weights as the
  artefact, eager, compiled and as CUDA graphs; on the GPU where the artefact is a plan;
- ``onnxruntime``, ``opencv``, ``openvino``: the same artefact in another backend;
- ``onnxruntime-plain`` and so on: the untouched `torch.onnx.export` of the reference in that backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from fiqa_runtime.artefact.card import Card, read_card
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.artefact.weight_files import search_folders
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import CheckpointError, DependencyError, InputError
from fiqa_runtime.scoring.choice import decide
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.host import thread_limit

from fiqa_benchmarks.contenders.plain_export import SUFFIX, PlainSession, export_plain, reference_of
from fiqa_benchmarks.contenders.torch_peers import TORCH_PEERS, accelerated, torch_device

PEERS = (*TORCH_PEERS, *ONNX_BACKENDS, *(name + SUFFIX for name in ONNX_BACKENDS))
"""Names that ``--against`` takes."""


@dataclass(frozen=True)
class Contender:
    """One way to run an artefact; plain data, so that another process can open it too."""

    name: str
    """What reports call it."""
    artefact: str
    """Path of the ONNX file or plan; for torch peers the file whose card names network and weights."""
    backend: str
    """A torch peer, or what :class:`Scorer` takes; with `-plain` behind it for the plain export."""
    weights: str | None = None
    """Weights of a torch peer, named as for :func:`fiqa_export.checkpoints.checkpoint.load_reference`; None until
    :func:`prepare`."""
    cpu_precision: CpuPrecision = "exact"
    """`exact` or `fast`, as for :class:`Scorer`."""
    device: str | None = None
    """What runs it, as for :class:`Scorer`; torch peers choose for themselves."""


def contenders(
    engines: Sequence[str],
    backend: str,
    against: Sequence[str],
    cpu_precision: CpuPrecision = "exact",
    device: str | None = None,
) -> list[Contender]:
    """Every engine in `backend` in `cpu_precision` on `device`, then the first engine in each peer of `against`, in
    exact arithmetic on the processor.

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
    entered = [
        Contender(name, path, backend, cpu_precision=cpu_precision, device=device)
        for name, path in zip(names, paths, strict=True)
    ]
    return entered + [Contender(peer, paths[0], peer) for peer in dict.fromkeys(against)]


def prepare(contender: Contender, folder: Path, threads: int | None = None) -> Contender:
    """Do everything for `contender` that has to happen once, before it is opened any number of times; returns it
    changed.

    `auto` becomes the name of the backend that is chosen here with `threads`. Seeded weights are written to `folder` as
    checkpoint files, so that loading time and memory are those of trained weights. The plain export is written to
    `folder` too. Raises CheckpointError where the weights of the artefact cannot be found.
    """
    path = Path(contender.artefact)
    card = read_card(path)
    if contender.backend == "auto":
        limit = threads or thread_limit()
        choice = decide("auto", path.resolve(), card, limit, contender.cpu_precision, contender.device)
        return replace(contender, backend=choice.backend)
    if contender.backend.endswith(SUFFIX):
        return replace(contender, artefact=str(export_plain(card, _weights(card, folder), folder)))
    if contender.backend in TORCH_PEERS:
        torch_device(contender.backend, card)
        return replace(contender, weights=_weights(card, folder))
    return contender


def open_contender(contender: Contender, threads: int | None = None) -> Scorer:
    """Load a prepared contender; raises what :class:`Scorer` and :class:`TorchBackend` raise."""
    path, backend = Path(contender.artefact), contender.backend.removesuffix(SUFFIX)
    is_torch, is_plain_session = backend in TORCH_PEERS, contender.backend == "onnxruntime" + SUFFIX
    if not is_torch and not is_plain_session:
        return Scorer(path, backend, threads, contender.cpu_precision, device=contender.device)
    card = read_card(path)
    if is_plain_session:
        return Scorer(path, PlainSession(path, card, threads or thread_limit()))
    scorer = Scorer(path, TorchBackend(card, contender.weights, threads, backend))
    return scorer.with_input(replace(card.input, raw=False))


class TorchBackend:
    """A backend that runs the PyTorch reference as a torch peer does, with the same crops and the same
    preprocessing."""

    name = "torch"

    def __init__(self, card: Card, weights: str | None, threads: int | None, peer: str = "torch") -> None:
        """`weights` as for ``fiqa-export``; raises CheckpointError where they are not the ones on the card.

        torch has one number of threads for the whole process; it is set to `threads`, or to what a container grants.
        """
        import torch

        if limit := threads or thread_limit():
            torch.set_num_threads(limit)
        self._reference = reference_of(card, weights)
        self._input = card.input.name
        self._device = torch_device(peer, card)
        self._network = accelerated(peer, self._reference.to(self._device).outputs)
        self.info: Mapping[str, str] = {
            "version": torch.__version__,
            "device": torch.cuda.get_device_name() if self._device == "cuda" else "cpu",
            "arithmetic": "float32",
            "way": peer,
        }

    def run(self, inputs: Inputs) -> Arrays:
        import torch

        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()}
        with torch.inference_mode():
            outputs = self._network(tensors.pop(self._input), **tensors)
        return {name: tensor.cpu().numpy() for name, tensor in outputs.items()}

    def close(self) -> None:
        del self._network, self._reference


def _check_installed(peer: str) -> None:
    if peer not in PEERS:
        raise InputError(f"unknown peer '{peer}'; --against takes {', '.join(PEERS)}")
    backend = peer.removesuffix(SUFFIX)
    needed = {} if backend in TORCH_PEERS else {ONNX_BACKENDS[backend]: backend}
    if backend in TORCH_PEERS or peer.endswith(SUFFIX):
        needed["torch"] = "export"
    for package, extra in needed.items():
        if not find_spec(package):
            raise DependencyError(f"peer {peer} is not installed; pip install 'fiqa-edge[{extra}]'")


def _weights(card: Card, folder: Path) -> str | None:
    """What :func:`fiqa_export.checkpoints.checkpoint.load_reference` takes for the weights of the artefact."""
    return _save_seeded(card, folder) if card.weights.kind == "seeded" else _trained(card)


def _save_seeded(card: Card, folder: Path) -> str:
    """Write the card's seeded weights as the checkpoint files in which trained weights come; returns the file or
    folder."""
    import torch
    from fiqa_export.checkpoints.checkpoint import load_reference

    reference, _ = load_reference(card.model, f"seeded:{card.weights.seed}")
    state = reference.state_dict()
    files = next(iter(reference.spec.weights.values()))
    for checkpoint in files:
        own = {n.removeprefix(checkpoint.prefix): t for n, t in state.items() if n.startswith(checkpoint.prefix)}
        torch.save(own, folder / Path(checkpoint.file).name)
    return str(folder / Path(files[0].file).name if len(files) == 1 else folder)


def _trained(card: Card) -> str | None:
    """The weight set, file or folder that the card's hashes belong to."""
    names = [Path(name) for name in card.weights.files]
    if card.weights.kind in ("official", "unverified", "standin"):
        sets = MODELS[card.model].weights.items()
        return next((key for key, files in sets if [Path(f.file) for f in files] == names), None)
    for folder in search_folders():
        if names and all((folder / name).is_file() for name in names):
            return str(folder / names[0] if len(names) == 1 else folder)
    listed = ", ".join(map(str, names)) or "which its card does not name"
    raise CheckpointError(f"torch: the artefact was made from {listed}; put that into weights/ to compare with torch")
