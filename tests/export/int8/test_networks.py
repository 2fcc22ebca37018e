"""int8 for every network of the registry under seeded weights, and for the published YuNet.

A new network is covered by its zoo entry alone. Few images, so that numbers are rough; those of more than 20 million
parameters run with ``-m long`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fiqa_calibration.parity_set import ParitySet, squared
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.graph.files import size_of
from fiqa_export.graph.loading import open_graph
from fiqa_export.graph.to_onnx import export_onnx
from fiqa_export.int8 import calibration
from fiqa_export.int8.step import Int8Result, write_int8
from fiqa_export.models import Reference, build
from fiqa_export.models.inputs import graph_inputs
from fiqa_export.verdict.recipe import INT8
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.faces.detection import intersection_over_union
from fiqa_runtime.faces.yunet import Run, YunetDecoder
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.agreement import agree, pearson

from tests.help.folders import brief_folder
from tests.help.registry import SLOW, by_size

CONVOLUTIONAL = ("ediffiqa", "cr_fiqa", "ifqa")
"""Families whose int8 files take at most 30 % of the bytes; YuNet's graph alone is as large as its weights."""
THRESHOLD, MOVES = 0.6, 0.05
"""The detector's threshold, and how far a face's score may move: one that is nearer to it may come or go."""


@dataclass(frozen=True)
class Converted:
    reference: Reference
    fp32: Path
    int8: Path
    result: Int8Result


@pytest.fixture(scope="module", params=by_size(long=SLOW))
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converted]:
    """Each network converted once, calibrated on 32 images; its files go before the next one comes."""
    with brief_folder(tmp_path_factory, request.param) as folder:
        yield convert_seeded(load_seeded(build(request.param)), folder)


def convert_seeded(reference: Reference, folder: Path) -> Converted:
    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    export_onnx(reference, fp32)
    parity = ParitySet(image_count(reference), [], reference.calibration_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "OPERATIONS", 0)
        patch.setattr(calibration, "JUDGED", 8)
        result = write_int8(reference, fp32, int8, "seeded", parity, INT8.budget, folder / "ranges.json")
    return Converted(reference, fp32, int8, result)


def image_count(reference: Reference) -> int:
    return 60 if reference.spec.macs < 3e9 and reference.spec.task == "quality" else 8


def outputs(path: Path, reference: Reference, first: int, count: int) -> list[Arrays]:
    height, width = reference.calibration_size
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in reference.spec.outputs]
    feeds = (graph_inputs(reference, seeded_image(i, height, width)) for i in range(first, first + count))
    return [dict(zip(names, session.run(names, feed), strict=True)) for feed in feeds]


def test_is_within_its_budget(converted: Converted, record_property: Callable[[str, object], None]) -> None:
    result = converted.result
    assert result.search.chosen.passed
    record_property("chosen", str(result.search.chosen.judged))
    record_property("share of the multiply-accumulates", result.conversion.mac_share)
    onnx.checker.check_model(str(converted.int8), full_check=True)


def test_size(converted: Converted, record_property: Callable[[str, object], None]) -> None:
    share = size_of(converted.int8) / size_of(converted.fp32)
    record_property("share of the bytes", share)
    assert share == converted.result.conversion.bytes_share < 1
    if converted.reference.spec.family in CONVOLUTIONAL:
        assert share <= 0.30


def test_unseen_images_keep_their_order(converted: Converted) -> None:
    """Other seeded images than those that the mixture was chosen on: rank correlation, or that of values."""
    reference, count = converted.reference, image_count(converted.reference)
    expected, actual = (outputs(path, reference, 500, count) for path in (converted.fp32, converted.int8))
    for output in reference.spec.outputs:
        pairs = [(e[output.name].ravel(), a[output.name].ravel()) for e, a in zip(expected, actual, strict=True)]
        if output.kind == "score":
            columns = (np.array([float(values[0]) for values in column]) for column in zip(*pairs, strict=True))
            found = agree(*columns)
            assert found.srcc >= 0.98 if count >= 60 else found.pearson >= 0.9
        else:
            least = 0.97
            if expected[0][output.name].ndim == 2 and output.kind == "head":  # a few values per image, as a score
                pairs, least = list(zip(*(np.stack(column).T for column in zip(*pairs, strict=True)), strict=True)), 0.9
            assert min(pearson(e.astype(float), a.astype(float)) for e, a in pairs) >= least


def test_biases_stay_float_and_levels_are_symmetric(converted: Converted) -> None:
    quantisers = [n for n in open_graph(converted.int8).graph if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert quantisers
    for node in quantisers:
        zero = node.inputs[2]
        assert zero is not None and zero.const_value is not None
        assert zero.const_value.numpy().dtype == np.int8
        assert not zero.const_value.numpy().any()


@pytest.mark.long
@pytest.mark.parametrize("name", ["yunet-s", "yunet-n"])
def test_detections_of_the_published_yunet(
    name: str,
    images_dir: Path,
    weights_dir: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """The authors' weights find the same faces in int8: IoU >= 0.9, |d score| <= 0.05."""
    reference, _ = load_reference(name, str(weights_dir / (name.replace("-", "_") + ".pth")))
    paths = sorted(images_dir.rglob("*.*g"))[::2]
    photos = [photo for path in paths if (photo := _photo(path)) is not None]
    crops = tmp_path / "photos"
    crops.mkdir()
    for index, photo in enumerate(photos):
        for gain in (0.4, 0.7, 1.0):
            cv2.imwrite(str(crops / f"{index:02}_{gain}.png"), np.rint(gain * photo).astype(np.uint8))
    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    export_onnx(reference, fp32)
    parity = ParitySet(0, [squared(photo) for photo in photos[::3]], reference.calibration_size)
    budget = INT8.budget_for("official")
    result = write_int8(reference, fp32, int8, str(crops), parity, budget, tmp_path / "ranges.json")
    assert result.conversion.bytes_share < 0.6
    record_property("share of the multiply-accumulates", result.conversion.mac_share)
    before, after = ([YunetDecoder(_run(path)).rows(photo) for photo in photos] for path in (fp32, int8))
    assert sum(map(len, before)) >= 12
    for expected, actual in zip(before, after, strict=True):
        for faces, others in ((expected, actual), (actual, expected)):
            for face in (row for row in faces if row[14] >= THRESHOLD + MOVES):
                overlaps = intersection_over_union(face[:4], others[:, :4])
                nearest = others[overlaps.argmax()]
                assert overlaps.max() >= 0.9
                assert abs(face[14] - nearest[14]) <= MOVES


def _run(path: Path) -> Run:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda blob: dict(zip(names, session.run(names, {"input": blob}), strict=True))


def _photo(path: Path) -> Image | None:
    photo = cv2.imread(str(path))
    if photo is None or min(photo.shape[:2]) < 64:
        return None
    shrink = min(1.0, 480 / max(photo.shape[:2]))
    return np.asarray(cv2.resize(photo, None, fx=shrink, fy=shrink), np.uint8)
