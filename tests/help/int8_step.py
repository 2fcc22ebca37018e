"""The int8 step on the network that takes a second, in a folder of the test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from fiqa_calibration.parity_set import ParitySet
from fiqa_export.int8.step import Int8Result, write_int8
from fiqa_export.models.inputs import reference_input
from fiqa_export.verdict.recipe import INT8
from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.images.seeded import seeded_image

from tests.help.samples.int8_network import PARITY, REFERENCE, SIDE

IMAGES = [seeded_image(i, SIDE, SIDE) for i in range(40)]


def step(folder: Path, calib: str = "seeded", budget: Budget = INT8.budget, **options: object) -> Int8Result:
    """The step in `folder`, which holds fp32.onnx; `calib` and all else as given."""
    arguments = {"parity": PARITY, "budget": budget, "cache": folder / "ranges.json", **options}
    return write_int8(REFERENCE, folder / "fp32.onnx", folder / "int8.onnx", calib, **arguments)  # type: ignore[arg-type]


def scores(path: Path, parity: ParitySet = PARITY) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.array([_feed_and_run(session, image) for image, _ in parity])


def _feed_and_run(session: ort.InferenceSession, image: np.ndarray) -> float:
    inputs = reference_input([image], REFERENCE.spec.input).numpy()
    return float(session.run(["score"], {"input": inputs})[0][0, 0])


def write_crops(folder: Path, images: list[np.ndarray] = IMAGES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return folder
