"""A network that this project has never seen goes through the chain, from torch and from ONNX, in every precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fiqa_export.cli import main
from fiqa_export.own.functions import build_module
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from onnx import TensorProto, helper

from tests.help.commands import Invoke, invoker
from tests.help.samples.own_networks import write_network

IMAGES = [seeded_image(index, 112, 112) for index in range(3)]


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    monkeypatch.chdir(tmp_path)
    return invoker(main, capsys, monkeypatch)


def trained(folder: Path) -> torch.nn.Module:
    """The network of the sample with random weights, saved as its user would: ``w.pth`` in `folder`."""
    torch.manual_seed(3)
    network = build_module("net.py:build", folder).eval()
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, folder / "w.pth")
    return network


def wanted(network: torch.nn.Module, card: Any) -> np.ndarray:
    with torch.no_grad():
        embedding = network(torch.from_numpy(prepare(IMAGES, card.input)))["embedding"]
    return np.asarray(embedding.norm(dim=1))


@pytest.mark.parametrize("precision", [(), ("--fp16",), ("--int8", "--calib", "seeded")])
def test_from_torch_in_every_precision(export: Invoke, tmp_path: Path, precision: tuple[str, ...]) -> None:
    path = write_network(tmp_path, torch='torch = "net.py:build"\n\n[[weights]]\nfile = "w.pth"\nkey = "state_dict"')
    network = trained(tmp_path)
    result = export(path, *precision, "--target", "none")
    assert result.code == 0, result.err
    assert "running your own code: net.py:build of" in result.err
    (artefact,) = (tmp_path / "engines").glob("mynet.*.onnx")
    card = read_card(artefact)
    assert card.parity.passed and card.parity.score is not None and card.weights.kind == "file"
    tolerance = {"fp32": 1e-5, "fp16": 1e-2, "int8": 0.2}[card.precision]
    for backend in ONNX_BACKENDS:
        with Scorer(artefact, backend) as scorer:
            assert scorer.has_score
            np.testing.assert_allclose(scorer.score(IMAGES), wanted(network, card), rtol=tolerance, err_msg=backend)


def foreign(folder: Path, **changes: Any) -> Path:
    """The same network as somebody else exports it: another input name, a fixed batch, old operators, no card."""
    network = trained(folder)

    class Norm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            features = self.network(x)["embedding"]
            shaped: torch.Tensor = features.reshape(1, 4, 16)
            return shaped.flatten(1)

    program = torch.onnx.export(Norm().eval(), (torch.zeros(1, 3, 112, 112),), dynamo=True, verbose=False)
    assert program is not None
    model = program.model_proto
    graph = model.graph
    old = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["data" if name == old else name for name in node.input]
    graph.input[0].name = "data"
    if changes.get("channels_last"):
        _channels_last(graph)
    if changes.get("half"):
        _half(graph)
    onnx.save(model, str(folder / "theirs.onnx"))
    return folder / "theirs.onnx"


def _channels_last(graph: onnx.GraphProto) -> None:
    graph.node.insert(0, helper.make_node("Transpose", ["nhwc"], ["data"], perm=[0, 3, 1, 2]))
    graph.input[0].CopyFrom(helper.make_tensor_value_info("nhwc", TensorProto.FLOAT, [1, 112, 112, 3]))


def _half(graph: onnx.GraphProto) -> None:
    name = graph.input[0].name
    shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    graph.node.insert(0, helper.make_node("Cast", ["half"], [name], to=TensorProto.FLOAT))
    graph.input[0].CopyFrom(helper.make_tensor_value_info("half", TensorProto.FLOAT16, shape))


@pytest.mark.parametrize(
    "changes", [{}, {"channels_last": True}, {"half": True}, {"channels_last": True, "half": True}]
)
def test_from_onnx(export: Invoke, tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write_network(tmp_path, torch='onnx = "theirs.onnx"', of="of = 0")
    network = trained(tmp_path)
    foreign(tmp_path, **changes)
    result = export(path, "--target", "none")
    assert result.code == 0, result.err
    artefact = tmp_path / "engines" / "mynet.fp32.onnx"
    card = read_card(artefact)
    assert "not against PyTorch" in card.weights.description and card.parity.passed
    tolerance = 1e-2 if changes.get("half") else 1e-5
    for backend in ONNX_BACKENDS:
        with Scorer(artefact, backend) as scorer:
            np.testing.assert_allclose(scorer.score(IMAGES), wanted(network, card), rtol=tolerance, err_msg=backend)


def test_a_fixed_batch_is_made_free(export: Invoke, tmp_path: Path) -> None:
    path = write_network(tmp_path, torch='onnx = "theirs.onnx"', of="of = 0")
    foreign(tmp_path)
    export(path, "--target", "none")
    artefact = tmp_path / "engines" / "mynet.fp32.onnx"
    assert read_card(artefact).max_batch == 32
    (given,) = onnx.load(str(artefact)).graph.input
    assert given.name == "input" and given.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_batch_that_cannot_be_freed_is_told(export: Invoke, tmp_path: Path) -> None:
    path = write_network(tmp_path, torch='onnx = "theirs.onnx"', of="of = 0")
    model = onnx.load(str(foreign(tmp_path)))
    (output,) = model.graph.output
    constant = helper.make_tensor("first", TensorProto.INT64, [1], [0])
    model.graph.initializer.append(constant)
    last = model.graph.node[-1]
    model.graph.node.append(helper.make_node("Gather", [last.output[0], "first"], ["only"], axis=0))
    output.name = "only"
    onnx.save(model, str(tmp_path / "theirs.onnx"))
    result = export(path, "--target", "none")
    assert result.code == 0, result.err
    card = read_card(tmp_path / "engines" / "mynet.fp32.onnx")
    assert card.max_batch == 1 and "fixed to one" in card.notes[-1]


BAD = {
    "no such file": ({"torch": 'torch = "gone.py:build"'}, "there is no", "beside the network file"),
    "no such function": ({"torch": 'torch = "net.py:make"'}, "has no function make", ""),
    "no module": ({"torch": 'torch = "net.py:no_module"'}, "returned int and not a torch.nn.Module", ""),
    "its code fails": ({"torch": 'torch = "net.py:failing"'}, "failed (RuntimeError: out of luck)", ""),
    "no such package": ({"torch": 'torch = "no_such_package.net:build"'}, "cannot import no_such_package", "install"),
    "no such output": ({"of": 'of = "logits"'}, "no output 'logits' (it gives embedding, bins)", "correct 'of'"),
    "no scalar": ({"reduce": 'reduce = "none"'}, "'quality' is a score of shape (64,) per face", "set reduce"),
    "bins": ({"reduce": 'reduce = "expectation"\nbins = [0, 1]'}, "has 64 values and bins has 2", ""),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(export: Invoke, tmp_path: Path, case: str) -> None:
    changes, *says = BAD[case]
    result = export(write_network(tmp_path, **changes), "--weights", "seeded", "--target", "none")
    last = result.err.strip().splitlines()[-1]
    assert result.code == 2 and not result.out and all(part in last for part in says), result.err
    assert not list(tmp_path.glob("engines/*"))


def test_an_onnx_file_that_is_none(export: Invoke, tmp_path: Path) -> None:
    path = write_network(tmp_path, torch='onnx = "theirs.onnx"', of="of = 0")
    assert "there is no" in export(path, "--target", "none").err
    (tmp_path / "theirs.onnx").write_bytes(b"not a model")
    assert "check that it is an ONNX model" in export(path, "--target", "none").err
    foreign(tmp_path)
    assert "leave --weights out" in export(path, "--weights", "x.pth", "--target", "none").err
    path.write_text(path.read_text().replace("of = 0", 'of = "logits"'))
    assert "has no output 'logits' (it has " in export(path, "--target", "none").err
    path.write_text(path.read_text().replace('of = "logits"', "of = 0").replace("[112, 112]", "[96, 96]"))
    assert "the network file says 96 x 96; correct size" in export(path, "--target", "none").err


def test_nothing_of_the_working_folder_runs(export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package form is looked for where packages are installed, not where one happens to stand."""
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend("")
    result = export(write_network(tmp_path, torch='torch = "planted:build"'), "--weights", "seeded", "--target", "none")
    assert result.code == 2 and "cannot import planted" in result.err


