"""Any network by name or TOML file: its spec, and how its reference is loaded and written as fp32 ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.networks.network_file import NetworkFile, read_network, spec_of
from fiqa_runtime.networks.registry import network_file_of
from fiqa_runtime.system.download import Progress
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fiqa_export.checkpoints.checkpoint import Source, load_reference
from fiqa_export.graph.to_onnx import export_onnx
from fiqa_export.models import Reference
from fiqa_export.own.adapt_onnx import FIXED_BATCH, adapt_onnx
from fiqa_export.own.functions import build_module
from fiqa_export.own.onnx_reference import OnnxReference
from fiqa_export.own.torch_reference import OwnReference

Load = Callable[[str | None, Progress | None], tuple[Reference, Weights]]


@dataclass(frozen=True)
class Network:
    """A network before its weights are loaded."""

    name: str
    load: Load
    """Weight set, file or `seeded`, and progress of a download -> the reference and where its weights come from."""
    runs: str | None = None
    """The user's code that is run to build it; None where there is none."""


def open_network(name: str) -> Network:
    """The network called `name`, or that of the TOML file at the path `name`.

    Raises InputError for an unknown name and for whatever is wrong with the file.
    """
    path = network_file_of(name)
    if path is None:
        return Network(name, lambda weights, progress: load_reference(name, weights, progress))
    file = read_network(path)
    folder = path.absolute().parent
    if file.reference.onnx is not None:
        theirs = folder / file.reference.onnx
        return Network(file.name, lambda weights, progress: _from_onnx(file, theirs, weights))
    assert file.reference.torch is not None
    code = file.reference.torch
    return Network(
        file.name, lambda weights, progress: _from_torch(file, folder, weights, progress), f"{code} of {path}"
    )


def write_fp32(reference: Reference, path: Path) -> None:
    """Write `reference` to the ONNX file `path`. Where a batch cannot be freed, the spec of `reference` says so."""
    if not isinstance(reference, OnnxReference):
        export_onnx(reference, path)
    elif not adapt_onnx(reference, path):
        reference.spec = replace(reference.spec, max_batch=1, notes=(*reference.spec.notes, FIXED_BATCH))


def _from_torch(
    file: NetworkFile, folder: Path, weights: str | None, progress: Progress | None
) -> tuple[Reference, Weights]:
    assert file.reference.torch is not None
    place = file.reference.torch
    spec = _beside(spec_of(file), folder)
    network = build_module(place, folder).eval()
    spec = replace(spec, parameters=sum(p.numel() for p in network.parameters()), macs=_macs(network, spec))

    def build() -> Reference:
        return OwnReference(spec, build_module(place, folder), file).eval()

    reference, info = load_reference(Source(spec, build), weights, progress)
    _check(reference)
    return reference, info


def _from_onnx(file: NetworkFile, path: Path, weights: str | None) -> tuple[Reference, Weights]:
    if weights is not None:
        raise InputError(f"{path.name} holds its own weights; leave --weights out")
    if not path.is_file():
        raise InputError(f"there is no {path}; the ONNX file has to lie beside the network file")
    reference = OnnxReference(spec_of(file, macs=10**9), path, file)
    _check(reference)
    return reference, reference.weights


def _beside(spec: ModelSpec, folder: Path) -> ModelSpec:
    """`spec` whose weight files are those beside the network file, where they lie there."""
    files = tuple(
        replace(each, file=str(folder / each.file)) if (folder / each.file).is_file() else each
        for each in spec.weights["own"]
    )
    return replace(spec, weights={"own": files})


def _macs(network: nn.Module, spec: ModelSpec) -> int:
    """Multiply-accumulates for one image, as far as torch counts them; at least 1."""
    assert spec.input.height is not None and spec.input.width is not None
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            network(torch.zeros(1, 3, spec.input.height, spec.input.width))
    except FiqaError:
        raise
    except Exception as error:  # whatever the user's module raises
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{spec.name} fails on an image of {spec.input.height} x {spec.input.width} "
            f"({type(error).__name__}: {reason}); correct size, or the network"
        ) from error
    return max(int(counter.get_total_flops()) // 2, 1)


def _check(reference: Reference) -> None:
    """Raise InputError where an output is missing or has a shape that its kind does not have."""
    spec = reference.spec.input
    assert spec.height is not None and spec.width is not None
    reference.outputs(torch.zeros(1, 3, spec.height, spec.width))
