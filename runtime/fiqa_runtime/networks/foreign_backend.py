"""An ONNX file of others as it is, behind a network file: fed in its own layout and type, its outputs reduced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.artefact.spec import OutputSpec
from fiqa_runtime.backends.base import Arrays, Backend, Inputs
from fiqa_runtime.errors import InputError
from fiqa_runtime.networks.network_file import NetworkFile, OutputTable, spec_of
from fiqa_runtime.networks.reduction import reduced
from fiqa_runtime.onnx_bytes.interface import FLOAT, HALF, Interface, Port, read_interface
from fiqa_runtime.system.files import sha256_of


def foreign_cards(path: Path, network: NetworkFile) -> tuple[Card, Card]:
    """The card of the ONNX file `path` as `network` describes it, and the one that its backend needs, which has the
    file's own outputs.

    Raises InputError where the file takes something else than one float image of that size, or lacks an output.
    """
    interface = read_interface(path)
    given = _image(path, interface, network)
    for table in network.outputs:
        _position(path, interface, table)
    spec = spec_of(network)
    most = network.max_batch if given.shape[0] is None else min(network.max_batch, given.shape[0])
    card = Card(
        model=spec.name,
        precision="fp32",
        format="onnx",
        input=spec.input,
        outputs=spec.outputs,
        licence=spec.licence,
        source=spec.source,
        max_batch=most,
        notes=spec.notes,
        weights=Weights("file", f"the ONNX file {path.name} as it is, described by a network file; no verdict"),
        files={path.name: sha256_of(path)},
    )
    own = tuple(OutputSpec(port.name, "head") for port in interface.outputs)
    return card, replace(card, outputs=own, input=replace(card.input, name=given.name))


class ForeignBackend:
    """A backend that runs such a file."""

    def __init__(self, backend: Backend, path: Path, network: NetworkFile) -> None:
        interface = read_interface(path)
        self.name = backend.name
        self.info: Mapping[str, str] = backend.info
        self._backend = backend
        self._given = _image(path, interface, network)
        self._tables = {table: interface.outputs[_position(path, interface, table)].name for table in network.outputs}
        self._last = _channels_last(self._given)

    def run(self, inputs: Inputs) -> Arrays:
        (image,) = inputs.values()
        fed = image.transpose(0, 2, 3, 1) if self._last else image
        fed = np.ascontiguousarray(fed, np.float16 if self._given.kind == HALF else np.float32)
        results = self._backend.run({self._given.name: fed})  # type: ignore[dict-item]  # float16 is for these files
        found = {}
        for table, name in self._tables.items():
            values = reduced(results[name], table.reduce, table.bins, table.name)
            found[table.name] = _shaped(values, table)
        return found

    def close(self) -> None:
        self._backend.close()


def _shaped(values: np.ndarray, table: OutputTable) -> np.ndarray:
    """`values` with the axes of their kind; raises InputError where a score is several numbers."""
    if table.kind == "score":
        if values.size != len(values):
            raise InputError(
                f"'{table.name}' is a score of shape {values.shape[1:]} per face; set reduce, as in reduce = \"mean\""
            )
        return values.reshape(-1, 1)
    return values[:, None] if table.kind == "map" and values.ndim == 3 else values


def _image(path: Path, interface: Interface, network: NetworkFile) -> Port:
    """The one input of the file."""
    fits = [port for port in interface.inputs if len(port.shape) == 4 and port.kind in (FLOAT, HALF)]
    if len(interface.inputs) != 1 or not fits:
        shapes = ", ".join(f"{port.name} {list(port.shape)}" for port in interface.inputs) or "nothing"
        raise InputError(f"{path} takes {shapes}; a network here takes one float image (N, 3, H, W) or (N, H, W, 3)")
    (port,) = fits
    sides = port.shape[1:3] if _channels_last(port) else port.shape[2:4]
    if any(own is not None and own != asked for own, asked in zip(sides, network.input.size, strict=True)):
        asked = " x ".join(map(str, network.input.size))
        raise InputError(f"{path} takes {list(port.shape)}, the network file says {asked}; correct size")
    return port


def _channels_last(port: Port) -> bool:
    return port.shape[3] == 3 and port.shape[1] != 3


def _position(path: Path, interface: Interface, table: OutputTable) -> int:
    names = [port.name for port in interface.outputs]
    if isinstance(table.of, str) and table.of in names:
        return names.index(table.of)
    if isinstance(table.of, int) and table.of < len(names):
        return table.of
    raise InputError(f"{path} has no output {table.of!r} (it has {', '.join(names)}); correct 'of' of '{table.name}'")
