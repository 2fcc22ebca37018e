"""fiqa-score --diagnose: every planted fault is named, on crops and on photos; agreement and riddles are told too."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import fiqa_runtime.cli
import numpy as np
import pytest
from commands import Invoke, invoker
from fiqa_export.raw_input import take_raw_input
from fiqa_runtime.card import read_card, with_files, write_card
from fiqa_runtime.detector import Detector
from fiqa_runtime.diagnose import Diagnosis, diagnose
from fiqa_runtime.diagnose_command import Trials, try_crops, try_photos
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.faults import Hypothesis, feed_hypotheses
from fiqa_runtime.images import find_images, read_image
from fiqa_runtime.resample import pillow_resize
from fiqa_runtime.scorer import Scorer
from fiqa_runtime.seeded import seeded_image
from fiqa_runtime.spec import Resize
from fiqa_runtime.zoo import MODELS

Image = np.ndarray
CROPS = 12
NARROW = np.array([[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]])
"""As spec/alignment.md has it."""


@pytest.fixture(scope="module")
def scorer(seeded_engine: Path) -> Iterator[Scorer]:
    with Scorer(seeded_engine, "onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Coloured blobs, larger than the network's input."""
    folder = tmp_path_factory.mktemp("crops")
    for index in range(CROPS):
        blobs = cv2.GaussianBlur(seeded_image(index, 160, 140), (0, 0), 2).astype(np.float32)
        levels = (blobs - 127) * (2 + index / 4) + np.array((90, 120, 160)) + 3 * index
        cv2.imwrite(str(folder / f"{index:02d}.png"), levels.clip(0, 255).astype(np.uint8))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def trials(scorer: Scorer, crops: list[Path]) -> Trials:
    return try_crops(scorer, crops)


def rgb(image: Image) -> np.ndarray:
    """What the authors' script makes of a crop, in units of 0 to 1."""
    return pillow_resize(image, 112, 112, "bilinear")[:, :, ::-1] / np.float32(255)


def half(pixels: np.ndarray) -> np.ndarray:
    return (pixels - 0.5) / 0.5


def resized(interpolation: int) -> Callable[[Image], np.ndarray]:
    return lambda image: half(cv2.resize(image, (112, 112), interpolation=interpolation)[:, :, ::-1] / np.float32(255))


PLANTED: dict[str, tuple[Callable[[Image], np.ndarray], str]] = {
    "bgr": (lambda image: half(rgb(image)[:, :, ::-1]), "RGB and BGR swapped: BGR instead of RGB"),
    "raw": (lambda image: 255 * rgb(image), "normalisation missing: grey levels"),
    "unit": (rgb, "normalisation missing: only divided by 255"),
    "twice": (
        lambda image: half(half(rgb(image))),
        "normalisation doubled: mean and standard deviation twice, in units",
    ),
    "twice in grey levels": (
        lambda image: (half(rgb(image)) - 127.5) / 127.5,
        "normalisation doubled: mean and standard deviation twice, in grey",
    ),
    "twice divided": (lambda image: half(rgb(image) / 255), "normalisation doubled: divided by 255 twice"),
    "nearest": (resized(cv2.INTER_NEAREST), "wrong resize interpolation: OpenCV nearest"),
    "bilinear": (resized(cv2.INTER_LINEAR), "wrong resize interpolation: OpenCV bilinear"),
    "bicubic": (resized(cv2.INTER_CUBIC), "wrong resize interpolation: OpenCV bicubic"),
    "area": (resized(cv2.INTER_AREA), "wrong resize interpolation: OpenCV area"),
    "pillow": (
        lambda image: half(pillow_resize(image, 112, 112, "bicubic")[:, :, ::-1] / np.float32(255)),
        "wrong resize interpolation: Pillow bicubic",
    ),
}


def planted(scorer: Scorer, images: list[Image], pipeline: Callable[[Image], np.ndarray]) -> np.ndarray:
    """Scores of a pipeline written without ours."""
    blobs = [pipeline(image).astype(np.float32).transpose(2, 0, 1)[None] for image in images]
    return np.array([scorer.backend.run({"input": np.ascontiguousarray(blob)})["score"].item() for blob in blobs])


