"""The int8 step from calibration images to a file within its budget, on a network that takes a second."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from fiqa_calibration.mixture_search import EvaluatedMixture, Judged, SearchResult
from fiqa_calibration.ranges import Ranges
from fiqa_export.int8.picture import draw_pareto
from fiqa_export.int8.step import Int8Result
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.agreement import agree
from fiqa_runtime.system.files import sha256_file

from tests.help.int8_step import IMAGES, scores, step, write_crops
from tests.help.samples.int8_network import PARITY, REFERENCE, save_network


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Int8Result]:
    """The step on the healthy network with a folder of crops, one of them damaged and one too large."""
    folder = tmp_path_factory.mktemp("healthy")
    save_network(folder / "fp32.onnx")
    crops = write_crops(folder / "crops")
    (crops / "damaged.png").write_bytes(b"no picture")
    cv2.imwrite(str(crops / "large.png"), seeded_image(0, 64, 64))
    return folder, step(folder, str(crops))


def test_ranking_survives_with_all_layers_in_int8(done: tuple[Path, Int8Result]) -> None:
    folder, result = done
    assert agree(scores(folder / "fp32.onnx"), scores(folder / "int8.onnx")).srcc >= 0.995
    assert result.search.chosen.passed
    assert result.conversion.mac_share >= 0.8
    assert (
        result.conversion.bytes_share
        == (folder / "int8.onnx").stat().st_size / (folder / "fp32.onnx").stat().st_size
        <= 0.3
    )
    assert result.conversion.fitted
    onnx.checker.check_model(str(folder / "int8.onnx"), full_check=True)


def test_images_that_cannot_serve_are_counted(done: tuple[Path, Int8Result]) -> None:
    assert done[1].conversion.left_out == {"unreadable": 1, "misfits": 1, "faceless": 0, "duplicates": 0}
    assert done[1].conversion.images == 40


def test_nothing_is_left_lying_about(done: tuple[Path, Int8Result]) -> None:
    assert sorted(p.name for p in done[0].iterdir()) == [
        "crops",
        "fp32.onnx",
        "int8.onnx",
        "ranges.json",
        "small.calibration.json",
    ]


def test_openvino_agrees_with_onnxruntime_on_the_same_file(done: tuple[Path, Int8Result]) -> None:
    """Processors without VNNI round sums of products otherwise: 0.991 with AVX2 alone, above 0.998 with VNNI."""
    ov = pytest.importorskip("openvino", reason="install fiqa-edge[openvino]")
    compiled = ov.Core().compile_model(str(done[0] / "int8.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    inputs = (reference_input([image], REFERENCE.spec.input).numpy() for image, _ in PARITY)
    actual = np.array([float(compiled({"input": x})[0][0, 0]) for x in inputs])
    assert agree(scores(done[0] / "int8.onnx"), actual).srcc >= 0.98
    assert agree(scores(done[0] / "fp32.onnx"), actual).srcc >= 0.98


def test_ranges_serve_without_images(done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    """Weights go to the nearest level, so a little more may have to stay; the file is the same each time, the cache
    as it was."""
    folder, result = done
    save_network(tmp_path / "fp32.onnx")
    shipped = tmp_path / "shipped.json"
    shipped.write_bytes((folder / "ranges.json").read_bytes())
    (tmp_path / "ranges.json").write_text("of other images")
    again = step(tmp_path, str(shipped))
    assert (tmp_path / "ranges.json").read_text(encoding="utf-8") == "of other images"
    first = (tmp_path / "int8.onnx").read_bytes()
    assert step(tmp_path, str(shipped)).conversion.kept_in_fp32 == again.conversion.kept_in_fp32
    assert set(again.conversion.kept_in_fp32) >= set(result.conversion.kept_in_fp32)
    assert again.search.chosen.passed
    assert (tmp_path / "int8.onnx").read_bytes() == first
    assert not again.conversion.fitted
    assert again.conversion.left_out is None
    assert again.conversion.calibration == result.conversion.calibration


def test_ranges_of_another_network_are_refused(done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx", seed=1)
    with pytest.raises(InputError, match="belongs to another network or other weights") as caught:
        step(tmp_path, str(done[0] / "ranges.json"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "int8.onnx").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"weights": []},
        {"weights": {"first": "x"}},
        {"channels": {"r1": 5}},
        {"kept": 5},
        {"kept": [1]},
        {"methods": []},
    ],
)
def test_damaged_ranges_are_refused(change: dict[str, object], done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    data = json.loads((done[0] / "ranges.json").read_text(encoding="utf-8"))
    (tmp_path / "r.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(InputError, match="calibrate again"):
        Ranges.load(tmp_path / "r.json", data["model"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 9, "model": "x"}'])
def test_file_that_holds_no_ranges_is_refused(text: str, tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx")
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match="calibrate again"):
        step(tmp_path, str(tmp_path / "r.json"))


def test_missing_and_unreadable_files_of_ranges_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file of ranges .*none\.json; make one with --calib FOLDER$"):
        Ranges.load(tmp_path / "none.json", "")
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory; "):
        Ranges.load(tmp_path, "")


def test_ranges_come_back_as_they_were_saved(done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    path = done[0] / "ranges.json"
    model = sha256_file(done[0] / "fp32.onnx")
    ranges = Ranges.load(path, model)
    ranges.save(tmp_path / "copy.json")
    assert Ranges.load(tmp_path / "copy.json", model, ranges.calibration) == ranges
    with pytest.raises(InputError, match="other images"):
        Ranges.load(path, model, "0" * 64)


def test_poisoned_layer_is_found_and_kept(tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx", poisoned=True)
    result = step(tmp_path)
    assert next(iter(result.conversion.kept_in_fp32)) == "third"
    assert not {"second", "fourth"} & set(result.conversion.kept_in_fp32)
    assert agree(scores(tmp_path / "fp32.onnx"), scores(tmp_path / "int8.onnx")).srcc >= 0.995


def test_poisoned_layer_would_break_the_ranking(tmp_path: Path) -> None:
    """Told that nothing hurts, the search begins with everything in int8: that fails, by far."""
    save_network(tmp_path / "fp32.onnx", poisoned=True)
    step(tmp_path)
    cache = tmp_path / "ranges.json"
    model = sha256_file(tmp_path / "fp32.onnx")
    replace(Ranges.load(cache, model), kept=[]).save(cache)
    worst = min(step(tmp_path, str(cache)).search.mixtures, key=lambda trial: len(trial.kept))
    assert worst.kept == ()
    assert not worst.passed
    assert worst.judged.quality < 0.98


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no images under"),
        (IMAGES[:31], "31 of 31 images can calibrate"),
        ([seeded_image(i, 64, 64) for i in range(40)], "40 of another size .*crops of 32 x 32 pixels"),
        ([IMAGES[0]] * 40, "near-copies"),
    ],
)
def test_folder_that_cannot_calibrate_is_refused(images: list[np.ndarray], message: str, tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx")
    with pytest.raises(FiqaError, match=message) as caught:
        step(tmp_path, str(write_crops(tmp_path / "crops", images)))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx")
    with pytest.raises(InputError, match="nowhere"):
        step(tmp_path, str(tmp_path / "nowhere"))


def test_card_and_picture_tell_every_mixture(done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    result = done[1]
    document = asdict(result.conversion)
    assert len(document["trials"]) == len(result.search.mixtures)
    assert {"bytes", "bytes_share", "mac_share", "quality", "passed", "flips"} <= set(document["trials"][0])
    assert json.loads(json.dumps(document))["bytes_share"] == result.conversion.bytes_share
    draw_pareto(result.search, tmp_path / "p.png")
    draw_pareto(result.search, tmp_path / "p.svg", "small")
    assert cv2.imread(str(tmp_path / "p.png")) is not None
    assert "<svg" in (tmp_path / "p.svg").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_pareto(result.search, tmp_path / "p.txt")


def test_picture_of_a_search_without_any_quality(tmp_path: Path) -> None:
    trial = EvaluatedMixture(
        ("node",), 1.0, Judged(math.nan, ("scores are constant",), {"bytes": 10, "mac_share": 1.0})
    )
    draw_pareto(SearchResult((trial,), trial, ()), tmp_path / "p.png")
    assert cv2.imread(str(tmp_path / "p.png")) is not None


def test_progress_is_told(done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    told: list[str] = []
    save_network(tmp_path / "fp32.onnx")
    step(tmp_path, str(done[0] / "ranges.json"), report=lambda what, done, total: told.append(what))
    assert {"run the fp32 network", "judge a mixture", "search for nodes to keep"} == set(told)
