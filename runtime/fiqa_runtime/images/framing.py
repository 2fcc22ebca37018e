"""How a face has to sit in the crop of a network: one entry of :data:`FRAMES` for each framing that a card can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import Framing, InputSpec
from fiqa_runtime.images.align import Method, arcface_crop, face_box, ffhq_crop
from fiqa_runtime.images.preprocess import Image

Cutter = Callable[[Image, NDArray[np.floating], Method], Image]
"""uint8 BGR photo (H, W, 3), five landmarks (5, 2) in pixels, alignment -> uint8 BGR crop."""


@dataclass(frozen=True)
class Frame:
    """What a framing asks of a photo."""

    words: str
    """For people: what the crop shows."""
    cut: Cutter | None
    """Makes the crop from five landmarks; None where five landmarks do not give it."""
    on_template: bool = False
    """Whether the face is aligned to the ArcFace template: then the way to align it matters, and a ready crop has
    exactly the network's size."""
    landmarks: int = 5
    """Landmarks per face that the crop is made from; 0 where the network takes whole photos."""


FRAMES: dict[Framing, Frame] = {
    "arcface-112": Frame("a crop aligned by five landmarks to the ArcFace template", arcface_crop, on_template=True),
    "ffhq": Frame("the whole head framed as in FFHQ", lambda photo, landmarks, _: ffhq_crop(photo, landmarks)),
    "portrait-512": Frame("FaceXFormer's levelled portrait of 512 x 512", None, landmarks=68),
    "face-box": Frame("a part of a photo that may be a face", lambda photo, landmarks, _: face_box(photo, landmarks)),
    "photo": Frame("a whole photo", None, landmarks=0),
}


CROP_ASPECT = 1.25
"""A picture that is so much wider or taller than the network's input, in proportion, is hardly a crop of a face."""
CROP_SIZE = 8
"""Nor is one with sides so many times as long."""


def frame_of(spec: InputSpec) -> Frame:
    """The frame of a network's input."""
    return FRAMES[spec.framing]


def unlike_a_crop(width: int, height: int, spec: InputSpec) -> str:
    """Why a picture of that size is hardly a ready crop for a network with input `spec`, in words; empty where it may
    be one, and for networks that take whole photos or draw crops themselves."""
    if spec.height is None or spec.width is None or spec.sampling is not None or not frame_of(spec).landmarks:
        return ""
    across, down = width / spec.width, height / spec.height
    if max(across, down) <= CROP_ASPECT * min(across, down) and min(across, down) <= CROP_SIZE:
        return ""
    return (
        f"{width} x {height} pixels are squeezed to {spec.width} x {spec.height}; "
        "if it is a whole photo, leave --aligned out, and its faces are found"
    )
