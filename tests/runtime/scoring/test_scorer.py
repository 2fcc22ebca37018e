"""The scorer on every ONNX backend: same scores as torch, whatever else is in the batch."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.artefact.card import card_path
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.score_map import ScoreMap
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.errors import ArtefactError, CardError, DependencyError, InputError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test

from tests.help.places import GOLDEN

SCORES = json.loads((GOLDEN / "ediffiqa-t.json").read_text(encoding="utf-8"))


@pytest.fixture(params=ONNX_BACKENDS, scope="module")
def scorer(request: pytest.FixtureRequest, seeded_engine: Path) -> Scorer:
    return Scorer(seeded_engine, request.param)


def test_golden_scores(scorer: Scorer) -> None:
    crops = [seeded_image(i["image_index"], i["height"], i["width"]) for i in SCORES["inputs"]]
    np.testing.assert_allclose(scorer.score(crops), SCORES["score64"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [1, 3, 33])
def test_batches(scorer: Scorer, count: int) -> None:
    crops = [seeded_image(index, 112, 112) for index in range(count)]
    alone = np.concatenate([scorer.score([crop]) for crop in crops])
    np.testing.assert_allclose(scorer.score(crops), alone, atol=2e-7, rtol=0)
    assert alone.dtype == np.float32


def test_no_crops(scorer: Scorer) -> None:
    assert scorer.score([]).shape == (0,)


def test_outputs_of_no_crops(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="no crops to run the network on; give at least one"):
        scorer.outputs([])


def test_landmarks_that_nobody_takes(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="ediffiqa-t takes no landmarks"):
        scorer.score([seeded_image(0, 112, 112)], [np.zeros((68, 2))])


def test_a_picture_that_could_not_be_read(scorer: Scorer) -> None:
    with pytest.raises(InputError, match=r"got NoneType; cv2.imread gives None"):
        scorer.score([None])  # type: ignore[list-item]


def test_a_threshold_without_the_map_of_a_reduced_precision(scorer: Scorer) -> None:
    reduced = copy.copy(scorer)
    reduced.card = replace(scorer.card, precision="int8")
    assert scorer.threshold(0.5) == 0.5
    with pytest.raises(CardError, match="no map of float32 scores; export it again"):
        reduced.threshold(0.5)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_thresholds_that_are_not_finite(scorer: Scorer, threshold: float) -> None:
    with pytest.raises(InputError, match=f"the threshold is {threshold}"):
        scorer.threshold(threshold)
    with pytest.raises(InputError, match=f"the threshold is {threshold}"):
        ScoreMap((0.0, 1.0), (0.0, 1.0)).threshold(threshold)


def test_other_sizes_are_resized(scorer: Scorer) -> None:
    scores = scorer.score([seeded_image(0, 112, 112), seeded_image(0, 300, 200), seeded_image(0, 1, 1)])
    assert np.isfinite(scores).all()


def test_self_test_passes_and_notices_a_changed_reference(scorer: Scorer, tmp_path: Path) -> None:
    assert self_test(scorer).passed
    copy = tmp_path / scorer.path.name
    shutil.copy(scorer.path, copy)
    document = json.loads(card_path(scorer.path).read_text(encoding="utf-8"))
    document["canaries"][2]["values"]["score"][0] += 0.01
    card_path(copy).write_text(json.dumps(document))
    result = self_test(Scorer(copy, scorer.backend.name))
    assert not result.passed
    assert "FAILED" in str(result)


def test_self_test_notices_wrong_preprocessing(scorer: Scorer) -> None:
    assert not self_test(scorer.with_input(replace(scorer.card.input, colour="BGR"))).passed


def test_map_of_a_network_without_one(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="no quality maps"):
        scorer.map([seeded_image(0, 112, 112)])


@pytest.mark.parametrize(
    "crop", [np.zeros((112, 112), np.uint8), np.zeros((112, 112, 4), np.uint8), np.zeros((8, 8, 3))]
)
def test_wrong_crops(scorer: Scorer, crop: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8 BGR"):
        scorer.score([crop])


def test_unknown_backend(seeded_engine: Path) -> None:
    with pytest.raises(InputError, match="unknown backend 'caffe'"):
        Scorer(seeded_engine, "caffe")


def test_backend_that_is_not_installed(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ONNX_BACKENDS, "onnxruntime", "not_installed_here")
    with pytest.raises(DependencyError, match=r"pip install 'fiqa-edge\[onnxruntime\]'"):
        Scorer(seeded_engine, "onnxruntime")


def test_missing_artefact_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no artefact at ifqa.fp32.onnx or engines/ifqa.fp32.onnx.*fiqa-export ifqa"):
        find_artefact("ifqa.fp32.onnx")


def test_bare_name_is_found_in_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeded_engine: Path) -> None:
    (tmp_path / "engines").mkdir()
    shutil.copy(seeded_engine, tmp_path / "engines/x.onnx")
    monkeypatch.chdir(tmp_path)
    assert find_artefact("x.onnx") == Path("engines/x.onnx")


def test_missing_data_file(seeded_engine: Path, tmp_path: Path) -> None:
    copy = tmp_path / seeded_engine.name
    shutil.copy(seeded_engine, copy)
    document = json.loads(card_path(seeded_engine).read_text(encoding="utf-8"))
    document["files"]["weights.data"] = "0" * 64
    card_path(copy).write_text(json.dumps(document))
    with pytest.raises(ArtefactError, match=r"weights.data is missing"):
        Scorer(copy)


def test_self_test_without_canaries(seeded_engine: Path, tmp_path: Path) -> None:
    copy = tmp_path / seeded_engine.name
    shutil.copy(seeded_engine, copy)
    card_path(copy).write_text(
        json.dumps({**json.loads(card_path(seeded_engine).read_text(encoding="utf-8")), "canaries": []})
    )
    with pytest.raises(CardError, match="no canaries"):
        self_test(Scorer(copy))


@pytest.mark.parametrize("limits", [{}, {"map": 1.0}, {"score": 1.0, "map": 1.0}])
def test_self_test_that_would_test_nothing(seeded_engine: Path, tmp_path: Path, limits: dict[str, float]) -> None:
    copy = tmp_path / seeded_engine.name
    shutil.copy(seeded_engine, copy)
    document = json.loads(card_path(seeded_engine).read_text(encoding="utf-8"))
    card_path(copy).write_text(json.dumps({**document, "canary_tolerance": limits}))
    with pytest.raises(CardError, match="does not say how far each output of its canaries may be off"):
        self_test(Scorer(copy, "onnxruntime"))
