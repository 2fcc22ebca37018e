"""The JSON Schemas: their files are current, and real documents of every kind keep to them, without unknown entries."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from fiqa_benchmarks.watch.clips import crowd, make_clips
from fiqa_export.pipeline import Options, export
from fiqa_export.verdict.recipe import FP16
from fiqa_runtime.artefact.card import card_path, read_card
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.images.seeded import seeded_image
from jsonschema import Draft202012Validator

from docs.generate.documents import DOCUMENTS
from docs.generate.schemas import FOLDER, schema_text
from tests.docs.conftest import ENGINE_ON_ONE_THREAD, Check
from tests.help.commands import Invoke
from tests.help.live.clips import TrueFaces, short_clip
from tests.help.places import EXAMPLES
from tests.help.samples.cards import int8_conversion, plan_build
from tests.help.samples.one_face import OneFace


@pytest.fixture
def reference(crops: list[Path], tmp_path: Path) -> Path:
    """Scores from elsewhere."""
    path = tmp_path / "theirs.csv"
    path.write_text("image,score\n" + "".join(f"{crop.name},{index / 7}\n" for index, crop in enumerate(crops)))
    return path


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_files_are_what_the_code_says(kind: str) -> None:
    file = FOLDER / DOCUMENTS[kind].file
    assert file.read_text("utf-8") == schema_text(DOCUMENTS[kind]), "make docs writes them anew"


def test_no_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {document.file for document in DOCUMENTS.values()}


def test_a_card(seeded_engine: Path, check: Check) -> None:
    check("card", json.loads(card_path(seeded_engine).read_text("utf-8")))


def test_a_card_of_reduced_precision(tmp_path: Path, check: Check) -> None:
    exported = export("ediffiqa-t", "seeded", tmp_path, Options(FP16))
    document = json.loads(card_path(exported.path).read_text("utf-8"))
    assert document["conversion"]["kept_in_fp32"] and document["score_map"]
    check("card", document)


def test_a_card_of_a_plan_and_of_int8(seeded_engine: Path, check: Check) -> None:
    card = replace(read_card(seeded_engine), precision="int8", conversion=int8_conversion())
    check("card", json.loads(card.to_json()))
    plan = plan_build({"input": {"min": (1, 3, 112, 112), "max": (8, 3, 112, 112)}})
    check("card", json.loads(replace(card, format="plan", plan=plan).to_json()))


def test_a_damaged_card_is_told(seeded_engine: Path, check: Check) -> None:
    document = json.loads(card_path(seeded_engine).read_text("utf-8"))
    wrong: list[dict[str, Any]] = [
        {"max_batch": "many"},
        {"precision": "fp8"},
        {"fiqa_card": 2},
        {"input": {**document["input"], "mean": [1, 2]}},
        {"surprise": 1},
    ]
    for change in wrong:
        with pytest.raises(AssertionError):
            check("card", {**document, **change})
    del document["input"]
    with pytest.raises(AssertionError):
        check("card", document)


def test_users_may_meet_entries_of_later_versions(seeded_engine: Path) -> None:
    document = json.loads(card_path(seeded_engine).read_text("utf-8"))
    schema = json.loads((FOLDER / DOCUMENTS["card"].file).read_text("utf-8"))
    Draft202012Validator(schema).validate({**document, "surprise": 1})


def test_scores_of_crops(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], tmp_path: Path, check: Check
) -> None:
    torn, photo = tmp_path / "torn.png", tmp_path / "photo.png"
    torn.write_bytes(b"no picture")
    cv2.imwrite(str(photo), seeded_image(0, 400, 900))
    options = ("--aligned", "--fp32-threshold", 0.0, "--json", "-", *ENGINE_ON_ONE_THREAD)
    result = command["fiqa-score"](*crops, photo, torn, "--engine", seeded_engine, *options)
    document = json.loads(result.out)
    assert document["images"][-1]["error"] and "accepted" in document["images"][0]
    assert document["images"][-2]["warnings"]
    check("score", document)


def test_lines_of_images(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], tmp_path: Path, check: Check
) -> None:
    shutil.copy(crops[0], tmp_path)
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("not a picture")
    options = ("--aligned", "--jsonl", "-", *ENGINE_ON_ONE_THREAD)
    lines = command["fiqa-score"](tmp_path, "--engine", seeded_engine, *options).out.splitlines()
    documents = list(map(json.loads, lines))
    assert {document["outcome"] for document in documents} == {"scored", "refused", "passed over"}
    for document in documents:
        check("line", document)


def test_a_kept_threshold(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], tmp_path: Path, check: Check
) -> None:
    engine = Path(shutil.copy(seeded_engine, tmp_path))
    shutil.copy(card_path(seeded_engine), tmp_path)
    options = ("--aligned", "--calibrate-threshold", "--reject", "50%", *ENGINE_ON_ONE_THREAD)
    result = command["fiqa-score"](*crops, "--engine", engine, *options)
    assert result.code == 0, result.err
    check("threshold", json.loads(engine.with_name(f"{engine.name}.threshold.json").read_text("utf-8")))


def test_scores_of_photos(
    command: dict[str, Invoke],
    seeded_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: Check,
) -> None:
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: OneFace())
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), seeded_image(0, 200, 160))
    result = command["fiqa-score"](photo, "--engine", seeded_engine, "--json", "-", *ENGINE_ON_ONE_THREAD)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert len(document["images"][0]["faces"]) == 1
    check("score", document)


def test_answers_about_an_engine(command: dict[str, Invoke], seeded_engine: Path, check: Check) -> None:
    for option, kind in (("--self-test", "self-test"), ("--explain", "explain")):
        result = command["fiqa-score"](option, "--engine", seeded_engine, "--json", "-")
        assert result.code == 0, result.err
        check(kind, json.loads(result.out))


def test_a_diagnosis(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], reference: Path, check: Check
) -> None:
    options = ("--aligned", "--diagnose", "--reference", reference, "--json", "-", *ENGINE_ON_ONE_THREAD)
    result = command["fiqa-score"](*crops, "--engine", seeded_engine, *options)
    assert result.code == 0, result.err
    check("diagnose", json.loads(result.out))


def test_exports(command: dict[str, Invoke], tmp_path: Path, check: Check) -> None:
    options = ("--weights", "seeded", "--target", "none", "--json", "-")
    result = command["fiqa-export"]("yunet-s", "--out", tmp_path, *options)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["artefacts"][0]["parity"]["passed"]
    check("export", document)


def test_the_registry(command: dict[str, Invoke], check: Check) -> None:
    document = json.loads(command["fiqa-export"]("--list", "--json", "-").out)
    assert len(document["models"]) == len(MODELS)
    check("list", document)


def test_the_doctor(command: dict[str, Invoke], check: Check) -> None:
    check("doctor", json.loads(command["fiqa-export"]("--doctor", "--json", "-").out))


def test_a_benchmark_with_its_gate(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], tmp_path: Path, check: Check
) -> None:
    bench, quick = command["fiqa-bench"], ("--images", crops[0].parent, "--rounds", "1", *ENGINE_ON_ONE_THREAD)
    old, budget = tmp_path / "old.json", tmp_path / "budget.toml"
    budget.write_text("srcc = 0.99\n")
    first = bench("--engine", seeded_engine, "--against", "opencv", "--roofline", "--json", old, *quick)
    assert first.code == 0, first.err
    check("bench", json.loads(old.read_text("utf-8")))
    gate = ("--baseline", old, "--budget", budget)
    result = bench("--engine", seeded_engine, *gate, "--json", "-", *quick)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["gate"]["checks"]
    check("bench", document)


def test_photos_against_the_demo(
    command: dict[str, Invoke], seeded_engine: Path, weights_dir: Path, images_dir: Path, check: Check
) -> None:
    options = ("--detector", weights_dir / "face_detection_yunet_2023mar.onnx", "--rounds", "1", "--json", "-")
    result = command["fiqa-bench"](
        "--engine", seeded_engine, "--pipeline", "--images", images_dir / "skimage", *options, *ENGINE_ON_ONE_THREAD
    )
    assert result.code == 0, result.err
    check("pipeline", json.loads(result.out))


def test_a_stream(
    command: dict[str, Invoke],
    seeded_engine: Path,
    tmp_path: Path,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truths = short_clip(tmp_path / "clip.avi", 1.0)
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: TrueFaces(truths))
    options = ("--per-track", 2, "--best-shot", tmp_path / "shots", "--json", tmp_path / "d.json", "--jsonl", "-")
    result = command["fiqa-watch"](tmp_path / "clip.avi", "--engine", seeded_engine, *options, *ENGINE_ON_ONE_THREAD)
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert {"started", "better", "best", "ended"} == {line["event"] for line in lines}
    assert any("others" in line for line in lines)
    for line in lines:
        check("watch-line", line)
    check("watch", json.loads((tmp_path / "d.json").read_text("utf-8")))


def test_a_benchmark_of_streams(
    command: dict[str, Invoke],
    seeded_engine: Path,
    weights_dir: Path,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two short clips and a short crowd, in small frames."""
    module = "fiqa_benchmarks.watch.bench"
    wanted = [clip for clip in make_clips(1) if clip.name in ("crossing-0", "blurring-0")]
    for name, value in (("CLIP_SIZE", (480, 270)), ("CROWD_SIZE", (640, 360)), ("make_clips", lambda _: wanted)):
        monkeypatch.setattr(f"{module}.{name}", value)
    monkeypatch.setattr(f"{module}.crowd", lambda heads, count: crowd(heads, count, seconds=1))
    options = ("--detector", weights_dir / "face_detection_yunet_2023mar.onnx", "--rounds", "1", "--json", "-")
    result = command["fiqa-bench"]("--engine", seeded_engine, "--watch", *options, *ENGINE_ON_ONE_THREAD)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    check("bench-watch", document)
    for loss in document["watch"]["losses"].values():
        assert loss["wrong_finals"] == loss["switches"] == 0 and loss["visits"] == 3


@pytest.mark.parametrize("name", ["light", "magface", "theirs"])
def test_network_files(check: Check, name: str) -> None:
    toml = pytest.importorskip("tomllib")
    check("network", toml.loads((EXAMPLES / "own_networks" / f"{name}.toml").read_text("utf-8")))
