"""What int8 is predicted to do to the outputs, node by node, is what it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from fiqa_export.graph.loading import open_graph
from fiqa_export.int8.qdq import activations_read, candidates, insert_qdq, is_layer, quantise_activations
from fiqa_export.int8.sensitivity import FirstOrder, first_order
from fiqa_export.models.inputs import reference_input
from fiqa_export.onnx_on_torch.graph import TorchGraph
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.progress import Report, silent

from tests.help.samples.int8_network import REFERENCE, SIDE, save_network

FEEDS = [{"input": reference_input([seeded_image(i, SIDE, SIDE)], REFERENCE.spec.input).numpy()} for i in range(16)]


def scores(model: ir.Model) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.array([session.run(["score"], feed)[0].item() for feed in FEEDS])


@pytest.mark.parametrize("what", ["weights", "activations"])
def test_prediction_is_what_happens(what: str, tmp_path: Path) -> None:
    """One node after the other is rounded: scores move as predicted, in units of their spread, image by image."""
    path = save_network(tmp_path / "g.onnx")
    before, nodes = scores(open_graph(path)), candidates(open_graph(path).graph)
    ranges = {str(value.name): 6.0 for node in nodes for value in activations_read(node)}
    predicted = first_order(open_graph(path), FEEDS, {"minmax": ranges})
    for node in nodes:
        name, model = str(node.name), open_graph(path)
        if what == "weights":
            insert_qdq(model, [], {}, weights_only=[name] if is_layer(node) else [])
            (shifts,) = predicted.weights.get(name, np.zeros((1, len(FEEDS))))
        else:
            quantise_activations(model, [name], ranges)
            readers = (found for tensor, found in predicted.activations["minmax"].items())
            shifts = np.sum([found[name][0] for found in readers if name in found], axis=0)
        actual = (scores(model) - before) / before.std()
        assert np.abs(actual - shifts).max() <= 0.25 * np.abs(actual).max() + 1e-5, name


def prediction(model: ir.Model, report: Report = silent) -> FirstOrder:
    ranges = {str(value.name): 1.0 for node in candidates(model.graph) for value in activations_read(node)}
    return first_order(model, FEEDS[:2], {"minmax": ranges}, 2, report)


def test_prediction_tells_its_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    prediction(open_graph(save_network(tmp_path / "g.onnx")), lambda _, done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize("most", [1, 100_000])
def test_prediction_is_the_same_stretch_by_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """With an output in the middle of the graph for a second target, which sees what is before it."""
    model = open_graph(save_network(tmp_path / "g.onnx"))
    model.graph.outputs.append(next(n.outputs[0] for n in model.graph if n.name == "second"))
    whole = prediction(model)
    assert len(TorchGraph(model).stretches(most)) > 1
    monkeypatch.setattr("fiqa_export.int8.sensitivity.STRETCH", most)
    parts = prediction(model)
    assert np.all(whole.weights["first"] != 0)
    pairs: list[tuple[Mapping[Any, np.ndarray], Mapping[Any, np.ndarray]]] = [
        (whole.weights, parts.weights),
        (by_reader(whole), by_reader(parts)),
    ]
    for one, other in pairs:
        assert one.keys() == other.keys()
        for name, shifts in one.items():
            assert shifts.shape == (2, 2)
            assert np.all(shifts[0] != 0)
            np.testing.assert_allclose(other[name], shifts, rtol=1e-5)


def by_reader(predicted: FirstOrder) -> dict[object, np.ndarray]:
    """Shifts by tensor and the node that reads it."""
    tensors = predicted.activations["minmax"].items()
    return {(tensor, node): shifts for tensor, readers in tensors for node, shifts in readers.items()}