def told(trials: Trials, reference: np.ndarray) -> Diagnosis:
    return diagnose(reference, trials.telling)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_planted_on_crops_is_named(scorer: Scorer, crops: list[Path], trials: Trials, fault: str) -> None:
    pipeline, says = PLANTED[fault]
    found = told(trials, planted(scorer, [read_image(path) for path in crops], pipeline))
    assert found.outcome == "fault"
    assert str(found).startswith(says), found
    assert "do not tell" not in str(found)
    best = min(found.findings, key=lambda finding: finding.residual)
    assert best.residual < 1e-3 * found.spread or best.residual < 1e-5
    assert found.findings[0].fault == "none" and found.findings[0].residual > 20 * best.residual


@pytest.mark.parametrize("resize", ["pillow-bicubic", "opencv-bilinear", "opencv-cubic-float"])
def test_the_resize_of_one_network_is_the_mistake_of_another(scorer: Scorer, crops: list[Path], resize: Resize) -> None:
    other = copy.copy(scorer)
    other.card = replace(scorer.card, input=replace(scorer.card.input, resize=resize))
    images = [read_image(path) for path in crops[:6]]
    trials = try_crops(other, crops[:6])
    right = planted(scorer, images, lambda image: half(rgb(image)))
    assert str(told(trials, right)).startswith("wrong resize interpolation: Pillow bilinear")
    assert told(trials, other.score(images)).outcome == "agree"


def test_scores_that_agree_have_no_fault(scorer: Scorer, crops: list[Path], trials: Trials) -> None:
    right = planted(scorer, [read_image(path) for path in crops], lambda image: half(rgb(image)))
    assert told(trials, right).outcome == "agree"
    assert str(told(trials, right.round(4))).startswith("none: they agree")
    noise = np.random.default_rng(0).normal(0, 0.005 * right.std(), CROPS)
    assert str(told(trials, right + noise)).startswith("none: they agree but for little")


@pytest.mark.parametrize(("slope", "offset"), [(100.0, 0.0), (1.0, 0.25), (-1.0, 1.0), (0.5, -3.0)])
def test_scaled_scores_are_named_with_their_line(trials: Trials, slope: float, offset: float) -> None:
    own = np.array(next(iter(trials.scores.values())))
    found = told(trials, slope * own + offset)
    assert found.outcome == "scaled" and str(found).startswith("score scaled: reference =")
    assert found.findings[0].slope == pytest.approx(slope) and found.findings[0].offset == pytest.approx(offset)


def test_a_fault_under_a_scale_is_named_with_both(scorer: Scorer, crops: list[Path], trials: Trials) -> None:
    pipeline, says = PLANTED["bgr"]
    found = told(trials, 100 * planted(scorer, [read_image(path) for path in crops], pipeline) + 5)
    assert found.outcome == "fault and scaled"
    assert str(found).startswith(says) and "reference = 100 x score +5" in str(found)


def test_what_nothing_explains_is_said(trials: Trials) -> None:
    own = np.array(next(iter(trials.scores.values())))
    for riddle in (own[::-1], own.mean() + np.random.default_rng(1).normal(0, own.std(), CROPS)):
        found = told(trials, riddle)
        assert found.outcome == "unexplained" and str(found).startswith("no hypothesis explains it; nearest is"), found
    constant = told(trials, np.full(CROPS, 0.5))
    assert constant.outcome == "unexplained" and "the reference is constant" in str(constant)


def test_faults_that_look_alike_are_both_named() -> None:
    spec = MODELS["ediffiqa-t"].input
    own, *others = feed_hypotheses(spec)
    scores = {own: np.arange(6.0), **{hypothesis: np.arange(6.0) ** 2 for hypothesis in others[:2]}}
    found = diagnose(np.arange(6.0) ** 2 + 1e-3, scores)
    assert "these images do not tell it from normalisation missing: grey levels" in str(found)


def test_hypotheses_differ_from_the_card_and_from_each_other() -> None:
    for model in MODELS.values():
        inputs = [hypothesis.input for hypothesis in feed_hypotheses(model.input)]
        assert inputs[0] == model.input and len(set(inputs)) == len(inputs) >= 3


