"""DSL-FIQA gives the published implementation's numbers: plain weights in float64, conditioned ones in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fiqa_export.checkpoints.seeded import load_seeded, seeded_image
from fiqa_export.models import Reference, build, facexformer
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CropSampling
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.crop_sampling import (
    CROP,
    Offset,
    crop_offsets,
    crop_stream,
    cut,
    landmark_vector,
    visible_landmarks,
)
from fiqa_runtime.images.portrait import Landmarker, portrait_landmarks, upright_portrait
from fiqa_runtime.scoring.scorer import Scorer
from numpy.typing import NDArray
from torch import Tensor

from tests.help.samples.golden_samples import checksum, picture, recorded, synthetic_landmarks, tensor_sample

SCORE = {torch.float64: 1e-9, torch.float32: 1e-5}
"""Allowed relative deviation of a score; in float32 processors differ in the order of sums."""
INSIDE = {torch.float64: 1e-9, torch.float32: 2e-5}
"""Allowed deviation of an intermediate, relative to its largest sampled value."""
NAMES = {"iqa.vit_tap": "iqa.vit", "de.fea": "de"}
"""Modules that the goldens call otherwise."""

conditioned = pytest.mark.parametrize("network", ["conditioned"], indirect=True)


@pytest.fixture(scope="module", params=["plain", "conditioned"])
def network(request: pytest.FixtureRequest) -> Reference:
    """Seeded: plain in float64 or conditioned in float32; pytest keeps one at a time."""
    plain = request.param == "plain"
    dtype = torch.float64 if plain else torch.float32
    return load_seeded(build("dsl-fiqa"), dtype=dtype, conditioned=not plain)


@pytest.fixture(scope="module")
def dtype(network: Reference) -> torch.dtype:
    return next(network.parameters()).dtype


@pytest.fixture(scope="module")
def document(golden: Callable[[str], Any]) -> dict[str, Any]:
    return dict(golden("dsl-fiqa"))


@pytest.fixture(scope="module")
def section(document: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The part of the golden that is about this network's weights."""
    return document if dtype == torch.float64 else dict(document["conditioned"])


def bits(dtype: torch.dtype) -> int:
    return 64 if dtype == torch.float64 else 32


def run(network: Reference, crops: Sequence[Any], visible: Sequence[Sequence[int]], dtype: torch.dtype) -> Tensor:
    """Scores (N,) of one batch."""
    vectors = torch.from_numpy(np.stack([landmark_vector(indices) for indices in visible])).to(dtype)
    return network.outputs(reference_input(crops, network.spec.input, dtype), landmarks=vectors)["score"][:, 0]


def crop_scores(
    network: Reference, image: Any, landmarks: NDArray[np.float32], offsets: Sequence[Offset], dtype: torch.dtype
) -> list[float]:
    """Score of each crop, four crops at a time."""
    crops = cut(image, offsets)
    visible = [visible_landmarks(landmarks, offset) for offset in offsets]
    parts = [slice(i, i + 4) for i in range(0, len(crops), 4)]
    return [float(s) for part in parts for s in run(network, crops[part], visible[part], dtype)]


def test_state_dict_has_the_official_entries(network: Reference, golden: Callable[[str], Any]) -> None:
    wanted = [
        [prefix + name, shape]
        for prefix, file in (("de.", "dsl-fiqa-de"), ("iqa.", "dsl-fiqa-iqa"))
        for name, shape, _ in golden(f"{file}.state")["entries"]
    ]
    entries = network.state_dict().items()
    assert [[name, list(tensor.shape)] for name, tensor in entries] == wanted
    assert sum(p.numel() for p in network.parameters()) == network.spec.parameters


def test_seeded_weights_after_calibration(
    network: Reference, document: dict[str, Any], section: dict[str, Any], dtype: torch.dtype
) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert checksum(network.get_submodule("de")) == pytest.approx(document["checksum"]["de"], rel=tolerance)
    iqa = section.get("iqa_checksum") or document["checksum"]["iqa"]
    assert checksum(network.get_submodule("iqa")) == pytest.approx(iqa, rel=tolerance)


@pytest.mark.parametrize("numbers", [[0], pytest.param([1, 2, 3], marks=pytest.mark.long)], ids=str)
def test_scores_and_intermediates(
    network: Reference,
    document: dict[str, Any],
    section: dict[str, Any],
    dtype: torch.dtype,
    numbers: list[int],
) -> None:
    inside = {k: v for k, v in section["intermediates64"].items() if k not in ("de.mlp", "landmark_vector")}
    inputs = [document["inputs"][number] for number in numbers]
    images = [seeded_image(source["image_index"], CROP, CROP) for source in inputs]
    with recorded(network, {NAMES.get(name, name) for name in inside}) as modules:
        scores = run(network, images, [source["visible_landmarks"] for source in inputs], dtype)
    with torch.no_grad():
        seen = {name: modules[NAMES.get(name, name)] for name in inside}
        seen["de.mlp"] = network.get_submodule("de.mlp")(modules["de"])
    for row, number in enumerate(numbers):
        assert float(scores[row]) == pytest.approx(section[f"score{bits(dtype)}"][number], rel=SCORE[dtype])
        for name, tensor in seen.items():
            entry = section["intermediates64"][name]
            sample = tensor_sample({**entry, **entry["images"][number]})
            deviation = sample.deviation(tensor[row].reshape(sample.shape))
            assert deviation <= INSIDE[dtype] * sample.scale, (number, name)


