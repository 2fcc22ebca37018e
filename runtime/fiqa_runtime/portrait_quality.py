"""Photo -> faces with their quality for DSL-FIQA: detect, level and frame, find 68 landmarks, score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.detector import Detection, Detector
from fiqa_runtime.errors import InputError
from fiqa_runtime.pipeline import Face
from fiqa_runtime.portrait import MARGIN, Landmarker, portrait_landmarks, upright_portrait
from fiqa_runtime.preprocess import Image
from fiqa_runtime.scorer import Scorer

LANDMARKERS = ("facexformer-512", "facexformer")
"""The network that levels the eyes and the one whose landmarks are scored."""


class PortraitQuality:
    """Scores the faces of whole photos as DSL-FIQA's own preparation frames them, but for the detector.

    The authors take MTCNN's largest face; this takes every face of YuNet, whose boxes differ, so scores are not
    comparable with published ones. `landmarkers` are FaceXFormer at 512 x 512 and at 224 x 224; `margin` is the
    per cent of the box added on each side (the authors use 80 and 100).
    """

    def __init__(
        self, scorer: Scorer, detector: Detector, landmarkers: tuple[Scorer, Scorer], margin: float = MARGIN
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
        return {"detector": self.detector.path.name, "framing": "portrait-512", "margin": self.margin}

    def assess(self, image: Image) -> list[Face]:
        """The faces of a uint8 BGR photo, highest detector confidence first; an empty list where there is none."""
        return self.rate(self.find(image))

    def find(self, image: Image) -> tuple[Image, list[Detection]]:
        """The first part of :meth:`assess`; may run in one thread while :meth:`rate` runs in another."""
        return image, self.detector.detect(image)

    def rate(self, found: tuple[Image, list[Detection]]) -> list[Face]:
        """The rest of :meth:`assess`."""
        image, faces = found
        return [self._assess(image, face) for face in faces]

    def portrait(self, image: Image, face: Detection) -> tuple[Image, NDArray[np.float32]]:
        """The uint8 BGR (512, 512, 3) picture of a face that is scored, and its 68 landmarks (x, y) in pixels."""
        left, top, width, height = face.box.tolist()
        first, second = (_landmark_function(scorer) for scorer in self.landmarkers)
        picture = upright_portrait(image, (left, top, left + width, top + height), first, self.margin)
        return picture, portrait_landmarks(picture, second)

    def _assess(self, image: Image, face: Detection) -> Face:
        picture, landmarks = self.portrait(image, face)
        quality = float(self.scorer.score([picture], [landmarks])[0])
        return Face(face.box, face.landmarks, face.confidence, quality)


def open_landmarkers(engine: Path, backend: str, threads: int | None) -> tuple[Scorer, Scorer]:
    """FaceXFormer's two artefacts from the folder of `engine`; raises InputError where one is missing."""
    found = [next(iter(sorted(engine.parent.glob(f"{name}.*.onnx"))), None) for name in LANDMARKERS]
    if found[0] is None or found[1] is None:
        raise InputError(
            f"photos need FaceXFormer's landmarks for this network: export {' and '.join(LANDMARKERS)} to "
            f"{engine.parent}, or score ready 512 x 512 portraits with --aligned"
        )
    return Scorer(found[0], backend, threads), Scorer(found[1], backend, threads)


def _landmark_function(scorer: Scorer) -> Landmarker:
    return lambda image: scorer.outputs([image])["landmarks"]
