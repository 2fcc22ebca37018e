"""Damaged cards and ONNX files: refused, or with the very scores of the whole file. Detectors break elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.artefact.card import Card, card_path, has_card, read_card
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.onnx_bytes.external import external_files
from fiqa_runtime.onnx_bytes.free_size import free_size
from fiqa_runtime.onnx_bytes.prelu import for_onnxruntime
from fiqa_runtime.scoring.scorer import Scorer
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import cases, damaged, edits, is_done_or_one_line

CROP = seeded_image(0, 112, 112)


@pytest.fixture(scope="module")
def right(seeded_engine: Path) -> np.ndarray:
    with Scorer(seeded_engine, "onnxruntime", threads=1) as scorer:
        return scorer.score([CROP])


@given(changes=st.lists(edits(), min_size=1, max_size=3))
@cases("cards")
def test_cards(seeded_engine: Path, changes: list[object]) -> None:
    text = card_path(seeded_engine).read_bytes()
    for change in changes:
        assert callable(change)
        text = change(text)
    card = is_done_or_one_line(lambda: Card.from_json(text, "card"))
    assert card is None or Card.from_json(card.to_json(), "again") == card


@given(
    changes=st.lists(edits(), min_size=1, max_size=3), beside=st.booleans(), suffix=st.sampled_from([".onnx", ".X", ""])
)
@cases("onnx")
def test_a_damaged_artefact_is_refused_or_right(
    seeded_engine: Path, tmp_path: Path, right: np.ndarray, changes: list[object], beside: bool, suffix: str
) -> None:
    data = seeded_engine.read_bytes()
    for change in changes:
        assert callable(change)
        data = change(data)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    if beside:
        path = path.rename(tmp_path / seeded_engine.name)
        shutil.copy(card_path(seeded_engine), card_path(path))

    def scores() -> np.ndarray:
        with Scorer(path, "onnxruntime", threads=1) as scorer:
            return scorer.score([CROP])

    found = is_done_or_one_line(scores)
    if found is not None:
        np.testing.assert_array_equal(found, right)


@given(changes=st.lists(edits(), min_size=1, max_size=3))
@cases("onnx")
def test_what_reads_bytes_of_onnx(seeded_engine: Path, tmp_path: Path, changes: list[object]) -> None:
    data = seeded_engine.read_bytes()
    for change in changes:
        assert callable(change)
        data = change(data)
    path = tmp_path / "x.onnx"
    path.write_bytes(data)
    readers: list[Callable[[Path], object]] = [has_card, read_card, external_files]
    for reader in readers:
        is_done_or_one_line(partial(reader, path))
    rewriters: list[Callable[[], object]] = [partial(for_onnxruntime, path), partial(free_size, data, "input")]
    for rewriter in rewriters:
        try:
            rewriter()
        except ValueError as error:
            assert "\n" not in str(error)


@pytest.fixture(scope="module")
def detector_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from fiqa_export.pipeline import export

    return (
        export("yunet-n", "seeded", tmp_path_factory.mktemp("yunet"))
        .path.read_bytes()
        .replace(b"fiqa_card", b"fiqa_none")
    )


@given(case=st.data(), backend=st.sampled_from(sorted(ONNX_BACKENDS)))
@cases("detectors")
def test_detectors_without_a_card(tmp_path: Path, detector_bytes: bytes, case: st.DataObject, backend: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(case.draw(damaged({"x": detector_bytes}))[1])
    is_done_or_one_line(lambda: Detector(path, backend=backend, threads=1).detect(np.zeros((64, 64, 3), np.uint8)))
