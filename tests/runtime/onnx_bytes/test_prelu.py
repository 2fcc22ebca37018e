"""PRelu for ONNX Runtime: the rewritten bytes are a valid model that gives the same bits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.onnx_bytes.prelu import for_onnxruntime, split_prelu
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.samples.onnx_graphs import node, save_graph

ort = pytest.importorskip("onnxruntime")


def run(model: bytes | str, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    result: np.ndarray = ort.InferenceSession(model, options).run(None, {"x": x})[0]
    return result


def prelus(tmp_path: Path, slope: np.ndarray) -> Path:
    """Two PRelus in a row, with convolutions around them as in the networks."""
    rng = np.random.default_rng(0)
    kernels = {f"w{i}": rng.normal(size=(16, 16, 3, 3)).astype(np.float32) for i in range(3)}
    nodes = [
        node("Conv", "x w0", "a", pads=[1, 1, 1, 1]),
        node("PRelu", "a slope", "b"),
        node("Conv", "b w1", "c", pads=[1, 1, 1, 1]),
        node("PRelu", "c slope", "d"),
        node("Conv", "d w2", pads=[1, 1, 1, 1]),
    ]
    return save_graph(tmp_path / "graph.onnx", nodes, {**kernels, "slope": slope}, [None, 16, None, None])


@pytest.mark.parametrize(
    "slope",
    [
        np.random.default_rng(1).uniform(-2, 3, (16, 1, 1)).astype(np.float32),
        np.zeros((16, 1, 1), np.float32),
        np.full((1,), 0.25, np.float32),
        np.full((1, 1, 1), 1.5, np.float32),
    ],
)
def test_results_are_bit_equal(tmp_path: Path, slope: np.ndarray) -> None:
    path = prelus(tmp_path, slope)
    model = path.read_bytes()
    split = split_prelu(model)
    found = Counter(n.op_type for n in onnx.load_from_string(split).graph.node)
    assert found == Counter(Conv=3, Sub=2, Exp=2, Neg=4, Relu=4, Mul=4, Add=2)
    x = np.random.default_rng(2).normal(size=(2, 16, 9, 7)).astype(np.float32)
    x[0, :, 0] = 0.0
    np.testing.assert_array_equal(run(split, x), run(model, x))


def test_an_exported_network_is_bit_equal_and_keeps_everything_else(seeded_engine: Path) -> None:
    model = seeded_engine.read_bytes()
    split = for_onnxruntime(seeded_engine)
    assert isinstance(split, bytes)
    before, after = onnx.load_from_string(model), onnx.load_from_string(split)
    onnx.checker.check_model(after, full_check=True)
    assert {n.op_type for n in after.graph.node} == {n.op_type for n in before.graph.node} - {"PRelu"} | {
        "Sub",
        "Exp",
        "Neg",
        "Relu",
        "Mul",
    }
    for part in ("node", "value_info"):
        before.graph.ClearField(part)
        after.graph.ClearField(part)
    assert before == after
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, 112, 112)).astype(np.float32)
    expected = ort.InferenceSession(model).run(None, {"input": x})[0]
    np.testing.assert_array_equal(ort.InferenceSession(split).run(None, {"input": x})[0], expected)


def test_the_backend_uses_it(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    session = ort.InferenceSession

    def open_session(model: object, *arguments: Any, **options: Any) -> Any:
        opened.append(model)
        return session(model, *arguments, **options)

    monkeypatch.setattr(ort, "InferenceSession", open_session)
    Scorer(seeded_engine, "onnxruntime").close()
    assert [type(model) for model in opened] == [bytes]


def test_other_graphs_are_opened_as_they_are(tmp_path: Path) -> None:
    plain = save_graph(tmp_path / "plain.onnx", [node("Relu", "x")], {}, [None, 4])
    assert for_onnxruntime(plain) == str(plain)
    assert split_prelu(plain.read_bytes()) == plain.read_bytes()
    nodes = [
        node("QuantizeLinear", "x scale", "q"),
        node("DequantizeLinear", "q scale", "d"),
        node("PRelu", "d slope"),
    ]
    weights = {"scale": np.array(0.1, np.float32), "slope": np.array([0.1], np.float32)}
    quantised = save_graph(tmp_path / "quantised.onnx", nodes, weights, [None, 4])
    assert for_onnxruntime(quantised) == str(quantised)


def test_a_graph_with_weights_in_another_file_is_opened_where_it_lies(tmp_path: Path) -> None:
    whole = prelus(tmp_path, np.full((16, 1, 1), 0.25, np.float32))
    (tmp_path / "split").mkdir()
    split = tmp_path / "split" / "graph.onnx"
    onnx.save(onnx.load(whole), split, save_as_external_data=True, location="graph.data", size_threshold=0)
    assert (split.parent / "graph.data").is_file()
    assert for_onnxruntime(split) == str(split)
    assert isinstance(for_onnxruntime(whole), bytes)
    x = np.random.default_rng(3).normal(size=(1, 16, 5, 5)).astype(np.float32)
    np.testing.assert_array_equal(run(for_onnxruntime(split), x), run(for_onnxruntime(whole), x))


def test_damaged_files_are_refused(tmp_path: Path, seeded_engine: Path) -> None:
    content = seeded_engine.read_bytes()
    for length in (len(content) - 1, len(content) // 2, 40):
        with pytest.raises(ValueError, match="damaged or cut short"):
            split_prelu(content[:length])
    with pytest.raises(ValueError, match="damaged or cut short"):
        split_prelu(b"\xff" * 64)
    empty = tmp_path / "empty.onnx"
    empty.touch()
    with pytest.raises(ValueError, match="empty"):
        for_onnxruntime(empty)


def test_a_damaged_artefact_is_one_line(seeded_engine: Path, tmp_path: Path) -> None:
    from fiqa_runtime.artefact.card import read_card
    from fiqa_runtime.backends.onnxruntime import open_artefact

    card = read_card(seeded_engine)
    for content in (b"", seeded_engine.read_bytes()[:5000]):
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(content)
        with pytest.raises(ArtefactError, match="export it again") as caught:
            open_artefact(broken, card, None)
        assert "\n" not in str(caught.value)
