"""Photos to crops as for Adience: a detector, the face whose nose is nearest to the centre, five-point alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fiqa_runtime.artefact.zoo import GROUPS
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import FaceFinder
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector, check_preset
from fiqa_runtime.images.align import Method, arcface_crop
from fiqa_runtime.images.preprocess import Image

YUNET, MTCNN = "yunet", "mtcnn"
NOSE = 2


def is_mtcnn(detector: str) -> bool:
    """Whether `detector` is MTCNN, by name or by one of its files."""
    return detector == MTCNN or Path(detector).name.startswith(GROUPS["mtcnn"])


def open_finder(detector: str, preset: str | None, threads: int | None = None) -> FaceFinder:
    """The detector called `yunet` or `mtcnn`, or in a file of either; `preset` says how MTCNN is used.

    Raises InputError where the preset is given for another detector, and what the detectors raise.
    """
    if is_mtcnn(detector):
        path = None if detector == MTCNN else detector
        return MtcnnDetector(path, check_preset(preset or "facenet"), threads=threads)
    if preset is not None:
        raise InputError("--preset says how MTCNN is used; add --detector mtcnn or leave it out")
    return Detector(None if detector == YUNET else detector, threads=threads)


def central_crop(image: Image, finder: FaceFinder, method: Method = "least-squares") -> Image:
    """The aligned crop (112, 112, 3) of the face whose nose is nearest to the centre of a uint8 BGR photo.

    Raises InputError where no face is found.
    """
    faces = finder.detect(image)
    if not faces:
        raise InputError("no face was found; leave the photo out, or try another --detector")
    centre = (np.array(image.shape[1::-1]) - 1) / 2
    distances = [float(np.hypot(*(face.landmarks[NOSE] - centre))) for face in faces]
    return arcface_crop(image, faces[int(np.argmin(distances))].landmarks, method)
