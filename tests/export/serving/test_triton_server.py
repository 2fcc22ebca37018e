"""NVIDIA's tritonserver on the CPU serves what ``--with-faces`` writes, and reads the configurations of the others."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_export.serving.triton import write_triton
from fiqa_export.serving.triton_python import write_with_faces
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.canaries import tolerance
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.limits import HANGS
from tests.help.places import ROOT
from tests.help.samples.bright_faces import bright_yunet, photo_with
from tests.help.triton.server import Served, triton_python, triton_server

http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
ONNX, BROKEN, PLAN, SHARED = "ediffiqa-t-fp32", "broken", "plan", "shared"
CROPS, FACES = f"{ONNX}-crops", f"{ONNX}-faces"
ASSESS = """
import json, sys
from fiqa_runtime import Detector, FaceQuality, Scorer
engine, detector, *photos = sys.argv[1:]
quality = FaceQuality(Scorer(engine, "onnxruntime", 1), Detector(detector))
print(json.dumps([[face.as_dict() for face in quality.assess(photo)] for photo in photos]))
"""
ROUNDS = 50
"""So often requests are sent at once until the server has put some together."""


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bright_yunet(tmp_path_factory.mktemp("detector") / "bright.onnx")


@pytest.fixture(scope="module")
def server(seeded_engine: Path, detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of the models for crops and for photos, in ONNX Runtime; the others are loaded on request."""
    python = triton_python()
    repository, scratch = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("triton")
    card = read_card(seeded_engine)
    for folder in write_with_faces(seeded_engine, card, repository, detector):
        edit(folder, '"auto"', '"onnxruntime"')
    write_triton(seeded_engine, card, repository)
    for name, like in ((SHARED, CROPS), (BROKEN, ONNX), (PLAN, ONNX)):
        shutil.copytree(repository / like, repository / name)
        edit(repository / name, f'"{like}"', f'"{name}"')
    edit(repository / BROKEN, "TYPE_FP32", "TYPE_FLOAT")
    edit(repository / PLAN, '"onnxruntime"', '"tensorrt"')
    with triton_server(python, repository, [CROPS, FACES], scratch) as found:
        yield found


def edit(model: Path, old: str, new: str) -> None:
    path = model / "config.pbtxt"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Any]:
    found = http.InferenceServerClient(server.http, concurrency=16, connection_timeout=HANGS, network_timeout=HANGS)
    yield found
    found.close()


