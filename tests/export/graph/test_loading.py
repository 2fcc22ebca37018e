"""Graphs opened and saved for conversion: where their weights are, and that they do not stay."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fiqa_export.graph import memory
from fiqa_export.graph.files import write_onnx
from fiqa_export.graph.loading import open_graph, open_graph_of, save_graph
from fiqa_export.graph.to_onnx import export_onnx
from fiqa_export.int8.qdq import macs
from fiqa_export.models import build


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """One matrix product, its weights inside the file."""
    x = ir.val("x", dtype=ir.DataType.FLOAT, shape=["batch", 4])
    weights = np.arange(1200, dtype=np.float32).reshape(4, 300)
    kernel = ir.val("kernel", const_value=ir.tensor(weights, name="kernel"))
    node = ir.node("MatMul", [x, kernel], name="product")
    node.outputs[0].name, node.outputs[0].type = "score", ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[kernel], opset_imports={"": 20}, name="g")
    path = tmp_path / "network.onnx"
    ir.save(ir.Model(graph, ir_version=10), path)
    return path


def test_opening_a_heavy_graph_lets_go_of_the_one_before(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HEAVY", 1000)
    gc.disable()
    try:
        before = weakref.ref(open_graph(network).graph.initializers["kernel"])
        open_graph(network)
        assert before() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("beside", [False, True])
def test_weights_are_inside_or_beside(network: Path, tmp_path: Path, beside: bool) -> None:
    saved = tmp_path / "saved.onnx"
    save_graph(open_graph(network), saved, weights_beside=beside)
    assert (tmp_path / "saved.onnx.data").exists() == beside
    weights = open_graph(saved).graph.initializers["kernel"].const_value
    assert weights is not None
    assert isinstance(weights, ir.ExternalTensor) == beside
    np.testing.assert_array_equal(weights.numpy(), np.arange(1200, dtype=np.float32).reshape(4, 300))


@pytest.mark.parametrize("name", ["yunet-s", "ediffiqa-t"])
def test_operations_of_networks_of_any_size_are_counted_at_a_size(name: str, tmp_path: Path) -> None:
    """The zoo counts YuNet's for 640 x 640; half of the sides, a quarter of the operations."""
    reference = build(name)
    export_onnx(reference, tmp_path / "g.onnx")
    graph = open_graph_of(tmp_path / "g.onnx", 320, 320).graph
    assert [node.name for node in graph] == [node.name for node in open_graph(tmp_path / "g.onnx").graph]
    share = 0.25 if reference.spec.input.height is None else 1.0
    assert sum(map(macs, graph)) == pytest.approx(share * reference.spec.macs, rel=0.01)


def test_file_written_weight_by_weight_holds_the_same(network: Path, tmp_path: Path) -> None:
    model, path = onnx.load(network), tmp_path / "written.onnx"
    onnx.helper.set_model_props(model, {"key": "value"})
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(0, np.float32), "empty"))
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    write_onnx(model, path)
    assert onnx.load(path) == expected
    assert not model.graph.initializer
    onnx.save(expected, tmp_path / "saved.onnx")
    assert path.stat().st_size == (tmp_path / "saved.onnx").stat().st_size
