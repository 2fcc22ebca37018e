"""Calibration images, activation ranges and the search for nodes that keep higher precision.

In use:

    from fiqa_calibration import folder_candidates, ladders

    for rung, picture in ladders([crop]):                  # uint8 BGR crop -> the crop, degraded step by step
        ...
"""

from fiqa_runtime.images.ladder import Rung, degrade, ladders

from fiqa_calibration.candidates import Candidate, folder_candidates, seeded_candidates
from fiqa_calibration.cropper import Cropper
from fiqa_calibration.dataset import CalibrationSet, choose
from fiqa_calibration.monotone import Monotony, monotony
from fiqa_calibration.parity_set import ParitySet
from fiqa_calibration.ranges import Ranges

__all__ = [
    "CalibrationSet",
    "Candidate",
    "Cropper",
    "Monotony",
    "ParitySet",
    "Ranges",
    "Rung",
    "choose",
    "degrade",
    "folder_candidates",
    "ladders",
    "monotony",
    "seeded_candidates",
]
