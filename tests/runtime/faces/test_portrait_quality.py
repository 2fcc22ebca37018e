"""From photo to DSL-FIQA's score: what is called with what, on stand-ins for the three networks."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.command.batch import read_landmarks
from fiqa_runtime.command.settings import EngineSettings, assessor_for
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import LeftOutError
from fiqa_runtime.faces.portrait_quality import PortraitQuality, open_landmarkers
from fiqa_runtime.images.crop_sampling import crop_offsets, crop_stream, cut, landmark_vector, visible_landmarks
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.portrait_engine import portrait_engine

POINTS = np.linspace(-0.5, 0.5, 136, dtype=np.float32)


class Landmarker:
    """FaceXFormer that finds the same points everywhere."""

    def __init__(self, name: str) -> None:
        self.path = Path(f"engines/{name}.onnx")
        self.sizes: list[tuple[int, ...]] = []

    def outputs(self, crops: list[Any]) -> dict[str, Any]:
        self.sizes += [crop.shape for crop in crops]
        return {"landmarks": POINTS[None]}


class PictureScorer:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def score(self, pictures: list[Any], landmarks: list[Any]) -> Any:
        self.calls.append((pictures[0], landmarks[0]))
        return np.array([0.25 * len(self.calls)], np.float32)


def quality(boxes: list[list[float]]) -> PortraitQuality:
    faces = [Detection(np.array(box, np.float32), np.zeros((5, 2), np.float32), 0.9) for box in boxes]
    detector = SimpleNamespace(detect=lambda image: faces, name="yunet.onnx")
    return PortraitQuality(PictureScorer(), detector, (Landmarker("first"), Landmarker("second")))  # type: ignore[arg-type]


def test_every_face_becomes_a_portrait_with_landmarks() -> None:
    assessor = quality([[100, 80, 60, 70], [300, 100, 50, 50]])
    faces = assessor.assess(seeded_image(0, 400, 500))
    assert [face.quality for face in faces] == [0.25, 0.5]
    assert [face.box[0] for face in faces] == [100, 300]
    first, second = assessor.landmarkers
    assert first.sizes == [(512, 512, 3)] * 2  # type: ignore[attr-defined]
    assert second.sizes == [(224, 224, 3)] * 2  # type: ignore[attr-defined]
    picture, landmarks = assessor.scorer.calls[0]  # type: ignore[attr-defined]
    assert picture.shape == (512, 512, 3)
    expected = ((POINTS.reshape(68, 2) + 1) * 224 - 1) / 2 * (512 / 224)
    np.testing.assert_allclose(landmarks, expected, rtol=1e-5)
    assert assessor.settings == {
        "detector": "yunet.onnx",
        "landmarkers": ["first.onnx", "second.onnx"],
        "framing": "portrait-512",
        "margin": 80.0,
    }


def test_a_face_that_makes_no_portrait_leaves_the_others() -> None:
    with pytest.raises(LeftOutError, match="1 of 2 faces cannot be scored: ") as caught:
        quality([[100, 80, 60, 70], [-900, -900, 50, 50]]).assess(seeded_image(0, 400, 500))
    assert [face.quality for face in caught.value.faces] == [0.25]
    with pytest.raises(InputError) as alone:
        quality([[-900, -900, 50, 50]]).assess(seeded_image(0, 400, 500))
    assert not isinstance(alone.value, LeftOutError)


def test_no_face() -> None:
    assert quality([]).assess(seeded_image(0, 100, 100)) == []


def test_missing_landmark_networks_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"export facexformer-512 and facexformer to .*--aligned"):
        open_landmarkers(tmp_path / "dsl-fiqa.fp32.onnx", "auto", None)


@pytest.mark.parametrize(
    ("files", "taken"),
    [(("fp16", "fp32", "int8"), "fp32"), (("int8",), "int8"), (("fp32",), "fp32"), (("fp16", "int8"), None)],
)
def test_the_landmark_network_is_the_float32_or_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], taken: str | None
) -> None:
    opened: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "fiqa_runtime.faces.portrait_quality.Scorer",
        lambda path, backend, threads, device: opened.append((path.name, backend)),
    )
    (tmp_path / "facexformer-512.fp32.onnx").touch()
    for precision in files:
        (tmp_path / f"facexformer.{precision}.onnx").touch()
    if taken is None:
        with pytest.raises(InputError, match=r"facexformer.fp16.onnx, facexformer.int8.onnx, and nothing says which"):
            open_landmarkers(tmp_path / "dsl-fiqa.fp32.plan", "tensorrt", None)
        return
    open_landmarkers(tmp_path / "dsl-fiqa.fp32.plan", "tensorrt", None)
    open_landmarkers(tmp_path / "dsl-fiqa.fp32.onnx", "openvino", None)
    names = ["facexformer-512.fp32.onnx", f"facexformer.{taken}.onnx"]
    assert opened == [(name, backend) for backend in ("auto", "openvino") for name in names]


def test_the_command_closes_both_landmark_networks(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    landmarkers = [Scorer(seeded_engine, "onnxruntime") for _ in range(2)]
    for name, landmarker in zip(("first", "second"), landmarkers, strict=True):
        monkeypatch.setattr(landmarker, "close", partial(closed.append, name))
    monkeypatch.setattr("fiqa_runtime.command.settings.open_landmarkers", lambda *arguments: tuple(landmarkers))
    with Scorer(seeded_engine, "onnxruntime") as scorer, ExitStack() as stack:
        scorer.card = replace(scorer.card, input=MODELS["dsl-fiqa"].input)
        assessor_for(scorer, quality([]).detector, "least-squares", EngineSettings("", "auto", None, "exact"), stack)
        assert not closed
    assert sorted(closed) == ["first", "second"]


def test_landmark_files(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones((68, 2), np.float64))
    assert read_landmarks(tmp_path / "good.npy").dtype == np.float32
    np.save(tmp_path / "shape.npy", np.ones(136))
    np.save(tmp_path / "nan.npy", np.full((68, 2), np.nan))
    np.save(tmp_path / "object.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "archive.npz", np.ones((68, 2)))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "archive.npy").read_bytes()[:200])
    for name in ("shape", "nan", "object", "text", "missing", "archive", "cut"):
        with pytest.raises(InputError, match=f"{name}.npy"):
            read_landmarks(tmp_path / f"{name}.npy")


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """A picture with all landmarks in the middle, one with a landmark at the border, and one that is too small."""
    (tmp_path / "portraits").mkdir()
    for name, side in (("all", 512), ("border", 512), ("small", 300)):
        cv2.imwrite(str(tmp_path / f"portraits/{name}.png"), seeded_image(0, side, side))
        points = np.full((68, 2), 256.0)
        points[5] = 3 if name == "border" else 256
        np.save(tmp_path / f"portraits/{name}.npy", points)
    return tmp_path / "portraits"


@pytest.mark.parametrize(("model", "scored"), [("dsl-fiqa", ["all", "border"]), ("dsl-fiqa-visible", ["all"])])
def test_each_portrait_is_scored_or_refused_by_itself(
    score: Invoke, portraits: Path, tmp_path: Path, model: str, scored: list[str]
) -> None:
    arguments = ("--aligned", "--landmarks", portraits, "--backend", "onnxruntime", "--json", tmp_path / "s.json")
    result = score(portraits, "--engine", portrait_engine(model, tmp_path), *arguments)
    refused = [f"{name}.png" for name in ("border", "small") if name not in scored]
    assert result.ends_in(*refused, "bring it to 512 x 512"), result
    images = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["images"]
    assert [Path(image["path"]).stem for image in images if "quality" in image] == scored
    assert all("has a landmark input" in image["error"] for image in images if "border" in image.get("error", ""))


@pytest.mark.parametrize("count", [68, 98])
def test_the_landmark_vector_is_for_as_many_landmarks_as_the_file_holds(tmp_path: Path, count: int) -> None:
    image, points = seeded_image(0, 512, 512), np.full((count, 2), 256.0)
    points[::2] = 20
    offsets = crop_offsets(512, 512, 20, crop_stream())
    vectors = [landmark_vector(visible_landmarks(points, offset), count) for offset in offsets]
    crops = prepare(cut(image, offsets), MODELS["dsl-fiqa"].input)
    with Scorer(portrait_engine("dsl-fiqa", tmp_path), "onnxruntime") as scorer:
        expected = crops.mean((1, 2, 3), dtype=np.float64).mean() + np.mean(vectors)
        np.testing.assert_allclose(scorer.score([image], [points]), [expected], atol=1e-6)


def test_other_landmarks_than_the_folded_ones_are_refused(tmp_path: Path) -> None:
    with Scorer(portrait_engine("dsl-fiqa-visible", tmp_path), "onnxruntime") as scorer:
        assert np.isfinite(scorer.score([seeded_image(0, 512, 512)], [np.full((68, 2), 256.0)]))
        with pytest.raises(InputError, match="1 pictures came with the landmarks of 2"):
            scorer.score([seeded_image(0, 512, 512)], [np.full((68, 2), 256.0)] * 2)
        with pytest.raises(InputError, match="68 landmarks"):
            scorer.score([seeded_image(0, 512, 512)], [np.full((98, 2), 256.0)])


def test_a_network_without_a_score(
    score: Invoke, tmp_path: Path, seeded_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiqa_runtime.scoring.scorer.Scorer.has_score", False)
    cv2.imwrite(str(tmp_path / "a.png"), seeded_image(0, 112, 112))
    result = score(tmp_path / "a.png", "--engine", seeded_engine, "--backend", "onnxruntime")
    assert result.is_one_line("gives no quality scores; name an artefact of a quality network")


def test_pictures_that_would_share_landmarks_are_refused(score: Invoke, portraits: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    shutil.copy(portraits / "all.png", tmp_path / "more/all.png")
    arguments = ("--aligned", "--landmarks", portraits, "--backend", "onnxruntime")
    result = score(portraits, tmp_path / "more", "--engine", portrait_engine("dsl-fiqa", tmp_path), *arguments)
    assert result.is_one_line("portraits/all.png and ", "more/all.png would share the landmarks all.npy"), result


def test_landmarks_for_a_network_that_takes_none(score: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    result = score(tmp_path / "a.png", "--engine", seeded_engine, "--aligned", "--landmarks", tmp_path)
    assert result.is_one_line("ediffiqa-t takes no landmarks")
