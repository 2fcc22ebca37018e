"""int8 of a trained network: eDifFIQA(T) with the stand-in weights, calibrated on crops as it was trained on.

It is judged on faces that neither its training nor its calibration nor the search for its mixture has seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from fiqa_calibration.ladder import ladders
from fiqa_export.pipeline import Exported, Options, export
from fiqa_export.recipe import INT8
from fiqa_runtime.agreement import agree
from fiqa_runtime.preprocess import Image
from fiqa_runtime.scorer import Scorer
from fiqa_runtime.seeded import rng
from rtx_builds import build_rtx, needs_rtx

pytestmark = pytest.mark.long
FOLDER = Path(__file__).parents[1] / "weights" / "standin"
FLIPS = 0.03
"""More than the default: 1 % leaves about 75 % of the operations in int8."""


@pytest.fixture(scope="module")
def scripts() -> tuple[ModuleType, ModuleType]:
    """The stand-in's samples and test photos."""
    pytest.importorskip("skimage", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    sys.path.insert(0, str(FOLDER))
    try:
        import heldout
        import samples
    finally:
        sys.path.remove(str(FOLDER))
    return samples, heldout


@pytest.fixture(scope="module")
def faces(scripts: tuple[ModuleType, ModuleType], images_dir: Path) -> list[Image]:
    """Aligned crops of fifteen faces; the first eight judge the search, the others what it found."""
    crops = list(scripts[1].unseen_crops(images_dir).values())
    assert len(crops) == 15
    return crops


@pytest.fixture(scope="module")
def unseen(faces: list[Image]) -> list[Image]:
    return [image for _, image in ladders(faces[8:])]


@pytest.fixture(scope="module")
def exported(
    scripts: tuple[ModuleType, ModuleType], faces: list[Image], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    samples, _ = scripts
    crops, _ = samples.batch(samples.load_pictures(), 128, rng("int8 of the stand-in"))
    calibration = write(tmp_path_factory.mktemp("crops"), crops)
    judged = write(tmp_path_factory.mktemp("faces"), faces[:8])
    recipe = replace(INT8, budget=replace(INT8.budget, flips=FLIPS))
    options = Options(recipe, judged, str(calibration))
    return export("ediffiqa-t", "standin", tmp_path_factory.mktemp("standin"), options)


def write(folder: Path, crops: Sequence[Image]) -> Path:
    for index, crop in enumerate(crops):
        cv2.imwrite(str(folder / f"{index:03}.png"), crop)
    return folder


def test_most_of_it_computes_in_int8(exported: Exported, record_property: Callable[[str, object], None]) -> None:
    facts = exported.card.conversion
    record_property("share of the multiply-accumulates", facts["mac_share"])
    assert facts["fitted"]
    assert facts["mac_share"] >= 0.8
    assert facts["bytes_share"] <= 0.3


def test_ranking_of_unseen_faces_survives(
    exported: Exported, unseen: list[Image], record_property: Callable[[str, object], None]
) -> None:
    fp32 = export("ediffiqa-t", "standin", exported.path.parent).path
    with Scorer(fp32, "onnxruntime") as exact, Scorer(exported.path, "onnxruntime") as reduced:
        found = agree(exact.score(unseen), reduced.score(unseen))
    record_property("on unseen faces", str(found))
    assert found.srcc >= 0.998
    assert found.flips[0.10] <= FLIPS


def test_openvino_agrees_with_onnxruntime(exported: Exported, unseen: list[Image]) -> None:
    pytest.importorskip("openvino", reason="pip install 'fiqa-edge[openvino]'")
    with Scorer(exported.path, "onnxruntime") as one, Scorer(exported.path, "openvino") as other:
        found = agree(one.score(unseen), other.score(unseen))
    assert found.srcc >= 0.999
    assert found.max_abs <= 0.02 * found.score_range


def test_tensorrt_rtx_builds_it(exported: Exported, tmp_path: Path) -> None:
    needs_rtx()
    plan = tmp_path / "ediffiqa-t.int8.plan"
    card = build_rtx(exported.path, exported.card, plan)
    assert plan.stat().st_size > 1_000_000
    assert card.precision == "int8"


def test_manifest_names_every_image(exported: Exported) -> None:
    manifest = json.loads((exported.path.parent / "ediffiqa-t.calibration.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == exported.card.conversion["calibration"]
    assert len(manifest["images"]) == exported.card.conversion["images"]
    assert not np.isnan([image["score"] for image in manifest["images"]]).any()
