"""An ONNX file of others scores through a network file alone: in its own layout, type and batch, on every backend."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.networks.network_file import read_network, spec_of
from fiqa_runtime.onnx_bytes.interface import read_interface
from fiqa_runtime.scoring.foreign import open_foreign
from onnx import TensorProto, helper, numpy_helper

from tests.help.commands import Invoke
from tests.help.gpu.fake_devices import have_everything
from tests.help.samples.own_networks import write_network

IMAGES = [seeded_image(index, 112, 112) for index in range(3)]


def theirs(folder: Path, batch: int | str = 1, channels_last: bool = False, half: bool = False) -> Path:
    """Mean of each channel: an embedding of three numbers whose length is the score."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    shape: list[int | str] = [batch, 112, 112, 3] if channels_last else [batch, 3, 112, 112]
    axes = numpy_helper.from_array(np.array([1, 2] if channels_last else [2, 3]), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["data"], ["copy"]),
            helper.make_node("ReduceMean", ["data", "axes"], ["means"], keepdims=0),
        ],
        "theirs",
        [helper.make_tensor_value_info("data", kind, shape)],
        [helper.make_tensor_value_info("copy", kind, shape), helper.make_tensor_value_info("means", kind, [batch, 3])],
        [axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "theirs.onnx"))
    return folder / "theirs.onnx"


def wanted(path: Path) -> np.ndarray:
    means = prepare(IMAGES, spec_of(read_network(path)).input).mean(axis=(2, 3))
    return np.asarray(np.linalg.norm(means, axis=1))


def test_another_device_is_served_by_a_backend_that_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_everything(monkeypatch)
    monkeypatch.setattr("fiqa_runtime.scoring.foreign.open_elsewhere", lambda *arguments, advice: None)
    path = write_network(tmp_path, of='of = "means"', torch='onnx = "theirs.onnx"')
    with open_foreign(theirs(tmp_path, "n"), path, device="intel-gpu") as scorer:
        assert (scorer.backend.name, scorer.device) == ("openvino", "intel-gpu")
        assert scorer.backend.info["device"] == "intel-gpu"
        np.testing.assert_allclose(scorer.score(IMAGES), wanted(path), rtol=1e-5)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
@pytest.mark.parametrize(("batch", "channels_last"), [(1, False), ("n", False), (1, True), ("n", True)])
def test_every_layout_and_batch(backend: str, tmp_path: Path, batch: int | str, channels_last: bool) -> None:
    path = write_network(tmp_path, of='of = "means"', torch='onnx = "theirs.onnx"')
    with open_foreign(theirs(tmp_path, batch, channels_last), path, backend) as scorer:
        np.testing.assert_allclose(scorer.score(IMAGES), wanted(path), rtol=1e-5)
        assert scorer.card.max_batch == (1 if batch == 1 else 32)


def test_half_precision_in_onnx_runtime(tmp_path: Path) -> None:
    path = write_network(tmp_path, of="of = 1", torch='onnx = "theirs.onnx"')
    with open_foreign(theirs(tmp_path, "n", half=True), path, "onnxruntime") as scorer:
        np.testing.assert_allclose(scorer.score(IMAGES), wanted(path), rtol=1e-2)


def test_the_command(score: Invoke, tmp_path: Path) -> None:
    path = write_network(tmp_path, of='of = "means"', torch='onnx = "theirs.onnx"')
    cv2.imwrite(str(tmp_path / "a.png"), IMAGES[0])
    arguments = (
        tmp_path / "a.png",
        "--engine",
        theirs(tmp_path),
        "--spec",
        path,
        "--backend",
        "onnxruntime",
        "--aligned",
    )
    document = json.loads(score(*arguments, "--json", "-").out)
    assert document["images"][0]["quality"] == pytest.approx(wanted(path)[0], rel=1e-5)
    assert (document["model"], document["weights"].endswith("no verdict")) == ("mynet", True)
    assert score(*arguments, "--cpu-precision", "fast").is_one_line("--spec makes no use of --cpu-precision")
    assert score(*arguments[:3], "--backend", "onnxruntime", "--aligned").is_one_line("has no card")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"of": 'of = "logits"'}, "has no output 'logits' \\(it has copy, means\\)"),
        ({"size": "size = [96, 96]"}, "the network file says 96 x 96; correct size"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    path = write_network(tmp_path, **{"of": 'of = "means"', "torch": 'onnx = "theirs.onnx"', **changes})
    with pytest.raises(InputError, match=says):
        open_foreign(theirs(tmp_path), path, "onnxruntime")


def test_a_score_of_several_numbers_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path, of='of = "means"', reduce='reduce = "none"', torch='onnx = "theirs.onnx"')
    with pytest.raises(InputError, match=r"is a score of shape \(3,\) per face; set reduce"):
        open_foreign(theirs(tmp_path), path, "onnxruntime")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path, torch='onnx = "theirs.onnx"')
    (tmp_path / "theirs.onnx").write_bytes(b"\x3a\x7f not a model")
    with pytest.raises(ArtefactError, match="is not an ONNX model"):
        open_foreign(tmp_path / "theirs.onnx", path)


def test_the_interface_is_what_the_onnx_package_reads(tmp_path: Path) -> None:
    found = read_interface(theirs(tmp_path, "n", channels_last=True, half=True))
    assert [(port.name, port.kind, port.shape) for port in found.inputs] == [("data", 10, (None, 112, 112, 3))]
    assert [port.name for port in found.outputs] == ["copy", "means"]
