"""Photos through MTCNN as it is published: prepared by name and by file, in a plan, and against YuNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.data_set.set_folder import SetFolder, open_set
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector, PresetName
from fiqa_runtime.images.align import arcface_crop
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.agreement import spearman
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import write_recogniser
from tests.help.samples.mtcnn_engines import astronaut, export_mtcnn

YUNET = "face_detection_yunet_2023mar.onnx"
FILE = "engines/mtcnn-o.fp32.onnx"
PLAN = """
title = "Photos"
[[sets]]
name = "photos"
source = "photos"
detectors = {detectors}
preset = "cr-fiqa"
[[recognisers]]
name = "seeded"
network = "net.onnx"
preset = "arcface"
[[qualities]]
engine = "{engine}"
name = "seeded-net"
[discard]
fmr = [0.3]
bootstrap = 0
[run]
backend = "onnxruntime"
threads = 1
"""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_mtcnn(tmp_path_factory.mktemp("mtcnn") / "engines")


@pytest.fixture
def folder(engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `engines/` is, and photos: a portrait and its mirror image stand for two persons, each also blurred."""
    (tmp_path / "engines").symlink_to(engines)
    photo = read_image(astronaut())[:400, 60:460]
    for person, picture in enumerate((photo, np.ascontiguousarray(photo[:, ::-1]))):
        (tmp_path / f"photos/p{person}").mkdir(parents=True)
        for index, blur in enumerate((0, 2)):
            shown = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
            cv2.imwrite(str(tmp_path / f"photos/p{person}/{index}.png"), shown)
    cv2.imwrite(str(tmp_path / "photos/p0/empty.png"), np.full((200, 200, 3), 90, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_cut_by(data: SetFolder, finder: MtcnnDetector, photos: Path) -> bool:
    """Whether every crop is that of the face of the detector whose nose is nearest to the centre, but for JPEG."""
    assert data.names == ("p0/0", "p0/1", "p1/0", "p1/1")
    for name in data.names:
        photo = read_image(photos / f"{name}.png")
        centre = (np.array(photo.shape[1::-1]) - 1) / 2
        nearest = min(finder.detect(photo), key=lambda face: float(np.hypot(*(face.landmarks[2] - centre))))
        crop = arcface_crop(photo, nearest.landmarks)
        if np.abs(data.read(name).astype(int) - crop).max() > 12:
            return False
    return True


@pytest.mark.parametrize(
    ("detector", "options", "preset"),
    [("mtcnn", (), "facenet"), (FILE, (), "facenet"), ("mtcnn", ("--preset", "cr-fiqa"), "cr-fiqa")],
)
def test_photos_are_cut_as_mtcnn_finds_the_faces(
    evaluate: Invoke, folder: Path, detector: str, options: tuple[str, ...], preset: PresetName
) -> None:
    result = evaluate("prepare", "photos", "--out", "data", "--detector", detector, *options)
    assert result.ends_in("0 listed images are missing and 1 were refused, as p0/empty"), result.err
    data = open_set(folder / "data/photos")
    assert is_cut_by(data, MtcnnDetector(folder / "engines", preset), folder / "photos")
    other: PresetName = "cr-fiqa" if preset == "facenet" else "facenet"
    assert not is_cut_by(data, MtcnnDetector(folder / "engines", other), folder / "photos"), "presets differ"


def run(evaluate: Invoke, folder: Path, engine: Path, detectors: list[str]) -> Any:
    write_recogniser(folder / "net.onnx")
    (folder / "plan.toml").write_text(PLAN.format(detectors=json.dumps(detectors), engine=engine))
    result = evaluate("run", folder / "plan.toml", "--json", folder / "found.json")
    assert result.code == 0, result.err
    return json.loads((folder / "found.json").read_text("utf-8"))


def scores(folder: Path, digest: str) -> Any:
    """Those of a prepared set of the plan, by its quality file."""
    (data,) = [open_set(p) for p in (folder / "plan/sets").glob("*/photos") if p.parent.name == digest]
    files = (folder / "plan/scores").glob("*/seeded-net_photos.txt")
    return read_quality(next(f for f in files if str(data.path) in f.read_text("utf-8")), data.names).tolist()


def test_a_plan_takes_a_detector_beside_it(
    evaluate: Invoke, folder: Path, seeded_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    document = run(evaluate, folder, seeded_engine, [FILE])
    (place,) = (folder / "plan/sets").glob("*/photos")
    data = open_set(place)
    assert is_cut_by(data, MtcnnDetector(folder / "engines", "cr-fiqa"), folder / "photos")
    with Scorer(seeded_engine, "onnxruntime", threads=1) as scorer:
        direct = scorer.score([data.read(name) for name in data.names])
    assert scores(folder, place.parent.name) == pytest.approx(direct.tolist(), abs=2e-5)
    (part,) = document["discard"]
    assert (part["comparisons"]["genuine"], part["comparisons"]["impostor"]) == (2, 4)
    assert any("photos is not whole" in line and "1 refused" in line for line in document["could_not"])


def test_a_plan_sets_mtcnn_against_yunet(
    evaluate: Invoke, folder: Path, seeded_engine: Path, weights_dir: Path
) -> None:
    document = run(evaluate, folder, seeded_engine, [str(weights_dir / YUNET), "mtcnn"])
    places = sorted((folder / "plan/sets").glob("*/photos"), key=lambda path: path.stat().st_ctime_ns)
    yunet, mtcnn = (scores(folder, place.parent.name) for place in places)
    (row,) = document["detectors"]
    assert (row["second"], row["images"]) == ("mtcnn", 4)
    assert row["srcc"] == pytest.approx(spearman(np.array(yunet), np.array(mtcnn)))
    assert row["mean_difference"] == pytest.approx(np.mean(mtcnn) - np.mean(yunet))
