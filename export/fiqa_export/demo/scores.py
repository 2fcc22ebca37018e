"""What the demo shows of scores: the faces of photos, and how a score falls when its face is spoilt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.faces.drawing import draw_faces
from fiqa_runtime.faces.face_quality import Face, FaceQuality
from fiqa_runtime.images.ladder import STRENGTHS, degrade
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import rng

THRESHOLD = 0.5
"""Quality from which a face is accepted in the demo: eDifFIQA's scores are about 1 for good and 0 for ruined faces."""
SHOWN_KINDS = ("blur", "noise", "jpeg", "darkening", "occlusion")


@dataclass(frozen=True)
class Scored:
    """One photo with its faces."""

    path: Path
    faces: list[Face]
    crops: list[Image]
    """What the network saw of each face, uint8 BGR (112, 112, 3)."""
    annotated: Image
    """The photo with boxes, landmarks and scores."""

    def as_json(self) -> dict[str, Any]:
        """One entry of the demo's summary."""
        return {"photo": self.path, "qualities": [face.quality for face in self.faces]}


@dataclass(frozen=True)
class Ladder:
    """One face, spoilt more and more in one way."""

    kind: str
    crops: list[Image]
    scores: list[float]


def score_photos(files: list[Path], quality: FaceQuality) -> list[Scored]:
    """Find and score the faces of every photo."""
    scored = []
    for file in files:
        photo = read_image(file)
        faces = quality.assess(photo)
        crops = [quality.crop(photo, face.landmarks) for face in faces]
        scored.append(Scored(file, faces, crops, draw_faces(photo, faces, THRESHOLD)))
    return scored


def ladders_of(file: Path, quality: FaceQuality) -> list[Ladder]:
    """The surest face of a photo, degraded in each of :data:`SHOWN_KINDS` in steps from nothing to the utmost."""
    photo = read_image(file)
    crop = quality.crop(photo, quality.detector.detect(photo)[0].landmarks)
    found = []
    for kind in SHOWN_KINDS:
        crops = [degrade(crop, kind, step / STRENGTHS, rng(f"demo:ladder:{kind}"))[0] for step in range(STRENGTHS + 1)]
        found.append(Ladder(kind, crops, [float(score) for score in quality.scorer.score(crops)]))
    return found
