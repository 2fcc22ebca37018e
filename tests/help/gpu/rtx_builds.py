"""Plans of TensorRT-RTX, which needs no GPU to build: the part that the tests of graphs and of networks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
from fiqa_export.fp16.convert import to_fp16
from fiqa_export.graph.loading import activations, is_float, open_graph
from fiqa_export.int8.qdq import activations_read, candidates, insert_qdq
from fiqa_export.plan.build_plan import build_plan
from fiqa_export.plan.target import PlanOptions, order_plan
from fiqa_runtime.artefact.card import Card

RTX = {"target": "tensorrt-rtx"}


def needs_rtx() -> Any:
    """The package, or a skip that says how to get it."""
    return pytest.importorskip("tensorrt_rtx", reason="pip install 'fiqa-edge[rtx]' builds plans without a GPU")


def build_rtx(onnx: Path, card: Card, plan: Path, **options: Any) -> Card:
    return build_plan(onnx, card, plan, order_plan(PlanOptions(**{**RTX, **options}), card.precision))


def every_node_in(precision: str, fp32: Path, folder: Path) -> Path:
    """The graph of `fp32` with every node in `precision` that can be, whatever that does to its numbers."""
    if precision == "fp32":
        return fp32
    path = folder / fp32.name.replace("fp32", precision)
    model = open_graph(fp32)
    if precision == "fp16":
        to_fp16(fp32, path, {str(value.name): 1.0 for value in activations(model.graph) if is_float(value)})
        return path
    nodes = candidates(model.graph)
    ranges = {str(value.name): 1.0 for node in nodes for value in activations_read(node)}
    insert_qdq(model, [str(node.name) for node in nodes], ranges)
    ir.external_data.load_to_model(model)
    ir.save(model, path)
    return path