def test_a_plan_and_a_serving_folder(export: Invoke, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx builds plans without a GPU")
    path = write_network(tmp_path)
    result = export(path, "--weights", "seeded", "--fp16", "--target", "tensorrt-rtx", "--triton", tmp_path / "triton")
    assert result.code == 0, result.err
    assert (tmp_path / "engines" / "mynet.fp16.plan").is_file()
    assert list((tmp_path / "triton").glob("mynet*/config.pbtxt"))


@pytest.mark.parametrize("precision", ["--fp16", "--int8"])
def test_from_onnx_with_weights_beside_in_reduced_precision(export: Invoke, tmp_path: Path, precision: str) -> None:
    path = write_network(tmp_path, torch='onnx = "theirs.onnx"', of="of = 0")
    network = trained(tmp_path)
    model = onnx.load(str(foreign(tmp_path)))
    onnx.save(model, str(tmp_path / "theirs.onnx"), save_as_external_data=True, location="theirs.bin", size_threshold=0)
    assert (tmp_path / "theirs.bin").is_file()
    result = export(path, precision, *(("--calib", "seeded") if precision == "--int8" else ()), "--target", "none")
    assert result.code == 0, result.err
    (artefact,) = (tmp_path / "engines").glob(f"mynet.{precision[2:]}.onnx")
    card = read_card(artefact)
    assert card.parity.score is not None and card.parity.score.srcc is not None and "0.1" in card.parity.score.flips
    with Scorer(artefact, "onnxruntime") as scorer:
        np.testing.assert_allclose(scorer.score(IMAGES), wanted(network, card), rtol=0.2)


def test_scores_that_are_not_numbers_fail_the_verdict(export: Invoke, tmp_path: Path) -> None:
    path = write_network(tmp_path, torch='torch = "net.py:overflowing"')
    text = (tmp_path / "net.py").read_text()
    code = "\ndef overflowing():\n    class Over(Net):\n        def forward(self, x):\n"
    code += "            return {'embedding': super().forward(x)['embedding'] / 0}\n    return Over()\n"
    (tmp_path / "net.py").write_text(text + code)
    result = export(path, "--weights", "seeded", "--target", "none")
    assert result.code == 3 and "not finite" in result.err
    assert not list((tmp_path / "engines").glob("mynet.*"))
