"""fiqa-eval score: quality files that the evaluation reads, several engines, kept scores, exchanged colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, write_bin

ON_ONE_THREAD = ("--backend", "onnxruntime", "--threads", 1)


@pytest.fixture
def data(evaluate: Invoke, tmp_path: Path) -> Path:
    assert evaluate("prepare", write_bin(tmp_path / "lfw.bin", bin_content(4, 2)), "--out", tmp_path).code == 0
    return tmp_path / "lfw"


def test_scores_are_those_of_the_scorer_in_cr_fiqas_form(evaluate: Invoke, data: Path, seeded_engine: Path) -> None:
    result = evaluate("score", data, "--engine", seeded_engine, *ON_ONE_THREAD)
    assert result.code == 0, result.err
    path = data / "ediffiqa-t.fp32_lfw.txt"
    opened = open_set(data)
    with Scorer(seeded_engine, "onnxruntime", 1) as scorer:
        expected = scorer.score([opened.read(name) for name in opened.names])
    lines = [line.split(" ") for line in path.read_text().splitlines()]
    assert [line[0] for line in lines] == [f"{data}/images/{name}.jpg" for name in opened.names]
    np.testing.assert_array_equal(np.array([line[1] for line in lines], np.float32), expected)
    np.testing.assert_array_equal(read_quality(path, opened.names).astype(np.float32), expected)


def test_scores_are_kept_by_what_is_in_the_image(
    evaluate: Invoke, data: Path, seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = Scorer.score

    def score(self: Scorer, crops: list[Image]) -> object:
        seen.append(len(crops))
        return whole(self, crops)

    monkeypatch.setattr(Scorer, "score", score)
    arguments = ("score", data, "--engine", seeded_engine, *ON_ONE_THREAD, "--cache", tmp_path / "s.sqlite")
    assert evaluate(*arguments).code == 0
    first = (data / "ediffiqa-t.fp32_lfw.txt").read_text()
    seen.clear()
    assert evaluate(*arguments).code == 0
    assert sum(seen) == 0 and (data / "ediffiqa-t.fp32_lfw.txt").read_text() == first
    (data / "images/00003.jpg").write_bytes((data / "images/00004.jpg").read_bytes())
    assert evaluate(*arguments).code == 0
    assert sum(seen) == 0, "the same bytes have the same score"
    rows = [line.split(" ")[1] for line in (data / "ediffiqa-t.fp32_lfw.txt").read_text().splitlines()]
    assert rows[3] == rows[4]


def test_exchanged_colours_have_scores_of_their_own(
    evaluate: Invoke, data: Path, seeded_engine: Path, tmp_path: Path
) -> None:
    (data / "manifest.json").unlink()
    arguments = ("score", data, "--engine", seeded_engine, *ON_ONE_THREAD, "--cache", tmp_path / "s.sqlite")
    assert evaluate(*arguments, "--out", tmp_path / "a").code == 0
    assert evaluate(*arguments, "--colour-as-published", "--out", tmp_path / "b").code == 0
    opened = open_set(data, exchanged=True)
    with Scorer(seeded_engine, "onnxruntime", 1) as scorer:
        expected = scorer.score([opened.read(name) for name in opened.names])
    names = opened.names
    found = read_quality(tmp_path / "b/ediffiqa-t.fp32_lfw.txt", names)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found - read_quality(tmp_path / "a/ediffiqa-t.fp32_lfw.txt", names)).max() > 1e-4


def test_images_that_went_are_told(evaluate: Invoke, data: Path, seeded_engine: Path) -> None:
    (data / "images/00001.jpg").unlink()
    (data / "images/00002.jpg").write_bytes(b"no picture")
    result = evaluate("score", data, "--engine", seeded_engine, *ON_ONE_THREAD)
    assert result.ends_in("2 images have no score, as 00001 (there is no image")
    assert len((data / "ediffiqa-t.fp32_lfw.txt").read_text().splitlines()) == 14


def test_engines_of_one_name_are_refused(evaluate: Invoke, data: Path, seeded_engine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / seeded_engine.name
    other.parent.mkdir()
    other.write_bytes(seeded_engine.read_bytes())
    result = evaluate("score", data, "--engine", seeded_engine, other)
    assert result.is_one_line("would both be called ediffiqa-t.fp32; rename one")
