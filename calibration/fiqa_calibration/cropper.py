"""Photos or crops from disk -> crops for one network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from numpy.typing import NDArray

from fiqa_calibration.candidates import FacelessError, fits


class Cropper:
    """Reads pictures for the network of `spec`: crops as they are, from photos the face of highest confidence.

    :func:`fiqa_calibration.candidates.fits` decides what is a crop. Where five landmarks do not give the network's
    framing, every picture is left as it is. YuNet is loaded when the first photo comes. The landmarks of a photo are
    found once, however often the photo is read.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._detector: Detector | None = None
        self._landmarks: dict[Path, NDArray[np.float32]] = {}

    def __call__(self, path: Path) -> Image:
        """uint8 BGR: the picture (H, W, 3), or its face cut out as the network's framing says.

        Raises InputError where `path` cannot be read, FacelessError where it is a photo without a face, FetchError
        where a photo needs a detector that is not on this machine.
        """
        picture = read_image(path)
        cut = frame_of(self._spec).cut
        if cut is None or fits(picture, self._spec):
            return picture
        if path not in self._landmarks:
            self._landmarks[path] = self._find(picture, path)
        return cut(picture, self._landmarks[path], "least-squares")

    def _find(self, photo: Image, path: Path) -> NDArray[np.float32]:
        self._detector = self._detector or Detector()
        faces = self._detector.detect(photo)
        if not faces:
            raise FacelessError(f"{path} shows no face; leave it out")
        return faces[0].landmarks