def crops_of(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([seeded_image(seed, 112, 112) for seed in range(count)])


def sent(crops: Any) -> list[Any]:
    found = http.InferInput("input", list(crops.shape), "UINT8")
    found.set_data_from_numpy(crops)
    return [found]


def test_readiness_and_metadata(client: Any) -> None:
    """The server as a whole was ready when it had started; a model that cannot be loaded later makes it unready."""
    assert client.is_server_live() and client.is_model_ready(CROPS) and client.is_model_ready(FACES)
    assert not client.is_model_ready(ONNX)
    crops, faces = client.get_model_metadata(CROPS), client.get_model_metadata(FACES)
    assert crops["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 112, 112, 3]}]
    assert crops["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]
    assert faces["inputs"] == [{"name": "photo", "datatype": "BYTES", "shape": [-1, 1]}]
    assert {each["name"]: each["shape"] for each in faces["outputs"]} == {
        "count": [-1, 1],
        "box": [-1, -1, 4],
        "landmarks": [-1, -1, 5, 2],
        "confidence": [-1, -1],
        "quality": [-1, -1],
        "error": [-1, 1],
    }


@pytest.mark.parametrize("count", [1, 5, 32])
def test_scores_are_those_of_the_scorer(client: Any, scorer: Scorer, count: int) -> None:
    crops = crops_of(count)
    found = client.infer(CROPS, sent(crops)).as_numpy("score")
    assert found.shape == (count, 1)
    expected = scorer.score(list(crops))
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=tolerance(scorer.card)["score"])


def test_the_client_of_the_examples(server: Served, scorer: Scorer) -> None:
    pytest.importorskip("tritonclient.grpc", reason="needs tritonclient[grpc]")
    example = runpy.run_path(str(ROOT / "examples/triton_client.py"))
    crops = list(crops_of(3))
    found = example["TritonScorer"](server.grpc, CROPS).score(crops)
    np.testing.assert_allclose(found, scorer.score(crops), rtol=0, atol=tolerance(scorer.card)["score"])


def test_requests_share_batches(client: Any, scorer: Scorer) -> None:
    """A model that nobody else asks."""
    client.load_model(SHARED)
    crops = crops_of(16)
    expected = scorer.score(list(crops))
    for number in range(1, ROUNDS + 1):
        asked = [client.async_infer(SHARED, sent(crops[index : index + 1])) for index in range(len(crops))]
        found = [each.get_result(timeout=HANGS).as_numpy("score")[0, 0] for each in asked]
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance(scorer.card)["score"])
        if executions(client, number * len(crops)) < number * len(crops):
            return
    pytest.fail("no two requests shared a batch")


def executions(client: Any, crops: int) -> int:
    """Batches in which so many crops were scored; Triton counts them some time after it has answered."""
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        said = client.get_inference_statistics(SHARED)["model_stats"][0]
        batches = {each["batch_size"]: each["compute_infer"]["count"] for each in said["batch_stats"]}
        if sum(size * count for size, count in batches.items()) == crops:
            return sum(batches.values())
        time.sleep(0.02)
    raise AssertionError("Triton has lost count")


def test_what_does_not_fit_is_refused(client: Any) -> None:
    with pytest.raises(http.InferenceServerException, match="batch-size must be <= 32"):
        client.infer(CROPS, sent(crops_of(33)))
    with pytest.raises(http.InferenceServerException, match="unexpected shape for input"):
        client.infer(CROPS, sent(np.zeros((1, 100, 112, 3), np.uint8)))


def test_faces_of_photos(client: Any, seeded_engine: Path, detector: Path, tmp_path: Path) -> None:
    """They are found where our OpenCV finds them; it may cut them out a little otherwise than the server's OpenCV, so
    their quality is compared with what the server's python gives without Triton."""
    images = [photo_with([(8, 6), (20, 9)]), photo_with([]), photo_with([(24, 5)], seed=1)]
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        cv2.imwrite(str(file), image)
    whole = [file.read_bytes() for file in files]
    answer = faces_in(client, [*whole, whole[0][:2000], b""])
    assert answer["count"].tolist() == [[2], [0], [1], [0], [0]]
    errors = [row[0].decode() for row in answer["error"]]
    assert errors[:3] == ["", "", ""] and "the photo is damaged" in errors[3] and "not a JPEG" in errors[4]
    line = [str(triton_python()), "-c", ASSESS, *map(str, (seeded_engine, detector, *files))]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    for row, (image, faces) in enumerate(zip(images, json.loads(done.stdout), strict=True)):
        found = Detector(detector).detect(image)
        assert len(faces) == len(found)
        for name in ("box", "landmarks", "confidence", "quality"):
            values = answer[name][row]
            assert values.shape[0] == 2 and np.isnan(values[len(faces) :]).all()
            there = [face[name] for face in faces]
            np.testing.assert_allclose(values[: len(faces)].tolist(), there, rtol=0, atol=1e-3)
            if name != "quality":
                here = [np.asarray(getattr(face, name)).tolist() for face in found]
                np.testing.assert_allclose(values[: len(faces)].tolist(), here, rtol=0, atol=1e-2)


def test_photos_without_any_face(client: Any) -> None:
    answer = faces_in(client, [b"no photo"])
    assert answer["count"].tolist() == [[0]] and answer["box"].shape == (1, 0, 4)
    assert answer["landmarks"].shape == (1, 0, 5, 2) and answer["quality"].shape == (1, 0)


def faces_in(client: Any, photos: list[bytes]) -> dict[str, Any]:
    given = http.InferInput("photo", [len(photos), 1], "BYTES")
    given.set_data_from_numpy(np.array([[data] for data in photos], np.object_))
    answer = client.infer(FACES, [given])
    return {name: answer.as_numpy(name) for name in ("count", "box", "landmarks", "confidence", "quality", "error")}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ONNX, "unable to find backend library for backend 'onnxruntime'"),
        (PLAN, "unable to find backend library for backend 'tensorrt'"),
        (BROKEN, "failed to poll from model repository"),
    ],
)
def test_configurations_for_other_backends_are_read_to_the_end(client: Any, model: str, said: str) -> None:
    """This server lacks those backends; it looks for them when it has read the rest: fields, types, name, versions."""
    with pytest.raises(http.InferenceServerException, match=said):
        client.load_model(model)
