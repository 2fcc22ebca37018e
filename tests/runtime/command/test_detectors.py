"""fiqa-score with MTCNN, chosen by name or by file; the diagnoser tells detectors and what they were fed apart."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.mtcnn_engines import astronaut, export_mtcnn
from tests.help.samples.portrait_engine import portrait_engine

FRAMES = {"far": 0.6, "near": 1.0, "closer": 1.3}
"""Sizes in which the photo is shown."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory, seeded_engine: Path) -> Path:
    """MTCNN beside the quality network, as `fiqa-export` leaves them."""
    folder = export_mtcnn(tmp_path_factory.mktemp("engines"))
    for path in (seeded_engine, seeded_engine.with_name(seeded_engine.name + ".json")):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def engine(engines: Path, seeded_engine: Path) -> Path:
    return engines / seeded_engine.name


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One face in several sizes, mirrored, darker, and turned by a few degrees."""
    folder, photo = tmp_path_factory.mktemp("photos"), read_image(astronaut())
    for name, scale in FRAMES.items():
        shown = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = shown.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 1)
        for kind, picture in {
            "plain": shown,
            "mirrored": np.ascontiguousarray(shown[:, ::-1]),
            "dark": (shown * 0.6).astype(np.uint8),
            "turned": cv2.warpAffine(shown, turn, (width, height)),
        }.items():
            cv2.imwrite(str(folder / f"{name}-{kind}.png"), picture)
    return folder


def test_the_detector_by_name_and_by_file(score: Invoke, engine: Path, photos: Path) -> None:
    photo = photos / "near-plain.png"
    with Scorer(engine, "onnxruntime") as scorer:
        (face,) = FaceQuality(scorer, MtcnnDetector(engine.parent)).assess(read_image(photo))
    for detector in ("mtcnn", engine.with_name("mtcnn-o.fp32.onnx")):
        arguments = (photo, "--engine", engine, "--backend", "onnxruntime", "--detector", detector)
        document = json.loads(score(*arguments, "--json", "-").out)
        assert (document["detector"], document["preset"]) == ("mtcnn", "facenet")
        assert document["images"][0]["faces"][0]["quality"] == pytest.approx(face.quality, abs=1e-6)
    result = score(*arguments, "--preset", "cr-fiqa", "--json", "-")
    assert json.loads(result.out)["preset"] == "cr-fiqa"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--preset", "cr-fiqa", "--aligned"), "--aligned makes no use of --preset"),
        (("--detector", "mtcnn", "--preset", "adience"), "unknown preset 'adience'; choose facenet or cr-fiqa"),
        (("--detector", "mtcnn-p.fp16.onnx"), "there is no mtcnn-p.fp16.onnx; make it with fiqa-export mtcnn"),
        (("--detector", "mtcnn", "--min-confidence", "7"), "min_confidence is 7"),
        (("--detector", "nowhere.onnx"), "there is no detector nowhere.onnx"),
    ],
)
def test_bad_input(score: Invoke, engine: Path, photos: Path, arguments: tuple[str, ...], says: str) -> None:
    result = score(photos / "near-plain.png", "--engine", engine, "--backend", "onnxruntime", *arguments)
    assert result.is_one_line(says), result


def test_a_preset_without_mtcnn(score: Invoke, engine: Path, photos: Path, weights_dir: Path) -> None:
    arguments = (photos, "--engine", engine, "--backend", "onnxruntime", "--preset", "cr-fiqa")
    assert score(*arguments).is_one_line("--preset says how MTCNN is used; add --detector mtcnn")


def test_mtcnn_that_was_not_exported(score: Invoke, seeded_engine: Path, photos: Path) -> None:
    arguments = (photos, "--engine", seeded_engine, "--backend", "onnxruntime", "--detector", "mtcnn")
    assert score(*arguments).is_one_line("MTCNN is not in engines", "fiqa-export mtcnn")


def their_scores(scorer: Scorer, photos: Path, swap_seen: bool, swap_cut: bool, file: Path) -> Path:
    """Scores of a pipeline with MTCNN that exchanges red and blue for the detector, for the network, or for both."""
    detector = MtcnnDetector(scorer.path.parent, backend="onnxruntime")
    lines = ["image,score"]
    for path in sorted(photos.iterdir()):
        photo = read_image(path)
        swapped = np.ascontiguousarray(photo[:, :, ::-1])
        for face in detector.detect(swapped if swap_seen else photo):  # exchanged colours hide some faces
            crop = FaceQuality(scorer, detector).crop(swapped if swap_cut else photo, face.landmarks)
            lines.append(f"{path.name},{float(scorer.score([crop])[0])!r}")
    assert len(lines) > 8
    file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize(
    ("swap_seen", "swap_cut", "says"),
    [
        (False, False, "none: they agree"),
        (True, False, "the detector was fed the wrong colours: red and blue exchanged for it alone"),
        (True, True, "RGB frames taken for BGR: red and blue exchanged for detector and network alike"),
        (False, True, "RGB and BGR swapped: BGR instead of RGB"),
    ],
)
def test_exchanged_colours_are_told_apart(
    score: Invoke, engine: Path, photos: Path, tmp_path: Path, swap_seen: bool, swap_cut: bool, says: str
) -> None:
    with Scorer(engine, "onnxruntime") as scorer:
        theirs = their_scores(scorer, photos, swap_seen, swap_cut, tmp_path / "theirs.csv")
    arguments = (photos, "--engine", engine, "--backend", "onnxruntime", "--detector", "mtcnn")
    result = score(*arguments, "--diagnose", "--reference", theirs)
    assert result.code == 0, result.err
    assert result.out.strip().splitlines()[-1].startswith(says), result.out
    assert "not tried: another detector" in result.out, "YuNet is not on a stranger's machine"


@pytest.mark.parametrize(("swap", "detail"), [(False, "mtcnn (residual"), (True, "mtcnn, and it was fed with red")])
def test_the_other_detector_is_named(
    score: Invoke, engine: Path, photos: Path, tmp_path: Path, weights_dir: Path, swap: bool, detail: str
) -> None:
    with Scorer(engine, "onnxruntime") as scorer:
        theirs = their_scores(scorer, photos, swap, False, tmp_path / "theirs.csv")
    arguments = (photos, "--engine", engine, "--backend", "onnxruntime")
    result = score(*arguments, "--diagnose", "--reference", theirs)
    assert result.out.strip().splitlines()[-1].startswith(f"another detector: {detail}"), result.out


class Landmarker:
    """FaceXFormer that finds the same 68 points everywhere."""

    path = Path("facexformer.fp32.onnx")

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def outputs(self, crops: list[np.ndarray]) -> dict[str, np.ndarray]:
        return {"landmarks": np.linspace(-0.5, 0.5, 136, dtype=np.float32)[None]}


def test_dsl_fiqa_takes_mtcnn_as_its_authors_do(
    score: Invoke, engines: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiqa_runtime.command.settings.open_landmarkers", lambda *order: (Landmarker(), Landmarker()))
    engine = portrait_engine("dsl-fiqa", engines)
    arguments = (photos / "near-plain.png", "--engine", engine, "--backend", "onnxruntime", "--json", "-")
    result = score(*arguments)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert (document["detector"], document["preset"]) == ("mtcnn", "facenet")
    assert len(document["images"][0]["faces"]) == 1
    assert "faces are found by MTCNN, as the network's authors do" in result.err
    assert "MTCNN" not in score(*arguments, "--detector", "mtcnn").err
