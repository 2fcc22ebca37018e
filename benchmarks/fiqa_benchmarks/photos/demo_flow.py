"""The way from photo to scored faces of OpenCV Zoo's eDifFIQA demo: OpenCV alone, one face after the other.

This is our own code, which does what that demo does: FaceDetectorYN on the whole photo, five-point alignment by least
median of squares, one crop at a time through `cv2.dnn` on the bare ONNX export.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.images.align import arcface_crop
from fiqa_runtime.images.preprocess import Image
from numpy.typing import NDArray

Rows = NDArray[np.float32]


class DemoFlow:
    """The flow of the demo. `detector` is a YuNet file, `network` an ONNX file that takes `spec`."""

    def __init__(self, detector: Path, network: Path, spec: InputSpec, min_confidence: float = 0.6) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(detector), "", (320, 320), min_confidence, 0.3, 5000)
        self._network = cv2.dnn.readNetFromONNX(str(network))
        self._spec = spec

    def assess(self, photo: Image) -> tuple[Rows, NDArray[np.float32]]:
        """Detections (N, 15) of a uint8 BGR photo, highest confidence first, and their scores (N,)."""
        faces = self.find(photo)
        return faces, np.array([self.score(crop) for crop in self.crops(photo, faces)], np.float32)

    def find(self, photo: Image) -> Rows:
        """The detections of :meth:`assess`."""
        height, width = photo.shape[:2]
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(photo)
        return np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)

    @staticmethod
    def crops(photo: Image, faces: Rows) -> list[Image]:
        """One uint8 BGR crop of 112 x 112 for each detection."""
        return [arcface_crop(photo, face[4:14].reshape(5, 2), "lmeds") for face in faces]

    def score(self, crop: Image) -> float:
        """The score of one uint8 BGR crop."""
        spec = self._spec
        mean, scale = spec.mean[0], 1 / spec.std[0]
        blob = cv2.dnn.blobFromImage(crop, scale, mean=(mean,) * 3, swapRB=spec.colour == "RGB")
        self._network.setInput(blob)
        return float(np.ravel(self._network.forward())[0])
