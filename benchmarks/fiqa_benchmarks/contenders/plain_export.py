"""The baseline of a benchmark: an untouched `torch.onnx.export` of the reference, loaded as it is."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.facts import Verdict
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import CheckpointError, DependencyError
from fiqa_runtime.onnx_bytes.data_file import data_file

SUFFIX = "-plain"
"""Suffix to a backend's name in ``--against``: the backend runs the plain export."""


def reference_of(card: Card, weights: str | None) -> Any:
    """The PyTorch reference of `card` with `weights`.

    `weights` are named as for :func:`fiqa_export.checkpoints.checkpoint.load_reference`.

    Raises CheckpointError where they are not the ones on the card.
    """
    from fiqa_export.checkpoints.checkpoint import load_reference

    reference, loaded = load_reference(card.model, weights)
    expected = card.weights.files if card.weights.kind != "seeded" else {}
    if expected and set(expected.values()) != set(loaded.files.values()):
        raise CheckpointError(
            f"torch: {', '.join(loaded.files)} here is not what the artefact was made from "
            "(SHA-256 differs); export the artefact again"
        )
    return reference


def export_plain(card: Card, weights: str | None, folder: Path) -> Path:
    """Write the network of `card` with `weights` as `torch.onnx.export` gives it, with a card for :class:`Scorer`.

    The exporter has its default settings, except for names and a dynamic batch axis, and none of our passes is applied.
    A file that `folder` holds already is not written again. Raises what :func:`reference_of` raises.
    """
    import torch

    path = folder / f"{card.model}.plain.onnx"
    if path.exists():
        return path
    reference = reference_of(card, weights)
    spec = reference.spec
    batch = torch.export.Dim("batch", min=1, max=4096)
    extra = reference.extra_inputs(2)
    image = torch.zeros(2, 3, spec.input.height or 320, spec.input.width or 320)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            reference,
            (image,),
            path,
            kwargs=extra,
            dynamo=True,
            input_names=[spec.input.name, *extra],
            output_names=[output.name for output in spec.outputs],
            dynamic_shapes={"x": {0: batch}, **{name: {0: batch} for name in extra}},
            verbose=False,
        )
    data = data_file(path)
    names = [path.name, *([data.name] if data.exists() else [])]
    taken = replace(card.input, raw=False)
    plain = replace(card, input=taken, canaries=(), canary_tolerance={}, parity=Verdict(), notes=("plain export",))
    write_card(with_files(plain, folder, names), path)
    return path


class PlainSession:
    """A backend that runs the file in ONNX Runtime as it is, without what our own backend rewrites when it loads a
    file."""

    name = "onnxruntime"

    def __init__(self, artefact: Path, card: Card, threads: int | None) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise DependencyError("onnxruntime is not installed; pip install 'fiqa-edge[onnxruntime]'") from error
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(str(artefact), options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in card.outputs]
        self.info: Mapping[str, str] = {"version": ort.__version__, "device": "cpu", "arithmetic": "float32"}

    def run(self, inputs: Inputs) -> Arrays:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))

    def close(self) -> None:
        del self._session
