"""Light runtime of fiqa-edge: scores faces with any exported artefact; imports numpy and cv2 only.

In use:

    from fiqa_runtime import Detector, FaceQuality, Scorer

    scorer = Scorer("engines/ediffiqa-t.fp32.onnx")
    scorer.score(crops)                                    # uint8 BGR crops -> float32 (N,)
    FaceQuality(scorer, Detector()).assess(photo)          # uint8 BGR photo -> list[Face]
"""

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
