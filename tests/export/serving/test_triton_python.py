"""Models for Triton's python backend: what is written, and its code without a server, on a stub of Triton's module."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_export.serving.triton_python import refuse_faceless, write_with_faces
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.canaries import tolerance
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.bright_faces import bright_yunet, photo_with
from tests.help.triton.stub import FakeTriton

CROPS, FACES = "ediffiqa-t-fp32-crops", "ediffiqa-t-fp32-faces"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bright_yunet(tmp_path_factory.mktemp("detector") / "bright.onnx")


@pytest.fixture(scope="module")
def repository(seeded_engine: Path, detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_with_faces(seeded_engine, read_card(seeded_engine), folder, detector)
    return folder


def parsed(folder: Path) -> Any:
    pytest.importorskip("tritonclient.grpc", reason="needs tritonclient[grpc]")
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse((folder / "config.pbtxt").read_text("utf-8"), ModelConfig())


def tensors(config: Any, side: str) -> dict[str, tuple[str, list[int]]]:
    from tritonclient.grpc.model_config_pb2 import DataType

    return {each.name: (DataType.Name(each.data_type), list(each.dims)) for each in getattr(config, side)}


def test_what_is_written(repository: Path, seeded_engine: Path, detector: Path) -> None:
    crops, faces = parsed(repository / CROPS), parsed(repository / FACES)
    assert [(each.name, each.backend) for each in (crops, faces)] == [(CROPS, "python"), (FACES, "python")]
    assert (crops.max_batch_size, faces.max_batch_size) == (32, 16)
    assert crops.HasField("dynamic_batching") and not faces.HasField("dynamic_batching")
    assert tensors(crops, "input") == {"input": ("TYPE_UINT8", [112, 112, 3])}
    assert tensors(crops, "output") == {"score": ("TYPE_FP32", [1])}
    assert tensors(faces, "input") == {"photo": ("TYPE_STRING", [1])}
    assert tensors(faces, "output") == {
        "count": ("TYPE_INT32", [1]),
        "box": ("TYPE_FP32", [-1, 4]),
        "landmarks": ("TYPE_FP32", [-1, 5, 2]),
        "confidence": ("TYPE_FP32", [-1]),
        "quality": ("TYPE_FP32", [-1]),
        "error": ("TYPE_STRING", [1]),
    }
    for name, more in ((CROPS, []), (FACES, [detector.name])):
        version = repository / name / "1"
        files = [seeded_engine.name, f"{seeded_engine.name}.json", "model.py", *more]
        assert sorted(path.name for path in version.iterdir()) == sorted(files)
        assert read_card(version / seeded_engine.name) == read_card(seeded_engine)


def test_another_detector_is_the_next_version_of_the_model_for_photos(
    seeded_engine: Path, detector: Path, tmp_path: Path
) -> None:
    other = tmp_path / detector.name
    other.write_bytes(detector.read_bytes() + b"\0")
    for file in (detector, detector, other):
        crops, faces = write_with_faces(seeded_engine, read_card(seeded_engine), tmp_path / "models", file)
    assert [sorted(path.name for path in model.iterdir() if path.is_dir()) for model in (crops, faces)] == [
        ["1"],
        ["1", "2"],
    ]
    assert (faces / "2" / detector.name).read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("yunet-s", "yunet-s gives no quality scores"),
        ("mtcnn-p", "mtcnn-p gives no quality scores"),
        ("dsl-fiqa", "dsl-fiqa scores FaceXFormer's levelled portrait .* serve it with fiqa-serve"),
        ("dsl-fiqa-visible", "dsl-fiqa-visible scores FaceXFormer's"),
    ],
)
def test_networks_that_are_refused(name: str, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        refuse_faceless(name, MODELS[name].input, MODELS[name].outputs)


@pytest.mark.parametrize("name", ["ediffiqa-l", "cr-fiqa-s", "ifqa", "ifqa-plus"])
def test_networks_that_are_served(name: str) -> None:
    refuse_faceless(name, MODELS[name].input, MODELS[name].outputs)


Opened = Callable[[Path], Any]


@pytest.fixture()
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens the model in a folder of the repository as Triton does."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", FakeTriton())
    models: list[Any] = []

    def open_model(folder: Path) -> Any:
        from google.protobuf.json_format import MessageToJson

        text = MessageToJson(parsed(folder), preserving_proto_field_name=True)
        spec = importlib.util.spec_from_file_location(f"model_{len(models)}", folder / "1/model.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.TritonPythonModel()
        model.initialize({"model_config": text, "model_repository": str(folder), "model_version": "1"})
        models.append(model)
        return model

    yield open_model
    for model in models:
        model.finalize()


def test_crops_of_several_requests_are_scored_in_one_batch(opened: Opened, repository: Path, scorer: Scorer) -> None:
    crops = np.stack([seeded_image(seed, 112, 112) for seed in range(6)])
    answers = opened(repository / CROPS).execute([{"input": share} for share in (crops[:1], crops[1:5], crops[5:])])
    assert [answer.found["score"].shape for answer in answers] == [(1, 1), (4, 1), (1, 1)]
    found = np.concatenate([answer.found["score"] for answer in answers])[:, 0]
    np.testing.assert_allclose(found, scorer.score(list(crops)), rtol=0, atol=tolerance(scorer.card)["score"])


def test_faces_of_photos_and_reasons_of_those_that_cannot_be_used(
    opened: Opened, repository: Path, scorer: Scorer, detector: Path
) -> None:
    images = [photo_with([(8, 6), (20, 9)]), photo_with([]), photo_with([(24, 5)], seed=1)]
    whole = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    tiff = cv2.imencode(".tiff", images[0])[1].tobytes()
    photos = np.array([[data] for data in (*whole, whole[0][:2000], b"", tiff)], np.object_)
    (answer,) = opened(repository / FACES).execute([{"photo": photos}])
    found = answer.found
    assert found["count"].tolist() == [[2], [0], [1], [0], [0], [0]]
    errors = [row[0].decode() for row in found["error"]]
    assert errors[:3] == ["", "", ""] and "the photo is damaged" in errors[3]
    assert errors[4:] == ["the photo is not a JPEG, PNG, WebP or BMP picture"] * 2
    finder = FaceQuality(scorer, Detector(detector))
    for row, image in enumerate(images):
        faces = finder.assess(image)
        assert len(faces) == found["count"][row, 0]
        for name in ("box", "landmarks", "confidence", "quality"):
            values = found[name][row]
            assert values.shape[0] == 2 and np.isnan(values[len(faces) :]).all()
            expected = [getattr(face, name) for face in faces]
            np.testing.assert_allclose(values[: len(faces)].tolist(), np.array(expected).tolist(), atol=1e-3)


def test_an_artefact_that_fails_its_self_test_is_not_loaded(
    opened: Opened, seeded_engine: Path, detector: Path, tmp_path: Path
) -> None:
    card = read_card(seeded_engine)
    canaries = tuple(
        replace(each, values={"score": tuple(value + 1 for value in each.values["score"])}) for each in card.canaries
    )
    for folder in write_with_faces(seeded_engine, replace(card, canaries=canaries), tmp_path, detector):
        with pytest.raises(FakeTriton.TritonModelException, match="self-test FAILED"):
            opened(folder)


@pytest.mark.parametrize(
    ("model", "options", "parts"),
    [
        ("ediffiqa-t", ["--with-faces"], ["--with-faces is a part of --triton"]),
        ("yunet-s", ["--triton", "models", "--with-faces"], ["yunet-s gives no quality scores", "--with-faces"]),
        ("dsl-fiqa", ["--triton", "models", "--with-faces"], ["dsl-fiqa scores", "fiqa-serve"]),
        ("ediffiqa-t", ["--triton", "models", "--with-faces"], ["face_detection_yunet_2023mar.onnx cannot be down"]),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_export(
    export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, options: list[str], parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = export(model, "--weights", "seeded", "--target", "none", *options)
    assert result.is_one_line(*parts), result
    assert not list(tmp_path.rglob("*.*"))
