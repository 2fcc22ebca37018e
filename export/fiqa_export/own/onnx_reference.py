"""A user's ONNX file as the reference: run in ONNX Runtime in float32, and brought into the form of our artefacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.networks.network_file import NetworkFile, OutputTable
from fiqa_runtime.networks.reduction import reduced
from fiqa_runtime.system.files import sha256_of
from numpy.typing import NDArray
from torch import Tensor

from fiqa_export.models.reference import Reference

FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxReference(Reference):
    """Their file behind the interface of every reference: normalised float (N, 3, H, W) -> the file's outputs.

    It is fed one image at a time, since its batch may be fixed. Raises InputError where the file does not take one
    image of three channels, ArtefactError where ONNX Runtime cannot run it.
    """

    def __init__(self, spec: ModelSpec, path: Path, file: NetworkFile) -> None:
        super().__init__(spec)
        self.path = path
        self.tables = file.outputs
        model = model_of(path)  # with its weights, since ONNX Runtime finds no shapes in a file beside the model
        try:
            options = ort.SessionOptions()
            options.log_severity_level = 4
            self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of ONNX Runtime, whose classes share no public base
            reason = str(error).strip().partition("\n")[0]
            raise ArtefactError(
                f"ONNX Runtime cannot open {path} ({reason}); check that it is an ONNX model"
            ) from error
        self.channels_last = _channels_last(self._session, spec, path)
        self.outputs_of = {table.name: _output_name(self._session, table, path) for table in self.tables}

    @property
    def weights(self) -> Weights:
        """What the card says of their origin."""
        digest = sha256_of(self.path)
        text = (
            f"the ONNX file {self.path.name}, SHA-256 {digest}, as it was given: parity is measured against this file "
            "in ONNX Runtime, not against PyTorch"
        )
        return Weights("file", text, {self.path.name: digest})

    def outputs(self, x: Tensor, **extra: Tensor) -> dict[str, Tensor]:
        rows = [self._run(row[None]) for row in x.to(torch.float32).numpy()]
        return {
            table.name: torch.from_numpy(np.concatenate([row[table.name] for row in rows])) for table in self.tables
        }

    def _run(self, image: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        (given,) = self._session.get_inputs()
        fed = image.transpose(0, 2, 3, 1) if self.channels_last else image
        try:
            results = self._session.run(list(self.outputs_of.values()), {given.name: fed.astype(FLOATS[given.type])})
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise ArtefactError(f"ONNX Runtime cannot run {self.path} ({reason}); check size and layout") from error
        return {
            table.name: _shaped(reduced(value, table.reduce, table.bins, table.name), table)
            for table, value in zip(self.tables, results, strict=True)
        }


def _channels_last(session: Any, spec: ModelSpec, path: Path) -> bool:
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in FLOATS:
        shapes = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        raise InputError(f"{path} takes {shapes}; a network here takes one float image (N, 3, H, W) or (N, H, W, 3)")
    shape = inputs[0].shape
    last = bool(shape[3] == 3 and shape[1] != 3)
    given = (shape[1:3], shape[3]) if last else (shape[2:4], shape[1])
    wanted = ([spec.input.height, spec.input.width], 3)
    sides = zip([*given[0], given[1]], [*wanted[0], wanted[1]], strict=True)
    if any(isinstance(own, int) and own != asked for own, asked in sides):
        raise InputError(f"{path} takes {shape}, the network file says {wanted[0][0]} x {wanted[0][1]}; correct size")
    return last


def _output_name(session: Any, table: OutputTable, path: Path) -> str:
    names = [output.name for output in session.get_outputs()]
    if isinstance(table.of, str) and table.of in names:
        return table.of
    if isinstance(table.of, int) and table.of < len(names):
        return str(names[table.of])
    raise InputError(f"{path} has no output {table.of!r} (it has {', '.join(names)}); correct 'of' of '{table.name}'")


def _shaped(values: NDArray[np.float32], table: OutputTable) -> NDArray[np.float32]:
    """`values` of one image with the axes of their kind: score (1, 1), map (1, 1, H, W), embedding (1, D)."""
    if table.kind == "score" and values.size == 1:
        return values.reshape(1, 1)
    if table.kind == "map" and values.ndim == 3:
        values = values[:, None]
    axes = {"score": 2, "map": 4, "embedding": 2}[table.kind]
    if table.kind == "score" or values.ndim != axes or (table.kind == "map" and values.shape[1] != 1):
        raise InputError(
            f"'{table.name}' is a {table.kind} of shape {values.shape[1:]} per face; "
            + ('set reduce, as in reduce = "mean"' if table.kind == "score" else "one channel is taken")
        )
    return values


def model_of(path: Path) -> onnx.ModelProto:
    """The graph in `path` with its weights; raises ArtefactError where it is no ONNX model."""
    try:
        return onnx.load(str(path))
    except Exception as error:  # of protobuf and of the onnx package
        raise ArtefactError(f"{path} cannot be read; check that it is an ONNX model") from error
