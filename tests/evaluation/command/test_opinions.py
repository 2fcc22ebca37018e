"""fiqa-eval opinions: the numbers of the library over real files, a cut run goes on, what does not match is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_evaluation.opinions.accuracy import STATISTICS, accuracy
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.spec import Colour
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.cards import card_beside_alone

COUNT = 12


@pytest.fixture()
def labelled(tmp_path: Path) -> Path:
    """COUNT crops in the layout of GFIQA: a folder, and label.json beside the pictures."""
    folder = tmp_path / "gfiqa"
    (folder / "image").mkdir(parents=True)
    mos = np.random.default_rng(0).random(COUNT).round(3).tolist()
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"image/{index:02}.png"), seeded_image(index, 112, 112))
    rows = [{"Image": f"{index:02}.png", "MOS": value} for index, value in enumerate(mos)]
    (folder / "label.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture()
def swapped(seeded_engine: Path, tmp_path: Path) -> Path:
    """The engine fed with red and blue exchanged."""
    folder = tmp_path / "swapped"
    folder.mkdir()
    copy = Path(shutil.copy(seeded_engine, folder / "swapped.onnx"))
    card = read_card(seeded_engine)
    colour: Colour = "BGR" if card.input.colour == "RGB" else "RGB"
    card_beside_alone(replace(card, input=replace(card.input, colour=colour)), copy)
    return copy


def test_numbers_are_those_of_the_library(
    evaluate: Invoke, seeded_engine: Path, swapped: Path, labelled: Path, tmp_path: Path
) -> None:
    options = ("--cache", tmp_path / "c/scores.sqlite", "--json", "-", "--backend", "opencv")
    result = evaluate("opinions", labelled, "--engine", seeded_engine, swapped, *options)
    assert result.code == 0, result.err
    found = json.loads(result.out)["mos"]
    crops = [seeded_image(index, 112, 112) for index in range(COUNT)]
    lists = {}
    for engine in (seeded_engine, swapped):
        with Scorer(engine, "opencv") as scorer:
            lists[engine.name] = scorer.score(crops)
    rows = json.loads((labelled / "label.json").read_text(encoding="utf-8"))
    expected = accuracy([row["MOS"] for row in rows], lists).as_json()
    assert found["images"] == COUNT
    assert set(found["engines"][swapped.name]) == set(STATISTICS)
    for part in ("engines", "differences"):
        for name, statistics in expected[part].items():
            for key, estimate in statistics.items():
                assert found[part][name][key] == pytest.approx(estimate, abs=1e-4), (part, name, key)
    assert list(found["differences"]) == [swapped.name]
    assert abs(found["differences"][swapped.name]["srcc"]["value"]) > 0.01
    assert [Path(row["path"]).name for row in found["scores"]] == [row["Image"] for row in rows]
    got = [row["engines"][swapped.name] for row in found["scores"]]
    np.testing.assert_allclose(got, lists[swapped.name], rtol=0, atol=1e-6)


def test_a_cut_run_goes_on_where_it_stopped(
    evaluate: Invoke, seeded_engine: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    whole = Scorer.score

    def cut(self: Scorer, crops: list[Image]) -> object:
        if scored:
            raise KeyboardInterrupt
        scored.append(len(crops))
        return whole(self, crops)

    monkeypatch.setattr("fiqa_evaluation.opinions.score_labels.CHUNK", 5)
    arguments = ("opinions", labelled, "--engine", seeded_engine, "--cache", tmp_path / "s.sqlite", "--json", "-")
    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", cut)
        assert evaluate(*arguments).code == 130
    assert scored == [5]

    def score(self: Scorer, crops: list[Image]) -> object:
        scored.append(len(crops))
        return whole(self, crops)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", score)
        first = evaluate(*arguments)
        assert scored == [5, 5, 2]
        again = evaluate(*arguments)
    assert scored == [5, 5, 2], "the second run scored again"
    assert json.loads(first.out)["mos"] == json.loads(again.out)["mos"]


def test_another_card_or_backend_is_scored_again(
    evaluate: Invoke,
    seeded_engine: Path,
    swapped: Path,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: list[str] = []
    whole = Scorer.score

    def score(self: Scorer, crops: list[Image]) -> object:
        scored.append(self.backend.name)
        return whole(self, crops)

    def scores(engine: Path, backend: str) -> list[float]:
        options = ("--cache", tmp_path / "s.sqlite", "--json", "-", "--backend", backend)
        rows = json.loads(evaluate("opinions", labelled, "--engine", engine, *options).out)["mos"]["scores"]
        return [row["engines"][engine.name] for row in rows]

    monkeypatch.setattr(Scorer, "score", score)
    first = scores(seeded_engine, "opencv")
    assert np.abs(np.subtract(scores(swapped, "opencv"), first)).max() > 1e-4
    other = scores(seeded_engine, "onnxruntime")
    assert scored == ["opencv", "opencv", "onnxruntime"]
    np.testing.assert_allclose(other, first, rtol=0, atol=1e-5)


def test_labels_and_images_that_do_not_match_are_listed_and_the_others_go_on(
    evaluate: Invoke, seeded_engine: Path, labelled: Path, tmp_path: Path
) -> None:
    lines = ["image,mos", *(f"image/{index:02}.png,{index}" for index in range(COUNT - 2))]
    lines += [f"gone{index}.png,1" for index in range(5)]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(lines))
    arguments = ("opinions", labels, "--engine", seeded_engine, "--images", labelled, "--cache", tmp_path / "s.sqlite")
    result = evaluate(*arguments, "--json", tmp_path / "mos.json", "--html", tmp_path / "mos.html")
    assert result.code == 0, result.err
    flat = " ".join(result.out.split())
    left_out = "5 labels without image (gone0.png, gone1.png, gone2.png, ...)"
    assert left_out in flat and left_out in (tmp_path / "mos.html").read_text(encoding="utf-8")
    assert "2 images without label (" in flat and "11.png" in flat
    found = json.loads((tmp_path / "mos.json").read_text(encoding="utf-8"))["mos"]
    assert (found["images"], len(found["labels"]["missing"])) == (COUNT - 2, 5)
    assert [Path(path).name for path in found["labels"]["unlabelled"]] == ["10.png", "11.png"]


def test_damaged_images_are_left_out_and_told(
    evaluate: Invoke, seeded_engine: Path, swapped: Path, labelled: Path, tmp_path: Path
) -> None:
    for index in (3, 7):
        (labelled / f"image/{index:02}.png").write_text(f"no picture {index}")
    document = tmp_path / "mos.json"
    arguments = ("opinions", labelled, "--engine", seeded_engine, swapped, "--cache", tmp_path / "s.sqlite")
    result = evaluate(*arguments, "--backend", "opencv", "--json", document)
    assert result.code == 2
    assert "2 labelled images were left out" in result.err and "03.png" in result.err
    assert len(result.err.strip().splitlines()) == 2 and f"wrote {document}" in result.err
    found = json.loads(document.read_text(encoding="utf-8"))["mos"]
    assert found["images"] == len(found["scores"]) == COUNT - 2


def test_constant_scores_are_said(evaluate: Invoke, seeded_engine: Path, labelled: Path, tmp_path: Path) -> None:
    for index in range(COUNT):
        cv2.imwrite(str(labelled / f"image/{index:02}.png"), seeded_image(0, 112, 112))
    document = tmp_path / "mos.json"
    arguments = ("opinions", labelled, "--engine", seeded_engine, "--cache", tmp_path / "s.sqlite")
    result = evaluate(*arguments, "--json", document)
    assert result.code == 0, result.err
    assert "constant scores, correlation undefined" in result.out
    assert "undefined" in next(line for line in result.out.splitlines() if "SRCC" in line)
    engine = json.loads(document.read_text(encoding="utf-8"))["mos"]["engines"][seeded_engine.name]
    assert engine["srcc"]["value"] is None


def test_the_cache_is_the_users(
    evaluate: Invoke, seeded_engine: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert evaluate("opinions", labelled, "--engine", seeded_engine).code == 0
    assert (tmp_path / "cache/fiqa-edge/scores.sqlite").stat().st_size > 0


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no engine": (["opinions", "{folder}"], ["what is compared?", "--engine"]),
    "missing labels": (["opinions", "no.json", "--engine", "{engine}"], ["cannot read no.json"]),
    "missing images": (["opinions", "{folder}", "--images", "no", "--engine", "{engine}"], ["no file or folder no"]),
    "NaN": (["opinions", "nan.csv", "--images", "{folder}", "--engine", "{engine}"], ["'00.png' is 'nan'"]),
    "nothing fits": (["opinions", "other.csv", "--images", "{folder}", "--engine", "{engine}"], ["none of 1 labels"]),
    "constant labels": (["opinions", "flat.csv", "--images", "{folder}", "--engine", "{engine}"], ["scores are equal"]),
    "all damaged": (["opinions", "damaged", "--engine", "{engine}"], ["none of 1 labelled images", "not an image"]),
    "bad cache": (["opinions", "{folder}", "--cache", "nan.csv", "--engine", "{engine}"], ["nan.csv cannot be used"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    evaluate: Invoke, seeded_engine: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("nan.csv").write_text("image,mos\n00.png,nan\n")
    Path("other.csv").write_text("image,mos\nx.png,1\n")
    Path("flat.csv").write_text("image,mos\n00.png,1\n01.png,1\n")
    Path("damaged").mkdir()
    Path("damaged/label.json").write_text('{"a.png": 1}')
    Path("damaged/a.png").write_text("no picture")
    arguments, parts = BAD[case]
    result = evaluate(*(a.format(engine=seeded_engine, folder=labelled) for a in arguments))
    assert result.is_one_line(*parts), result