def test_inputs_with_nothing_special_show_all_landmarks(network: Reference) -> None:
    landmarks = network.extra_inputs(3)["landmarks"]
    assert landmarks.shape == (3, 500)
    assert torch.equal(landmarks[2], torch.from_numpy(landmark_vector(range(68))))


@pytest.mark.long
def test_full_image(network: Reference, document: dict[str, Any], section: dict[str, Any], dtype: torch.dtype) -> None:
    image = seeded_image(document["full_image"]["image_index"], 512, 512)
    offsets = crop_offsets(512, 512, 20, crop_stream())[: 4 if dtype == torch.float64 else 20]
    scores = crop_scores(network, image, synthetic_landmarks(), offsets, dtype)
    wanted = section["full_image"]
    assert scores == pytest.approx(wanted[f"per_crop{bits(dtype)}"][: len(scores)], rel=SCORE[dtype])
    if len(scores) == 20:
        assert np.mean(scores) == pytest.approx(wanted["score32"], rel=1e-6)


@pytest.mark.long
@conditioned
def test_order_dependence(network: Reference, section: dict[str, Any], dtype: torch.dtype) -> None:
    wanted = section["order_dependence"]
    image = seeded_image(wanted["image_index"], 512, 512)
    stream = crop_stream()
    reseeded, after = (crop_offsets(512, 512, 20, stream)[:4] for _ in range(2))
    for offsets, key in ((reseeded, "per_crop32_reseeded"), (after, "per_crop32_after_A")):
        scores = crop_scores(network, image, synthetic_landmarks(), offsets, dtype)
        assert scores == pytest.approx(wanted[key][:4], rel=SCORE[dtype])


@pytest.mark.slow
@conditioned
def test_file(network: Reference, document: dict[str, Any], dtype: torch.dtype, images_dir: Path) -> None:
    entry = document["files"][0]
    offsets = crop_offsets(512, 512, 20, crop_stream())[:4]
    scores = crop_scores(network, picture(entry, images_dir), synthetic_landmarks(), offsets, dtype)
    assert scores == pytest.approx(entry["per_crop32"][:4], rel=SCORE[dtype])


@pytest.mark.parametrize("crops", [pytest.param(4, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.long)])
@conditioned
def test_whole_chain(
    network: Reference,
    document: dict[str, Any],
    golden: Callable[[str], Any],
    dtype: torch.dtype,
    images_dir: Path,
    crops: int,
) -> None:
    entry, pose = document["files"][1], golden("facexformer")["crop_and_align"][0]
    portrait = upright_portrait(picture(entry, images_dir), pose["box_xyxy"], landmarker(512), pose["margin_percent"])
    landmarks = portrait_landmarks(portrait, landmarker(224))
    assert np.abs(landmarks - entry["landmarks512"]).max() <= 0.2
    offsets = crop_offsets(512, 512, 20, crop_stream())
    assert [visible_landmarks(landmarks, offset) for offset in offsets] == entry["visible_landmarks"]
    scores = crop_scores(network, portrait, landmarks, offsets[:crops], dtype)
    assert scores == pytest.approx(entry["per_crop32"][:crops], rel=1e-3)
    if crops == len(offsets):
        assert np.mean(scores) == pytest.approx(entry["score32"], rel=1e-3)


def landmarker(size: int) -> Landmarker:
    """FaceXFormer under seeded weights for inputs of `size`."""
    spec = MODELS["facexformer"]
    network = load_seeded(facexformer.build(replace(spec, input=replace(spec.input, height=size, width=size))))
    return lambda image: network.outputs(reference_input([image], network.spec.input))["landmarks"].numpy()


@conditioned
def test_folded_landmarks_change_nothing(network: Reference) -> None:
    folded = build("dsl-fiqa-visible")
    folded.load_state_dict(network.state_dict())
    crops = [seeded_image(0, 384, 384)]
    expected = run(network, crops, [range(68)], torch.float32)
    before = folded.outputs(reference_input(crops, folded.spec.input))["score"][:, 0]
    folded.freeze()
    after = folded.outputs(reference_input(crops, folded.spec.input))["score"][:, 0]
    assert torch.equal(before, expected)
    assert torch.equal(after, expected)


def test_pictures_are_scored_by_their_crops_and_hidden_landmarks_are_refused(tmp_path: Path) -> None:
    """The runtime's side, on a stand-in graph: mean of the crops' first pixel plus the first landmark slots."""
    sampling = CropSampling(crops=20, seed=20, landmarks="constant")
    scorer = object.__new__(Scorer)
    scorer.path = tmp_path / "dsl-fiqa-visible.fp32.onnx"
    spec = MODELS["dsl-fiqa-visible"]
    scorer.card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch)
    seen: list[int] = []

    class FirstPixel:
        def run(self, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
            assert list(inputs) == ["input"]
            seen.append(len(inputs["input"]))
            return {"score": inputs["input"][:, 0, :1, 0]}

    scorer.backend = FirstPixel()  # type: ignore[assignment]
    image = seeded_image(0, 512, 512)
    offsets = crop_offsets(512, 512, 20, crop_stream(sampling.seed))
    expected = np.mean([(image[top, left, 2] - 127.5) / 127.5 for top, left in offsets])
    centre = np.full((68, 2), 256, np.float32)
    np.testing.assert_allclose(scorer.score([image, image], [centre, centre]), [expected, expected], atol=1e-6)
    assert seen == [4] * 10
    hidden = centre.copy()
    hidden[5] = 3
    with pytest.raises(InputError, match=r"68 landmarks.*picture 1 shows others.*landmark input"):
        scorer.score([image, image], [centre, hidden])
