"""Light runtime of fiqa-edge: scores faces with any exported artefact; imports numpy and cv2 only.

from fiqa_runtime import Detector, FaceQuality, Scorer

scorer = Scorer("engines/ediffiqa-t.fp32.onnx")
scorer.score(crops)                                    # uint8 BGR crops -> float32 (N,)
FaceQuality(scorer, Detector()).assess(photo)          # uint8 BGR photo -> list[Face]
"""

from fiqa_runtime.errors import FiqaError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import Face, FaceQuality
from fiqa_runtime.scoring.scorer import Scorer

__all__ = ["Detection", "Detector", "Face", "FaceQuality", "FiqaError", "Scorer"]
