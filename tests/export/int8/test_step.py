"""The int8 step from calibration images to a file within its budget, on a network that takes a second."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fiqa_calibration.mixture_search import EvaluatedMixture, Judged, SearchResult
from fiqa_calibration.parity_set import ParitySet
from fiqa_calibration.ranges import Ranges
from fiqa_export.int8.calibration import open_session
from fiqa_export.int8.mixtures import Int8Result
from fiqa_export.int8.picture import draw_pareto
from fiqa_export.int8.step import write_int8
from fiqa_export.models.inputs import reference_input
from fiqa_export.verdict.recipe import INT8, Budget
from fiqa_runtime.errors import FiqaError, InputError, VerdictError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.agreement import agree
from fiqa_runtime.system.files import sha256_file

from tests.help.int8_network import PARITY, REFERENCE, SIDE, save_network

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
    assert result.mac_share >= 0.8
    assert result.bytes_share == (folder / "int8.onnx").stat().st_size / (folder / "fp32.onnx").stat().st_size <= 0.3
    assert result.fitted
    onnx.checker.check_model(str(folder / "int8.onnx"), full_check=True)


def test_images_that_cannot_serve_are_counted(done: tuple[Path, Int8Result]) -> None:
    assert done[1].left_out == {"unreadable": 1, "misfits": 1, "faceless": 0, "duplicates": 0}
    assert done[1].images == 40


def test_nothing_is_left_lying_about(done: tuple[Path, Int8Result]) -> None:
    assert sorted(p.name for p in done[0].iterdir()) == [
        "crops",
        "fp32.onnx",
        "int8.onnx",
        "ranges.json",
        "small.calibration.json",
    ]


def test_openvino_agrees_with_onnxruntime_on_the_same_file(done: tuple[Path, Int8Result]) -> None:
    ov = pytest.importorskip("openvino", reason="install fiqa-edge[openvino]")
    compiled = ov.Core().compile_model(str(done[0] / "int8.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    inputs = (reference_input([image], REFERENCE.spec.input).numpy() for image, _ in PARITY)
    actual = np.array([float(compiled({"input": x})[0][0, 0]) for x in inputs])
    assert agree(scores(done[0] / "int8.onnx"), actual).srcc >= 0.998
    assert agree(scores(done[0] / "fp32.onnx"), actual).srcc >= 0.995


def test_ranges_serve_without_images(done: tuple[Path, Int8Result], tmp_path: Path) -> None:
    """Weights go to the nearest level, so a little more may have to stay; the file is the same each time, the cache
    as it was."""
    folder, result = done
    save_network(tmp_path / "fp32.onnx")
    shipped = tmp_path / "shipped.json"
    shipped.write_bytes((folder / "ranges.json").read_bytes())
    (tmp_path / "ranges.json").write_text("of other images")
    again = step(tmp_path, str(shipped))
    assert (tmp_path / "ranges.json").read_text() == "of other images"
    first = (tmp_path / "int8.onnx").read_bytes()
    assert step(tmp_path, str(shipped)).kept == again.kept
    assert set(again.kept) >= set(result.kept)
    assert again.search.chosen.passed
    assert (tmp_path / "int8.onnx").read_bytes() == first
    assert not again.fitted
    assert again.left_out is None
    assert again.calibration == result.calibration


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
    data = json.loads((done[0] / "ranges.json").read_text())
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
    assert next(iter(result.kept)) == "third"
    assert not {"second", "fourth"} & set(result.kept)
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


def test_budget_that_cannot_be_met_is_a_verdict(tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx")
    impossible = Budget(srcc=0.995, flips=0.01, max_abs={"score": 1e-9})
    result = step(tmp_path, budget=impossible)
    with pytest.raises(
        VerdictError, match=r"no mixture meets the budget.*max \|d\|.*left reduced and blocks it: \w+"
    ) as caught:
        result.search.require()
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    told: list[str] = []
    step(tmp_path, budget=impossible, report=lambda what, done, total: told.append(what))
    assert "measure activations" not in told
    assert told.count("judge a mixture") == 0, "what was judged serves again"
    cache = tmp_path / "ranges.part.json"
    ranges = Ranges.load(cache, sha256_file(tmp_path / "fp32.onnx"))
    narrow = {m: {name: largest / 2 for name, largest in found.items()} for m, found in ranges.ranges.items()}
    replace(ranges, ranges=narrow).save(cache)
    step(tmp_path, budget=impossible, report=lambda what, done, total: told.append(what))
    assert told.count("judge a mixture") > 0, "with other ranges it does not"


def test_mixture_that_gives_no_numbers_is_a_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflowing:
        def __init__(self, network: Path) -> None:
            self._session, self._int8 = open_session(network), network.name == "int8.onnx"

        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [np.full_like(x, np.nan) if self._int8 else x for x in self._session.run(names, feed)]

    monkeypatch.setattr("fiqa_export.int8.judge.open_session", Overflowing)
    save_network(tmp_path / "fp32.onnx")
    result = step(tmp_path)
    with pytest.raises(VerdictError, match="score: not finite"):
        result.search.require()
    json.dumps(result.as_json(), allow_nan=False)


def test_interrupted_step_goes_on_where_it_was(tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx", poisoned=True)
    told: list[str] = []

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "judge a mixture" and told.count("judge a mixture") > 3 * len(PARITY):
            raise KeyboardInterrupt
        told.append(what)

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path, report=interrupt)
    assert (tmp_path / "ranges.part.json").exists()
    assert (tmp_path / "ranges.search.json").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    whole, resumed = [], []
    step(tmp_path, report=lambda what, done, total: resumed.append(what))
    (tmp_path / "ranges.json").unlink()
    step(tmp_path, report=lambda what, done, total: whole.append(what))
    assert "measure activations" in whole
    assert "measure activations" not in resumed
    assert resumed.count("judge a mixture") < whole.count("judge a mixture")


def test_interrupted_calibration_keeps_what_was_measured(tmp_path: Path) -> None:
    """And leaves alone what stands beside an earlier artefact."""
    save_network(tmp_path / "fp32.onnx")
    for name in ("ranges.json", "small.calibration.json"):
        (tmp_path / name).write_text("of other images")

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "predict what int8 moves" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path, report=interrupt)
    shutil.copy(tmp_path / "ranges.part.json", tmp_path / "unfinished.json")
    with pytest.raises(InputError, match="was interrupted; end it with --calib FOLDER"):
        step(tmp_path, str(tmp_path / "unfinished.json"))
    assert {(tmp_path / name).read_text() for name in ("ranges.json", "small.calibration.json")} == {"of other images"}
    told: list[str] = []
    resumed = step(tmp_path, report=lambda what, done, total: told.append(what))
    assert "measure activations" not in told
    assert "predict what int8 moves" in told
    assert not (tmp_path / "ranges.part.json").exists()
    assert json.loads((tmp_path / "small.calibration.json").read_text())["sha256"] == resumed.calibration
    (tmp_path / "ranges.json").unlink()
    assert step(tmp_path).as_json() == resumed.as_json()


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
    document = result.as_json()
    assert len(document["trials"]) == len(result.search.mixtures)
    assert {"bytes", "bytes_share", "mac_share", "quality", "passed", "flips"} <= set(document["trials"][0])
    assert json.loads(json.dumps(document))["bytes_share"] == result.bytes_share
    draw_pareto(result.search, tmp_path / "p.png")
    draw_pareto(result.search, tmp_path / "p.svg", "small")
    assert cv2.imread(str(tmp_path / "p.png")) is not None
    assert "<svg" in (tmp_path / "p.svg").read_text()
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_pareto(result.search, tmp_path / "p.txt")


def test_picture_of_a_search_without_any_quality(tmp_path: Path) -> None:
    trial = EvaluatedMixture(
        ("node",), 1.0, Judged(math.nan, ("scores are constant",), {"bytes": 10, "mac_share": 1.0})
    )
    draw_pareto(SearchResult((trial,), trial, ()), tmp_path / "p.png")
    assert cv2.imread(str(tmp_path / "p.png")) is not None


def test_progress_is_told(done: tuple[Path, Int8Result]) -> None:
    told: list[str] = []
    step(done[0], str(done[0] / "ranges.json"), report=lambda what, done, total: told.append(what))
    assert {"run the fp32 network", "judge a mixture", "search for nodes to keep"} == set(told)
