"""Whether a detector finds on another device what it finds on the processor; its file may have no canaries to tell."""

from __future__ import annotations

import numpy as np

from fiqa_runtime.errors import VerdictError
from fiqa_runtime.faces.detection import Detection, FaceFinder
from fiqa_runtime.images.sample_pictures import default_pictures

PICTURES = 4
"""Framings of the portrait that comes along in which faces are looked for."""
NEAR = 0.01
"""Most that a corner or a landmark may move, as a share of the face's longer side. Arithmetic in float32 moves them by
less than a thousandth; OpenVINO's bfloat16 on a processor by up to 6 %."""
SURE = 0.01
"""Most that a confidence may change."""


def refuse_other_faces(there: FaceFinder, here: FaceFinder, device: str) -> None:
    """Raise VerdictError unless `there`, on `device`, finds the faces that `here` finds on the processor."""
    for picture in default_pictures(PICTURES):
        found, expected = there.detect(picture), here.detect(picture)
        told = f"{len(found)} faces and not {len(expected)}"
        if len(found) == len(expected):
            told = next((told for pair in zip(found, expected, strict=True) if (told := _difference(*pair))), "")
        if told:
            raise VerdictError(
                f"on {device} the detector finds other faces than on the processor ({told}); take --device cpu"
            )


def _difference(found: Detection, expected: Detection) -> str:
    """What is different about two faces; empty where they are the same."""
    side = float(expected.box[2:].max())
    moved = max(np.abs(found.box - expected.box).max(), np.abs(found.landmarks - expected.landmarks).max()) / side
    if not moved <= NEAR:
        return f"moved by {100 * moved:.2g} % of the face"
    surer = abs(found.confidence - expected.confidence)
    return "" if surer <= SURE else f"confidence {found.confidence:.3f} and not {expected.confidence:.3f}"
