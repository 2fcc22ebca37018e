"""Mistakes in what the detector is given: other colours, or another detector altogether.

Landmarks move scores far more than any precision does, so a pipeline that looks right may still score other pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.diagnosis.hypotheses import Hypothesis
from fiqa_runtime.faces.detection import Detection, FaceFinder
from fiqa_runtime.images.preprocess import Image

Crop = Callable[[Image, NDArray[np.float32]], Image]
"""Photo and five landmarks -> the crop that the network takes."""
_DETECTOR_SWAPPED, _BOTH_SWAPPED = "detector saw swapped channels", "detector and network saw swapped channels"
_OTHER, _OTHER_SWAPPED = "other detector", "other detector saw swapped channels"


def detector_hypotheses(spec: InputSpec, other: str | None) -> list[Hypothesis]:
    """Mistakes that only photos show; `other` names the other detector that can be tried here."""
    ways = [
        ("the detector was fed the wrong colours", "red and blue exchanged for it alone", _DETECTOR_SWAPPED),
        ("RGB frames taken for BGR", "red and blue exchanged for detector and network alike", _BOTH_SWAPPED),
    ]
    if other is not None:
        ways += [
            ("another detector", other, _OTHER),
            ("another detector", f"{other}, and it was fed with red and blue exchanged", _OTHER_SWAPPED),
        ]
    return [Hypothesis(fault, detail, spec, pixels) for fault, detail, pixels in ways]


def detector_pixels(photo: Image, detector: FaceFinder, other: FaceFinder | None, crop: Crop) -> dict[str, Image]:
    """The largest face of a uint8 BGR photo, cut out after each of these mistakes; no entry where one finds no face."""
    swapped = np.ascontiguousarray(photo[:, :, ::-1])
    seen = {_DETECTOR_SWAPPED: (detector, swapped, photo), _BOTH_SWAPPED: (detector, swapped, swapped)}
    if other is not None:
        seen |= {_OTHER: (other, photo, photo), _OTHER_SWAPPED: (other, swapped, photo)}
    found = {}
    for key, (finder, searched, cut) in seen.items():
        faces = finder.detect(searched)
        if faces:
            found[key] = crop(cut, largest(faces).landmarks)
    return found


def largest(faces: list[Detection]) -> Detection:
    """The face whose box has the largest area."""
    return max(faces, key=lambda face: float(face.box[2] * face.box[3]))
