"""Where QuantizeLinear and DequantizeLinear stand, and what prepares the weights for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from fiqa_export.graph.loading import open_graph
from fiqa_export.graph.loading import save_graph as save_graph_beside
from fiqa_export.int8.equalisation import equalise
from fiqa_export.int8.qdq import (
    candidates,
    dequantised,
    insert_qdq,
    is_layer,
    macs,
    nearest,
    quantise_activations,
    weights_of,
)
from fiqa_export.int8.rounding import Rounding, share_weights
from fiqa_runtime.errors import InputError

from tests.help.samples.int8_network import SIDE, WIDTH, save_network
from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(5)
IMAGES = [(gain * RNG.standard_normal((1, 3, SIDE, SIDE))).astype(np.float32) for gain in np.linspace(0.5, 2, 12)]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return save_network(tmp_path / "g.onnx")


@pytest.fixture
def model(network: Path) -> ir.Model:
    return open_graph(network)


def reads(model: ir.Model, extra: list[str] | None = None) -> dict[str, float]:
    """Largest magnitudes of every float tensor over IMAGES, by name."""
    proto = ir.to_proto(model)
    names = [str(v.name) for n in model.graph for v in n.outputs]
    for name in names:
        if name != "score":
            proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = {"input": max(float(np.abs(x).max()) for x in IMAGES)}
    for x in IMAGES:
        for name, values in zip(names, session.run(names, {"input": x}), strict=True):
            found[name] = max(found.get(name, 0.0), float(np.abs(values).max()))
    return found


def run(model: ir.Model, images: list[np.ndarray] = IMAGES) -> np.ndarray:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.array([session.run(["score"], {"input": x})[0].item() for x in images])


def names_of(model: ir.Model) -> list[str]:
    return [str(n.name) for n in candidates(model.graph)]


def by_name(model: ir.Model) -> dict[str, ir.Node]:
    return {str(n.name): n for n in model.graph}


def producer(node: ir.Node, index: int) -> str | None:
    value = node.inputs[index]
    assert value is not None
    source = value.producer()
    return source.op_type if source is not None else None


def test_layers_and_residual_sums_are_candidates(model: ir.Model) -> None:
    assert names_of(model) == ["first", "second", "third", "sum", "fourth", "head"]
    assert macs(by_name(model)["first"]) == 3 * WIDTH * 9 * (SIDE // 2) ** 2
    assert macs(by_name(model)["sum"]) == 0


def test_layers_read_int8_and_biases_stay_float(model: ir.Model) -> None:
    insert_qdq(model, names_of(model), reads(model))
    nodes = by_name(model)
    for name in ("first", "second", "third", "fourth", "head"):
        assert producer(nodes[name], 0) == producer(nodes[name], 1) == "DequantizeLinear"
        bias = nodes[name].inputs[2]
        assert bias is not None
        assert bias.is_initializer()
        assert bias.dtype == ir.DataType.FLOAT


def test_scales_are_symmetric_and_per_channel_for_weights(model: ir.Model) -> None:
    insert_qdq(model, names_of(model), reads(model))
    graph = model.graph
    scales = {n.op_type: n for n in graph if n.op_type in ("QuantizeLinear", "DequantizeLinear")}
    assert set(scales) == {"QuantizeLinear", "DequantizeLinear"}
    for n in graph:
        if n.op_type not in scales:
            continue
        scale, zero = (v.const_value.numpy() for v in n.inputs[1:3] if v is not None and v.const_value is not None)
        assert zero.dtype == np.int8
        assert not zero.any()
        assert zero.shape == scale.shape
        assert scale.min() > 0
        stored = n.inputs[0] is not None and n.inputs[0].is_initializer()
        assert scale.shape == ((1,) if stored and scale.size == 1 else (WIDTH,) if stored else ())


def test_no_tensor_is_quantised_twice_and_sum_keeps_the_layer_that_fuses_it(model: ir.Model) -> None:
    """The residual sum reads its own convolution as it comes, the other branch in int8, shared with `second`."""
    insert_qdq(model, names_of(model), reads(model))
    quantised = [n.inputs[0] for n in model.graph if n.op_type == "QuantizeLinear"]
    assert len(quantised) == len(set(quantised))
    nodes = by_name(model)
    assert [producer(nodes["sum"], i) for i in (0, 1)] == ["Conv", "DequantizeLinear"]
    assert nodes["sum"].inputs[1] is nodes["second"].inputs[0]


def test_concatenation_that_int8_alone_reads_is_of_int8(tmp_path: Path) -> None:
    """Parts of different range take the scale of the whole, and nothing changes."""
    weights = {"w": RNG.standard_normal((2, 8, 1, 1)).astype("f4")}
    nodes = [
        node("Relu", "x", "a", name="relu"),
        node("Neg", "x", "b", name="neg"),
        node("Concat", "a b", "c", name="concat", axis=1),
        node("Conv", "c w", "y", name="conv"),
    ]
    model = open_graph(save_graph(tmp_path / "g.onnx", nodes, weights, [1, 4, 3, 3]))
    levels = dequantised(by_name(model)["conv"], nearest(by_name(model)["conv"]))
    insert_qdq(model, ["conv"], {"c": 4.0})
    concat = by_name(model)["concat"]
    assert [producer(concat, i) for i in (0, 1)] == ["DequantizeLinear"] * 2
    assert len({n.inputs[1] for n in model.graph if n.op_type == "QuantizeLinear"}) == 1
    x = RNG.standard_normal((1, 4, 3, 3)).astype("f4")
    c = np.concatenate([np.maximum(x, 0), -x], axis=1)
    rounded = np.clip(np.rint(c / (4 / 127)), -128, 127) * np.float32(4 / 127)
    expected = np.einsum("oc,nchw->nohw", levels[..., 0, 0], rounded)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"x": x})[0] - expected).max() < 1e-5


def test_layer_that_only_stores_int8_weights(model: ir.Model) -> None:
    insert_qdq(model, ["second"], reads(model), weights_only=["third"])
    nodes = by_name(model)
    assert [producer(nodes["third"], i) for i in (0, 1)] == ["Gelu", "DequantizeLinear"]
    assert producer(nodes["fourth"], 1) is None
    assert sum(n.op_type == "QuantizeLinear" for n in model.graph) == 1


def test_outputs_stay_close(model: ir.Model) -> None:
    expected = run(model)
    insert_qdq(model, names_of(model), reads(model))
    assert np.abs(run(model) - expected).max() < 0.1 * np.ptp(expected)


def test_weights_that_two_layers_share_stay_whole(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a", name="one"), node("Relu", "a", "r"), node("MatMul", "r w", "y", name="two")]
    model = open_graph(save_graph(tmp_path / "g.onnx", nodes, {"w": RNG.standard_normal((8, 8)).astype("f4")}, [2, 8]))
    insert_qdq(model, ["one"], {"x": 3.0})
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    assert [n.inputs[1].name for n in model.graph if n.name == "two" and n.inputs[1]] == ["w"]


@pytest.mark.parametrize(("nodes", "weights_only"), [(["relu1"], []), (["nothing"], []), ([], ["sum"])])
def test_nodes_that_cannot_be_int8_are_refused(nodes: list[str], weights_only: list[str], model: ir.Model) -> None:
    with pytest.raises(InputError, match="cannot compute in int8"):
        insert_qdq(model, nodes, reads(model), weights_only=weights_only)


def test_missing_range_is_refused(model: ir.Model) -> None:
    with pytest.raises(InputError, match="no range was measured for r1"):
        insert_qdq(model, ["second"], {"input": 1.0})


def test_nearest_levels_are_within_half_a_step(model: ir.Model) -> None:
    layer = by_name(model)["second"]
    constants = nearest(layer)
    error = np.abs(dequantised(layer, constants) - weights_of(layer))
    assert (error <= constants.scales[:, None, None, None] / 2 + 1e-7).all()
    assert np.abs(constants.levels).max() == 127


FEEDS = [{"input": x} for x in IMAGES]


def copy_of(model: ir.Model) -> ir.Model:
    return ir.from_proto(ir.to_proto(model))


def mixture(model: ir.Model, ranges: dict[str, float], int8: list[str], **options: Any) -> ir.Model:
    """A copy of `model` in which the nodes `int8` compute in int8."""
    changed = copy_of(model)
    insert_qdq(changed, int8, ranges, **options)
    return changed


@pytest.mark.parametrize("weights_only", [False, True])
def test_fitted_rounding_serves_better_than_the_nearest(network: Path, model: ir.Model, weights_only: bool) -> None:
    expected, ranges = run(model), reads(model)
    layers = [str(n.name) for n in candidates(model.graph) if is_layer(n)]
    int8, alone = ([], layers) if weights_only else (names_of(model), [])
    plain = mixture(model, ranges, int8, weights_only=alone)
    fitted = Rounding(network, FEEDS)(plain, layers)
    assert set(fitted) == set(layers)
    better = mixture(model, ranges, int8, fitted=fitted, weights_only=alone)
    nearest_error, fitted_error = (np.sqrt(np.mean((run(m) - expected) ** 2)) for m in (plain, better))
    assert fitted_error < 0.7 * nearest_error


def test_weights_of_both_graphs_are_in_memory_once(network: Path, model: ir.Model, tmp_path: Path) -> None:
    """Fitting with weights in a file beside the graph, as the step has them."""
    base = tmp_path / "base.onnx"
    save_graph_beside(model, base, weights_beside=True)
    ranges, mixed = reads(open_graph(network)), open_graph(base)
    quantise_activations(mixed, ["second"], ranges)
    exact = open_graph(base)
    share_weights(exact, mixed)
    assert mixed.graph.initializers["w2"].const_value is exact.graph.initializers["w2"].const_value


def test_fit_sees_the_rounding_before_a_layer(network: Path, model: ir.Model) -> None:
    """`fourth` alone, and `fourth` behind a layer that is rounded badly: its weights make up for that."""
    ranges = reads(model) | {"r1": 0.3}
    alone = Rounding(network, FEEDS)(mixture(model, ranges, ["fourth"]), ["fourth"])["fourth"]
    behind = Rounding(network, FEEDS)(mixture(model, ranges, ["second", "fourth"]), ["second", "fourth"])["fourth"]
    weights = weights_of(by_name(model)["fourth"])
    kept, moved = (
        np.abs(dequantised(by_name(model)["fourth"], f) - weights).mean() / np.abs(weights).mean()
        for f in (alone, behind)
    )
    assert kept < 0.02
    assert moved > 5 * kept


def test_bias_takes_up_the_mean_error(network: Path, model: ir.Model) -> None:
    feeds = [{"input": np.abs(x) / np.abs(x).std()} for x in IMAGES]
    ranges = reads(model) | {"input": 0.5}
    fitted = Rounding(network, feeds)(mixture(model, ranges, ["first"]), ["first"])
    means = []
    for version in (model, mixture(model, ranges, ["first"]), mixture(model, ranges, ["first"], fitted=fitted)):
        proto = ir.to_proto(version)
        proto.graph.output.append(onnx.helper.make_tensor_value_info("c1", onnx.TensorProto.FLOAT, None))
        session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        means.append(np.mean([session.run(["c1"], feed)[0].mean(axis=(0, 2, 3)) for feed in feeds], axis=0))
    exact, cut_off, corrected = means
    assert np.abs(cut_off - exact).max() > 0.1
    assert np.abs(corrected - exact).max() < 1e-3


def test_equalised_network_computes_the_same(tmp_path: Path) -> None:
    """Channels of one convolution's output that differ by 2^10 come to one magnitude."""
    weights = {
        "w1": RNG.standard_normal((8, 3, 3, 3)).astype("f4"),
        "w2": RNG.standard_normal((1, 8, 3, 3)).astype("f4"),
    }
    gains = np.exp2(np.linspace(0, 10, 8)).astype("f4")[:, None, None, None]
    weights["w1"] *= gains
    nodes = [node("Conv", "x w1", "a", name="one"), node("Relu", "a", "r"), node("Conv", "r w2", "y", name="two")]
    path = save_graph(tmp_path / "g.onnx", nodes, weights, [1, 3, 9, 9])
    model = open_graph(path)
    largest = np.abs(weights["w1"]).sum((1, 2, 3))
    assert equalise(model, {"r": largest}) == ["r"]
    x = RNG.standard_normal((1, 3, 9, 9)).astype("f4")
    before = ort.InferenceSession(str(path)).run(None, {"x": x})[0]
    after = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})[0]
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()
    spread = np.abs(weights_of(next(iter(model.graph)))).max((1, 2, 3))
    assert spread.max() / spread.min() < 8


def test_channels_that_are_alike_are_left_alone(model: ir.Model) -> None:
    before = run(model)
    assert equalise(model, {"r1": np.linspace(1, 2, WIDTH).astype("f4")}) == []
    assert (run(model) == before).all()
