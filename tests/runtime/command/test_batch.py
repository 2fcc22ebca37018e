"""Many photos: what one of them cannot give stops neither the others nor its own other faces; CSV keeps to itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import fiqa_runtime.cli
import numpy as np
import pytest
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.command.batch import score_photos
from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import FaceQuality, LeftOutError
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Invoke, invoker

LANDMARKS = np.array([[40, 40], [80, 42], [60, 60], [45, 80], [76, 81]], np.float32)
BOX = np.array([30, 20, 60, 70], np.float32)
GOOD, BAD = Detection(BOX, LANDMARKS, 0.9), Detection(BOX, np.full((5, 2), 50, np.float32), 0.8)


class Faces:
    """A detector that finds what a test says, photo after photo."""

    path = Path("yunet.onnx")
    engine = "onnxruntime"

    def __init__(self, *photos: list[Detection] | Exception) -> None:
        self.photos = list(photos)

    def detect(self, image: np.ndarray) -> list[Detection]:
        found = self.photos.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class Scores:
    """Scores every crop 0.5, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.card = SimpleNamespace(input=MODELS["ediffiqa-t"].input)
        self.error = error

    def score(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        if self.error:
            raise self.error
        return np.full(len(crops), 0.5, np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path in paths:
        cv2.imwrite(str(path), seeded_image(0, 150, 150))
    return paths


def results(photos: list[Path], faces: Any, scores: Any) -> list[ImageResult]:
    return [result for result, _ in score_photos(photos, FaceQuality(scores, faces))]


def test_errors_of_the_search_name_the_photo(photos: list[Path]) -> None:
    found = results(photos, Faces([GOOD], InputError("no good; take another"), [GOOD]), Scores())
    assert [str(result.error) for result in found] == ["None", f"{photos[1]}: no good; take another", "None"]


def test_scores_that_are_no_number_name_the_photo(photos: list[Path]) -> None:
    found = results(photos, Faces(*[[GOOD]] * 3), Scores(ArtefactError("no number; test it")))
    assert [str(result.error) for result in found] == [f"{photo}: no number; test it" for photo in photos]
    assert all(isinstance(result.error, ArtefactError) for result in found)


def test_a_face_that_cannot_be_cut_out_leaves_the_others(photos: list[Path]) -> None:
    some, none, whole = results(photos, Faces([GOOD, BAD, GOOD], [BAD], [GOOD]), Scores())
    assert (some.error, len(some.faces or ())) == (None, 2)
    assert str(some.left_out).startswith(f"{photos[0]}: 1 of 3 faces cannot be scored: the landmarks coincide")
    assert some.as_json()["left_out"] == str(some.left_out)
    assert str(none.error).startswith(f"{photos[1]}: the landmarks coincide")
    assert whole.left_out is None
    assert "left_out" not in whole.as_json()


def test_the_library_is_told_and_given_the_others() -> None:
    with pytest.raises(LeftOutError, match="1 of 2 faces") as caught:
        FaceQuality(Scores(), Faces([BAD, GOOD])).assess(seeded_image(0, 150, 150))
    assert [face.quality for face in caught.value.faces] == [0.5]


def test_the_command_says_what_it_left_out(
    photos: list[Path],
    seeded_engine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "fiqa_runtime.command.settings.Detector", lambda *arguments, **options: Faces([GOOD, BAD], [GOOD], [GOOD])
    )
    score = invoker(fiqa_runtime.cli.main, capsys, monkeypatch)
    result = score(*photos, "--engine", seeded_engine, "--backend", "onnxruntime", "--csv", tmp_path / "s.csv")
    assert result.ends_in("0.png: 1 of 2 faces cannot be scored"), result
    assert len((tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize("source", ["0", "rtsp://camera:554/one", "clip.mp4", "videotestsrc ! appsink"])
def test_streams_are_sent_to_the_other_command(score: Invoke, source: str) -> None:
    shown = f"'{source}'" if " " in source else source
    words = f"{source} is a stream and not a photo; fiqa-watch {shown} --engine FILE watches it"
    assert score(source, "--engine", "x.onnx").is_one_line(words)
