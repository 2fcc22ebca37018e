"""Variants of our graphs, each without one measure, so that its gain can be timed: a pass left out, an operator written
out, batch norms unfolded, PRelu split."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.onnx_bytes.prelu import split_prelu

if TYPE_CHECKING:
    import onnx

BATCH_NORMS = "batch norms folded"
PRELU = "PRelu split for ONNX Runtime"
OPERATORS = ("LayerNormalization", "Gelu", "Softmax")
"""Operators that are one node in our graphs, and that ONNX also defines by smaller operators."""


def write_variants(network: str, measures: Sequence[str], folder: Path) -> dict[str, tuple[Path, Path]]:
    """Export `network` under seeded weights to `folder`; returns the file without and the file with each of `measures`.

    A measure is the name of a pass of :mod:`fiqa_export.graph.passes`, one of OPERATORS, BATCH_NORMS or PRELU.
    Raises DependencyError without torch.
    """
    if not find_spec("torch"):
        raise DependencyError("torch is not installed; pip install 'fiqa-edge[export]'")
    import onnx
    import onnx_ir as ir
    from fiqa_export.checkpoints.checkpoint import load_reference
    from fiqa_export.graph.to_onnx import trace

    plain, best = folder / "plain.onnx", folder / "best.onnx"
    ir.save(trace(load_reference(network, "seeded")[0]).model, plain)
    _passed(plain, best)
    variants = {}
    for measure in measures:
        other = folder / f"{measure}.onnx"
        if measure == PRELU:
            other.write_bytes(split_prelu(best.read_bytes()))
        elif measure == BATCH_NORMS:
            onnx.save(with_batch_norms(onnx.load(best)), other)
        elif measure in OPERATORS:
            other = written_out_file(best, measure)
        else:
            _passed(plain, other, left_out=measure)
        variants[measure] = (best, other) if measure == PRELU else (other, best)
    return variants


def _passed(plain: Path, path: Path, left_out: str | None = None) -> None:
    """Write `plain` to `path` after all passes except `left_out`."""
    import onnx_ir as ir
    from fiqa_export.graph.passes import PASSES

    model = ir.load(plain)
    for apply in PASSES:
        if apply.__name__ != left_out:
            apply(model)
    ir.save(model, path)


def written_out_file(path: Path, operator: str) -> Path:
    """Write a file beside the ONNX file `path` in which `operator` is replaced by the smaller operators that define it
    in ONNX."""
    import onnx
    from onnx.inliner import inline_selected_functions

    other = path.with_name(f"{operator}.{path.name}")
    model = inline_selected_functions(onnx.load(path), [("", operator)], exclude=False, inline_schema_functions=True)
    onnx.save(model, other)
    return other


def with_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the bias of every convolution moved to a batch norm behind it, as it was before torch.onnx folded
    them."""
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Conv" and len(node.input) == 3:
            bias, result = node.input.pop(), node.output[0]
            node.output[0] = f"{result}/conv"
            statistics = {"scale": 1.0, "mean": 0.0, "variance": 1 - 1e-5}
            names = {key: f"{result}/{key}" for key in statistics}
            for key, value in statistics.items():
                array = np.full_like(constants[bias], value)
                graph.initializer.append(numpy_helper.from_array(array, names[key]))
            inputs = [node.output[0], names["scale"], bias, names["mean"], names["variance"]]
            nodes.append(helper.make_node("BatchNormalization", inputs, [result], f"{result}/norm", epsilon=1e-5))
    del graph.node[:]
    graph.node.extend(nodes)
    return model
