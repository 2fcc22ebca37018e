"""Photo -> faces with their quality for DSL-FIQA: detect, level and frame, find 68 landmarks, score."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.backends.devices import PLAN_BACKEND
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection, FaceFinder, finder_settings
from fiqa_runtime.faces.face_quality import Face, without_refused
from fiqa_runtime.images.photo import Photo, as_image
from fiqa_runtime.images.portrait import MARGIN, Landmarker, portrait_landmarks, upright_portrait
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer

LANDMARKERS = ("facexformer-512", "facexformer")
"""The network that levels the eyes and the one whose landmarks are scored."""


class PortraitQuality:
    """Scores the faces of whole photos, framed as in DSL-FIQA's own preparation.

    The authors take the largest face of MTCNN; this class takes every face of `detector`. Scores can be compared with
    published ones only where that is an :class:`fiqa_runtime.faces.mtcnn_detector.MtcnnDetector`, since other detectors
    give other boxes. `landmarkers` are
    FaceXFormer at 512 x 512 and at 224 x 224; `margin` is the per cent of the box added on each side (the authors use
    80 and 100).
    """

    def __init__(
        self, scorer: Scorer, detector: FaceFinder, landmarkers: tuple[Scorer, Scorer], margin: float = MARGIN
    ) -> None:
        self.scorer = scorer
        self.detector = detector
        self.landmarkers = landmarkers
        self.margin = margin

    crop: None = None
    """Portraits are not made from five landmarks."""

    @property
    def settings(self) -> dict[str, Any]:
        """What a result must say about how its faces were found and cut out."""
        return {
            **finder_settings(self.detector),
            "landmarkers": [scorer.path.name for scorer in self.landmarkers],
            "framing": "portrait-512",
            "margin": self.margin,
        }

    def assess(self, photo: Photo) -> list[Face]:
        """The faces of a photo, highest detector confidence first; an empty list where there is none.

        `photo` is uint8 BGR (H, W, 3), the path of a file, or a Pillow picture. Raises InputError where no face can be
        scored, LeftOutError, which holds the others, where some cannot.
        """
        return self.begin(as_image(photo))()

    def begin(self, image: Image) -> Callable[[], list[Face]]:
        """The first half of :meth:`assess`, which finds the faces; what it returns is the second, which scores them."""
        return partial(self._rate, image, self.detector.detect(image))

    def _rate(self, image: Image, detections: list[Detection]) -> list[Face]:
        faces: list[Face] = []
        refused: list[InputError] = []
        for face in detections:
            try:
                faces.append(self._assess(image, face))
            except InputError as error:
                refused.append(error)
        return without_refused(faces, refused)

    def portrait(self, image: Image, face: Detection) -> tuple[Image, NDArray[np.float32]]:
        """The uint8 BGR (512, 512, 3) picture of a face that is scored, and its 68 landmarks (x, y) in pixels."""
        left, top, width, height = face.box.tolist()
        first, second = (_landmark_function(scorer) for scorer in self.landmarkers)
        picture = upright_portrait(image, (left, top, left + width, top + height), first, self.margin)
        return picture, portrait_landmarks(picture, second)

    def _assess(self, image: Image, face: Detection) -> Face:
        picture, landmarks = self.portrait(image, face)
        quality = float(self.scorer.score([picture], [landmarks])[0])
        return Face(face.box, face.landmarks, face.confidence, quality, picture)


def open_landmarkers(
    engine: Path, backend: str, threads: int | None, device: str | None = None
) -> tuple[Scorer, Scorer]:
    """FaceXFormer's two artefacts from the folder of `engine`, in `backend` or, where that runs plans, in `auto`, on
    `device`.

    Each is the fp32 file, or the only other one. Raises InputError where one is missing or several others are there.
    """
    first, second = (_landmarker(engine.parent, name) for name in LANDMARKERS)
    backend = "auto" if backend == PLAN_BACKEND else backend
    return Scorer(first, backend, threads, device=device), Scorer(second, backend, threads, device=device)


def _landmarker(folder: Path, name: str) -> Path:
    exact = folder / f"{name}.fp32.onnx"
    found = [exact] if exact.is_file() else sorted(folder.glob(f"{name}.*.onnx"))
    if not found:
        raise InputError(
            f"photos need FaceXFormer's landmarks for this network: export {' and '.join(LANDMARKERS)} to "
            f"{folder}, or score ready 512 x 512 portraits with --aligned"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder} holds {names}, and nothing says which to use; leave one, or export {exact.name}")
    return found[0]


def _landmark_function(scorer: Scorer) -> Landmarker:
    return lambda image: scorer.outputs([image])["landmarks"]
