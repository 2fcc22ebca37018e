"""The card inside an ONNX file: tied to graph and weights, and never contradicted by the one beside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from fiqa_runtime.artefact.card import METADATA_KEY, card_path, is_tied, read_card, sha256_without_card
from fiqa_runtime.backends import ONNX_BACKENDS, open_backend
from fiqa_runtime.errors import ArtefactError, CardError, VerdictError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.onnx_bytes.external import external_files
from fiqa_runtime.onnx_bytes.metadata import append_metadata
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_file
from onnx import numpy_helper

CROP = seeded_image(0, 112, 112)
NAMES = pytest.mark.parametrize("name", ["x.onnx", "X.ONNX", "x", "x.model"])


@pytest.fixture()
def alone(seeded_engine: Path, tmp_path: Path) -> Path:
    """The ONNX file without a card beside it."""
    return Path(shutil.copy(seeded_engine, tmp_path / "x.onnx"))


def with_digest(path: Path, digest: str | None) -> None:
    """Give the card inside `path` another digest; None takes it out, as in files of older versions."""
    model = onnx.load(path)
    (entry,) = model.metadata_props
    document = json.loads(entry.value)
    if digest is None:
        del document["model_sha256"]
    else:
        document["model_sha256"] = digest
    del model.metadata_props[:]
    onnx.save(model, path)
    append_metadata(path, METADATA_KEY, json.dumps(document))


def stronger(model: onnx.ModelProto) -> None:
    """Every convolution times 1.05."""
    convolutions = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in model.graph.initializer:
        if tensor.name in convolutions:
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array((array * 1.05).astype(array.dtype), tensor.name))


def test_the_digest_is_that_of_the_file_without_the_card(alone: Path) -> None:
    card = read_card(alone)
    assert card.model_sha256 == sha256_without_card(alone)
    assert alone.name not in card.files
    assert is_tied(card, alone)


@NAMES
def test_the_card_inside_is_found_whatever_the_file_is_called(alone: Path, name: str) -> None:
    path = alone.rename(alone.with_name(name))
    scores = [Scorer(path, backend).score([CROP]).item() for backend in ONNX_BACKENDS]
    np.testing.assert_allclose(scores, scores[0], atol=1e-5)


@NAMES
@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_weights_that_were_changed_are_refused(alone: Path, name: str, backend: str) -> None:
    model = onnx.load(alone)
    stronger(model)
    path = alone.with_name(name)
    onnx.save(model, path, "protobuf")
    with pytest.raises(ArtefactError, match="is not the network that the card inside it describes") as caught:
        Scorer(path, backend)
    assert "\n" not in str(caught.value)


def test_each_of_thirty_flipped_bits_is_refused(alone: Path) -> None:
    whole = alone.read_bytes()
    read_card(alone)
    inside = whole.index(METADATA_KEY.encode())
    for place in np.linspace(64, inside - 64, 30, dtype=int).tolist():
        flipped = bytearray(whole)
        flipped[place] ^= 0x80
        alone.write_bytes(flipped)
        with pytest.raises(ArtefactError):
            read_card(alone)


@pytest.mark.parametrize(
    "change", [{"mean": [0.0, 0.0, 0.0]}, {"colour": "BGR"}, {"resize": "opencv-bilinear"}, {"height": 128}]
)
def test_a_card_beside_that_feeds_otherwise_is_refused(seeded_engine: Path, alone: Path, change: object) -> None:
    document = json.loads(card_path(seeded_engine).read_text(encoding="utf-8"))
    document["input"] |= change
    document["files"] = {alone.name: document["files"][seeded_engine.name]}
    card_path(alone).write_text(json.dumps(document))
    with pytest.raises(CardError, match="differ in 'input', so images would be fed otherwise"):
        read_card(alone)


def test_a_wrong_digest_counts_with_a_card_beside_too(seeded_engine: Path, alone: Path) -> None:
    with_digest(alone, "0" * 64)
    document = json.loads(card_path(seeded_engine).read_text(encoding="utf-8"))
    card_path(alone).write_text(json.dumps(document | {"files": {alone.name: sha256_file(alone)}}))
    with pytest.raises(ArtefactError, match="is not the network"):
        read_card(alone)


@pytest.mark.parametrize("backend", ["auto", *ONNX_BACKENDS])
def test_an_older_file_shows_its_canaries_first(alone: Path, backend: str) -> None:
    with_digest(alone, None)
    assert not is_tied(read_card(alone), alone)
    assert Scorer(alone, backend).score([CROP]).shape == (1,)
    model = onnx.load(alone)
    stronger(model)
    onnx.save(model, alone)
    with pytest.raises(
        VerdictError, match=r"does not give the values on the card inside it \(score is off by"
    ) as caught:
        Scorer(alone, backend)
    assert "\n" not in str(caught.value)


def test_an_older_file_without_canaries_is_refused(alone: Path) -> None:
    model = onnx.load(alone)
    (entry,) = model.metadata_props
    entry.value = json.dumps(json.loads(entry.value) | {"model_sha256": "", "canaries": []})
    onnx.save(model, alone)
    with pytest.raises(CardError, match="has no canaries; export it"):
        Scorer(alone, "opencv")


def with_external(path: Path, location: str, into: Callable[[onnx.GraphProto, onnx.TensorProto], None]) -> None:
    """A graph with one tensor in the file `location`."""
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [out])
    into(graph, tensor)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


def as_initializer(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    graph.initializer.append(tensor)


def as_constant(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=tensor))


def in_a_branch(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["w"], value=tensor)], "b", [], [])
    graph.node.append(onnx.helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner))


@pytest.mark.parametrize("into", [as_initializer, as_constant, in_a_branch])
@pytest.mark.parametrize("location", ["../w", "/etc/passwd", "a/b", "..", "c:\\w", ""])
def test_weights_elsewhere_are_refused(
    tmp_path: Path, location: str, into: Callable[[onnx.GraphProto, onnx.TensorProto], None]
) -> None:
    path = tmp_path / "x.onnx"
    with_external(path, location, into)
    with pytest.raises(ArtefactError, match="which is not a file beside it; save it with its weights beside it"):
        external_files(path)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_every_backend_refuses_weights_elsewhere(seeded_engine: Path, tmp_path: Path, backend: str) -> None:
    path = tmp_path / "x.onnx"
    with_external(path, "../w", as_initializer)
    card = replace(read_card(seeded_engine), files={})
    with pytest.raises(ArtefactError, match="which is not a file beside it"):
        open_backend(backend, path, card)


def test_weights_that_the_card_does_not_name_are_refused(seeded_engine: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with_external(path, "x.onnx.data", as_initializer)
    document = json.loads(card_path(seeded_engine).read_text(encoding="utf-8"))
    card_path(path).write_text(json.dumps(document | {"files": {path.name: sha256_file(path)}}))
    with pytest.raises(ArtefactError, match="which its card does not name"):
        read_card(path)
