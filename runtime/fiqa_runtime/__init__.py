"""Light runtime of fiqa-edge: scores faces with any exported artefact; imports numpy and cv2 only.

In use:

    from fiqa_runtime import Detector, FaceQuality, Scorer

    scorer = Scorer("engines/ediffiqa-t.fp32.onnx")
    scorer.score(crops)                                    # uint8 BGR crops -> float32 (N,)
    FaceQuality(scorer, Detector()).assess(photo)          # uint8 BGR photo -> list[Face]

Names are loaded when they are first used, so that a command can say in one line that OpenCV is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fiqa_runtime.artefact.card import Card, read_card
    from fiqa_runtime.errors import (
        ArtefactError,
        CardError,
        CheckpointError,
        DependencyError,
        FetchError,
        FiqaError,
        InputError,
        UnsupportedError,
        VerdictError,
    )
    from fiqa_runtime.faces.detection import Detection, FaceFinder
    from fiqa_runtime.faces.detector import Detector
    from fiqa_runtime.faces.face_quality import Face, FaceQuality, LeftOutError
    from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
    from fiqa_runtime.faces.portrait_quality import PortraitQuality
    from fiqa_runtime.images.align import arcface_crop, ffhq_crop
    from fiqa_runtime.images.reading import read_image
    from fiqa_runtime.scoring.agreement import Agreement, agree
    from fiqa_runtime.scoring.scorer import Scorer
    from fiqa_runtime.scoring.selftest import SelfTest, self_test

_MODULES = {
    "Card": "fiqa_runtime.artefact.card",
    "read_card": "fiqa_runtime.artefact.card",
    "ArtefactError": "fiqa_runtime.errors",
    "CardError": "fiqa_runtime.errors",
    "CheckpointError": "fiqa_runtime.errors",
    "DependencyError": "fiqa_runtime.errors",
    "FetchError": "fiqa_runtime.errors",
    "FiqaError": "fiqa_runtime.errors",
    "InputError": "fiqa_runtime.errors",
    "UnsupportedError": "fiqa_runtime.errors",
    "VerdictError": "fiqa_runtime.errors",
    "Detection": "fiqa_runtime.faces.detection",
    "FaceFinder": "fiqa_runtime.faces.detection",
    "Detector": "fiqa_runtime.faces.detector",
    "Face": "fiqa_runtime.faces.face_quality",
    "FaceQuality": "fiqa_runtime.faces.face_quality",
    "LeftOutError": "fiqa_runtime.faces.face_quality",
    "MtcnnDetector": "fiqa_runtime.faces.mtcnn_detector",
    "PortraitQuality": "fiqa_runtime.faces.portrait_quality",
    "arcface_crop": "fiqa_runtime.images.align",
    "ffhq_crop": "fiqa_runtime.images.align",
    "read_image": "fiqa_runtime.images.reading",
    "Agreement": "fiqa_runtime.scoring.agreement",
    "agree": "fiqa_runtime.scoring.agreement",
    "Scorer": "fiqa_runtime.scoring.scorer",
    "SelfTest": "fiqa_runtime.scoring.selftest",
    "self_test": "fiqa_runtime.scoring.selftest",
}

__version__ = "0.1.0"

__all__ = [
    "Agreement",
    "ArtefactError",
    "Card",
    "CardError",
    "CheckpointError",
    "DependencyError",
    "Detection",
    "Detector",
    "Face",
    "FaceFinder",
    "FaceQuality",
    "FetchError",
    "FiqaError",
    "InputError",
    "LeftOutError",
    "MtcnnDetector",
    "PortraitQuality",
    "Scorer",
    "SelfTest",
    "UnsupportedError",
    "VerdictError",
    "__version__",
    "agree",
    "arcface_crop",
    "ffhq_crop",
    "read_card",
    "read_image",
    "self_test",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