@pytest.mark.parametrize(("reference", "says"), [([0.1] * 4, "too few"), ([0.1, 0.2, 0.3, 0.4, np.nan], "is nan")])
def test_lists_that_tell_nothing_are_refused(reference: list[float], says: str) -> None:
    own = Hypothesis("none", "", MODELS["ediffiqa-t"].input)
    with pytest.raises(InputError, match=says):
        diagnose(reference, {own: [*reference[:-1], 0.5]})


def narrow_crop(photo: Image, landmarks: np.ndarray) -> Image:
    """Least squares over a, b, x, y of the similarity [[a, -b, x], [b, a, y]]."""
    rows = [row for x, y in landmarks.astype(float) for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    (a, b, x, y), *_ = np.linalg.lstsq(np.array(rows), NARROW.ravel(), rcond=None)
    return cv2.warpAffine(photo, np.array([[a, -b, x], [b, a, y]]), (112, 112))


def least_squares_crop(photo: Image, landmarks: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> Image:
    shift = np.zeros((5, 2))
    shift[:, 0] = 8
    rows = [row for x, y in landmarks.astype(float) for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    (a, b, x, y), *_ = np.linalg.lstsq(np.array(rows), (NARROW + shift).ravel(), rcond=None)
    return cv2.warpAffine(photo, np.array([[a, -b, x], [b, a, y]]), (112, 112), flags=interpolation)


def box_crop(photo: Image, box: np.ndarray) -> Image:
    x, y, width, height = box.tolist()
    return photo[max(round(y), 0) : round(y + height), max(round(x), 0) : round(x + width)]


PHOTO_FAULTS: dict[str, tuple[Callable[..., Image], str]] = {
    "whole": (lambda photo, face: photo, "no alignment: the whole photo"),
    "box": (lambda photo, face: box_crop(photo, face.box), "no alignment: the face box"),
    "narrow": (lambda photo, face: narrow_crop(photo, face.landmarks), "the other ArcFace template: narrow"),
    "nearest": (
        lambda photo, face: least_squares_crop(photo, face.landmarks, cv2.INTER_NEAREST),
        "wrong resize interpolation: nearest when the face is cut out",
    ),
    "bicubic": (
        lambda photo, face: least_squares_crop(photo, face.landmarks, cv2.INTER_CUBIC),
        "wrong resize interpolation: bicubic when the face is cut out",
    ),
    "bgr": (
        lambda photo, face: least_squares_crop(photo, face.landmarks)[:, :, ::-1],
        "RGB and BGR swapped",
    ),
    "none": (lambda photo, face: least_squares_crop(photo, face.landmarks), "none: they agree"),
}


@pytest.fixture(scope="module")
def detector(weights_dir: Path) -> Detector:
    return Detector(weights_dir / "face_detection_yunet_2023mar.onnx")


@pytest.fixture(scope="module")
def photos(images_dir: Path) -> list[Path]:
    return [
        path for name in ("dlib", "skimage", "face_recognition", "yakhyo") for path in find_images([images_dir / name])
    ]


@pytest.fixture(scope="module")
def photo_trials(scorer: Scorer, detector: Detector, photos: list[Path]) -> Trials:
    return try_photos(scorer, photos, detector)


@pytest.mark.parametrize("fault", PHOTO_FAULTS)
def test_a_fault_planted_on_photos_is_named(
    scorer: Scorer, detector: Detector, photo_trials: Trials, fault: str
) -> None:
    cut, says = PHOTO_FAULTS[fault]
    reference = []
    for path in photo_trials.images:
        photo = read_image(path)
        face = max(detector.detect(photo), key=lambda found: found.box[2] * found.box[3])
        reference.append(planted(scorer, [cut(photo, face)], lambda image: half(rgb(image)))[0])
    assert len(reference) >= 10
    assert str(told(photo_trials, np.array(reference))).startswith(says)


def test_heads_are_tried_too(scorer: Scorer, detector: Detector, photos: list[Path]) -> None:
    heads = copy.copy(scorer)
    heads.card = replace(scorer.card, input=replace(scorer.card.input, framing="ffhq"))
    trials = try_photos(heads, photos[:8], detector)
    arcface = next(scores for hypothesis, scores in trials.scores.items() if hypothesis.fault == "wrong framing")
    assert str(told(trials, np.array(arcface))).startswith("wrong framing: the 112 x 112 ArcFace crop")
    heads.card = replace(scorer.card, input=replace(scorer.card.input, framing="portrait-512"))
    with pytest.raises(UnsupportedError, match="--aligned"):
        try_photos(heads, photos, detector)


@pytest.fixture(scope="module")
def raw_engine(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network behind a graph that takes uint8 BGR crops."""
    path = tmp_path_factory.mktemp("raw") / seeded_engine.name
    shutil.copy(seeded_engine, path)
    card = read_card(seeded_engine)
    take_raw_input(path, card.input)
    changed = replace(card, input=replace(card.input, raw=True))
    write_card(with_files(changed, path.parent, [path.name]), path)
    return path


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        (PLANTED["bgr"][0], "RGB and BGR swapped: RGB instead of BGR"),
        (PLANTED["bicubic"][0], "wrong resize interpolation: OpenCV bicubic"),
        (lambda image: half(rgb(image)), "none: they agree"),
        (PLANTED["twice"][0], "no hypothesis explains it"),
    ],
)
def test_graphs_that_normalise_themselves_tell_what_comes_before(
    score: Invoke,
    scorer: Scorer,
    raw_engine: Path,
    crops: list[Path],
    tmp_path: Path,
    pipeline: Callable[[Image], np.ndarray],
    says: str,
) -> None:
    file = write(tmp_path / "s.csv", crops, planted(scorer, [read_image(path) for path in crops], pipeline))
    result = score(
        *("--engine", raw_engine, "--backend", "onnxruntime", "--aligned", *crops, "--diagnose", "--reference", file)
    )
    assert result.code == 0, result.err
    *_, last = result.out.strip().splitlines()
    assert last.startswith(says), result.out
    assert "not tried inside the graph: normalisation; give an artefact exported without --raw-input" in result.out
    assert "normalisation doubled" not in result.out


def test_photos_are_tried_with_graphs_that_normalise_themselves(
    raw_engine: Path, scorer: Scorer, detector: Detector, photos: list[Path]
) -> None:
    with Scorer(raw_engine, "onnxruntime", threads=1) as raw:
        inside, outside = try_photos(raw, photos[:3], detector), try_photos(scorer, photos[:3], detector)
    swapped = {h.fault: scores for h, scores in outside.scores.items()}["RGB and BGR swapped"]
    for hypothesis, scores in inside.scores.items():
        expected = swapped if hypothesis.fault == "RGB and BGR swapped" else None
        expected = expected or next(s for h, s in outside.scores.items() if h.detail == hypothesis.detail)
        np.testing.assert_allclose(scores, expected, atol=1e-6, err_msg=hypothesis.detail)


def test_scores_that_overflow_are_left_out(crops: list[Path]) -> None:
    own, swapped, missing, *_ = feed_hypotheses(MODELS["ediffiqa-t"].input)
    trials = Trials(crops[:2], {own: [0.1, 0.2], swapped: [0.1, 0.2], missing: [0.3, float("nan")]})
    assert list(trials.telling) == [own]


@pytest.fixture()
def score(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(fiqa_runtime.cli.main, capsys, monkeypatch)


def write(path: Path, names: list[Path], scores: np.ndarray) -> Path:
    path.write_text("image,score\n" + "".join(f"{n.name},{s}\n" for n, s in zip(names, scores, strict=True)))
    return path


def test_command_names_the_fault_in_a_table_and_in_json(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path
) -> None:
    scores = planted(scorer, [read_image(path) for path in crops], PLANTED["bgr"][0])
    file = write(tmp_path / "theirs.csv", crops, scores)
    with file.open("a") as stream:
        stream.write("gone.png,0.5\n")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "more.png").write_bytes(crops[0].read_bytes())
    with file.open("a") as stream:
        stream.write("torn.png,0.5\n")
    images = (crops[0].parent, tmp_path / "torn.png", tmp_path / "more.png")
    arguments = ("--engine", scorer.path, "--backend", "onnxruntime", "--aligned", *images, "--diagnose")
    result = score(*arguments, "--reference", file)
    assert result.code == 0, result.err
    *_, last = result.out.strip().splitlines()
    assert last.startswith("RGB and BGR swapped: BGR instead of RGB (residual")
    assert "left out: 1 scores without image (gone.png)" in result.out
    assert "left out: 1 images without score" in result.out and "more.png" in result.out
    assert "left out: 1 images that cannot be tried" in result.out and "torn.png" in result.out
    assert "not tried on ready crops: alignment and template" in result.out

    document = json.loads(score(*arguments, "--reference", file, "--json", "-").out)
    assert document["outcome"] == "fault" and document["images"] == CROPS
    assert document["findings"][1]["fault"] == "RGB and BGR swapped"
    assert document["findings"][1]["residual"] < 1e-6 < document["findings"][0]["residual"]


@pytest.mark.parametrize("written", [("--csv", "own.csv"), ("--quality-file", "q.csv"), ("--quality-file", "q.txt")])
def test_our_own_files_agree(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path, written: tuple[str, str]
) -> None:
    option, name = written
    arguments = ("--engine", scorer.path, "--backend", "onnxruntime", "--aligned", *crops)
    assert score(*arguments, option, tmp_path / name).code == 0
    result = score(*arguments, "--diagnose", "--reference", tmp_path / name)
    assert result.code == 0 and "\nnone: they agree" in result.out, result


def test_our_own_photos_agree(
    score: Invoke, scorer: Scorer, photos: list[Path], weights_dir: Path, tmp_path: Path
) -> None:
    arguments = ("--engine", scorer.path, "--backend", "onnxruntime", *photos[:7])
    assert score(*arguments, "--csv", tmp_path / "own.csv").code == 0
    assert len((tmp_path / "own.csv").read_text().splitlines()) > 8, "no photo has several faces"
    result = score(*arguments, "--diagnose", "--reference", tmp_path / "own.csv")
    assert result.code == 0 and "\nnone: they agree" in result.out, result
    assert "these images cannot show, as pixels or scores stay the same: OpenCV nearest" in result.out


def test_many_images_are_thinned_out(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiqa_runtime.diagnose_command.MOST_IMAGES", 5)
    file = write(tmp_path / "s.csv", crops, np.linspace(0, 1, CROPS))
    result = score(
        "--engine", scorer.path, "--backend", "onnxruntime", "--aligned", *crops, "--diagnose", "--reference", file
    )
    assert f"tried on 5 of {CROPS} images, evenly chosen" in result.out and result.out.startswith("5 images;")


BAD = {
    "no reference": (["--diagnose"], ["--diagnose and --reference FILE go together"]),
    "no diagnose": (["--reference", "s.csv"], ["go together"]),
    "other output": (["--diagnose", "--reference", "s.csv", "--csv", "x.csv"], ["--diagnose makes no use of --csv"]),
    "threshold": (
        ["--diagnose", "--reference", "s.csv", "--fp32-threshold", "0"],
        ["--diagnose makes no use of --fp32-threshold", "leave it out"],
    ),
    "missing file": (["--diagnose", "--reference", "no.csv"], ["cannot read no.csv"]),
    "other names": (["--diagnose", "--reference", "s.csv"], ["names none of the images", "a.png"]),
    "only NaN": (["--diagnose", "--reference", "nan.csv"], ["no score that is a number"]),
    "too few": (["--diagnose", "--reference", "one.csv"], ["1 images are too few", "at least 5"]),
    "torn": (["--diagnose", "--reference", "torn.csv", "torn.png"], ["none of 1 images can be tried", "torn.png"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.png").write_bytes(b"no picture")
    for name, line in (("s", "a.png,1"), ("nan", "00.png,nan"), ("one", "00.png,0.5"), ("torn", "torn.png,1")):
        Path(f"{name}.csv").write_text(f"image,score\n{line}\n")
    arguments, parts = BAD[case]
    result = score(*arguments, *crops, "--aligned", "--engine", scorer.path, "--backend", "onnxruntime")
    assert result.is_one_line(*parts), result
