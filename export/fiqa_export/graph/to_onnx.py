"""Exports a torch reference to an fp32 ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from fiqa_runtime.onnx_bytes.data_file import data_file

from fiqa_export.graph.files import write_onnx
from fiqa_export.graph.loading import needs_data_file
from fiqa_export.graph.memory import give_back
from fiqa_export.graph.passes import rewrite
from fiqa_export.models import Reference

SMALLEST_PHOTO, LARGEST_PHOTO = 12, 8192
"""Smallest and largest side that a network of photos is exported for."""
OPSET = 20
"""First opset with a Gelu operator: the expanded form crashes OpenCV DNN 4.12 and 5.0 while reading."""


def export_onnx(reference: Reference, path: Path) -> None:
    """Write `reference` to `path` with a dynamic batch axis and the input and output names of its spec.

    Weights that are too large for one file go to ``<path>.data``. The file passes onnx.checker.
    """
    program = trace(reference)
    rewrite(program.model)
    _drop_metadata(program.model)
    program.save(path, external_data=True)
    whole = not needs_data_file(program.model)
    del program
    give_back()
    if whole:
        _take_weights_in(path)
    onnx.checker.check_model(str(path))


def _take_weights_in(path: Path) -> None:
    """Move the weights from ``<path>.data`` into the graph. If torch wrote them there itself, they would be in memory
    four times."""
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")
    write_onnx(model, path)
    data_file(path).unlink()


def trace(reference: Reference) -> torch.onnx.ONNXProgram:
    """`reference` as torch.onnx exports it, with the exporter's notes, before any of our passes."""
    spec = reference.spec
    reference.freeze()
    batch = torch.export.Dim("batch", min=1, max=4096)
    size = (spec.input.height or 320, spec.input.width or 352)
    image = torch.zeros(2, 3, *size)
    extra = reference.extra_inputs(2)
    shape: dict[int, object] = {0: batch}
    if spec.input.height is None:
        step = spec.input.multiple
        fewest, most = -(-SMALLEST_PHOTO // step), LARGEST_PHOTO // step
        shape |= {
            axis: step * torch.export.Dim(name, min=fewest, max=most) for axis, name in ((2, "rows"), (3, "columns"))
        }
    with _quiet():
        program = torch.onnx.export(
            reference,
            (image,),
            kwargs=extra,
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.input.name, *extra],
            output_names=[output.name for output in spec.outputs],
            dynamic_shapes={"x": shape, **{name: {0: batch} for name in extra}},
            verbose=False,
        )
    assert program is not None
    return program


def _drop_metadata(model: object) -> None:
    """Remove the exporter's notes on every node, which hold stack traces with paths of this machine."""
    graph = model.graph  # type: ignore[attr-defined]
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    for node in graph:
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    graph.metadata_props.clear()
    model.metadata_props.clear()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about optional packages that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
