"""The torch references give the published implementations' numbers (seeded weights; YuNet also its own)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from fiqa_export.checkpoints.seeded import load_seeded, seeded_image
from fiqa_export.models import Reference, build
from fiqa_export.models.cr_fiqa import CRFIQA
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.images.preprocess import to_network_size
from torch import Tensor

from tests.help.samples.golden_samples import (
    STATISTICS,
    checksum,
    file_hash,
    file_samples,
    module_samples,
    output_samples,
    picture,
    pixel_hash,
    preprocessings,
    recorded,
    tensor_sample,
)

ELSEWHERE = ("dsl_fiqa", "facexformer", "mtcnn")
"""Families with test files of their own."""
SLOW = ("ifqa-plus",)
NETWORKS = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
    for name, spec in MODELS.items()
    if spec.family not in ELSEWHERE
]
FLOAT64 = 1e-9
"""Allowed deviation in float64, relative to the largest sampled value of the tensor."""
FLOAT32 = {
    "ediffiqa-t": 1e-6,
    **dict.fromkeys(("ediffiqa-s", "ediffiqa-m", "ediffiqa-l"), 3e-5),
    **dict.fromkeys(("cr-fiqa-s", "cr-fiqa-l"), 5e-5),
    "ifqa": 5e-6,
    "ifqa-plus": 3e-6,
    **dict.fromkeys(("yunet-s", "yunet-n"), 1e-4),
}
"""Allowed deviation of an output in float32, in the output's own unit."""
HEAVY = 1_000_000_000
"""Networks of more multiply-accumulates score every third file only."""


def check_best_face(heads: dict[str, Tensor], wanted: dict[str, Any]) -> None:
    """The highest sqrt(cls * obj) of one image lies at the wanted stride and cell."""
    scores = {stride: (heads[f"cls_{stride}"] * heads[f"obj_{stride}"]).sqrt() for stride in (8, 16, 32)}
    stride = max(scores, key=lambda s: float(scores[s].max()))
    assert (stride, int(scores[stride].argmax())) == (wanted["stride"], wanted["index"])
    assert float(scores[stride].max()) == pytest.approx(wanted["score"], abs=1e-5)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Reference:
    """Float64 under seeded weights; pytest keeps one at a time."""
    return load_seeded(build(request.param), dtype=torch.float64)


@pytest.fixture(scope="module")
def network32(network: Reference) -> Reference:
    """The calibrated float64 network cast to float32."""
    single = build(network.spec.name)
    single.load_state_dict(network.state_dict())
    return single


@pytest.fixture(scope="module")
def document(network: Reference, golden: Callable[[str], Any]) -> dict[str, Any]:
    """The network's golden."""
    return dict(golden(network.spec.name))


def test_state_dict_has_the_official_entries(network32: Reference, golden: Callable[[str], Any]) -> None:
    entries = [
        [name, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in network32.state_dict().items()
    ]
    assert entries == golden(f"{network32.spec.name}.state")["entries"]


def test_parameter_count(network: Reference) -> None:
    assert sum(p.numel() for p in network.parameters()) == network.spec.parameters


def test_seeded_weights_after_calibration(network: Reference, document: dict[str, Any]) -> None:
    assert checksum(network) == pytest.approx(document["checksum"], rel=1e-12)


def test_float64(network: Reference, document: dict[str, Any]) -> None:
    for number, source in enumerate(document["inputs"]):
        image = seeded_image(source["image_index"], source["height"], source["width"], document["seed"])
        inside = list(module_samples(document, number))
        with recorded(network, {name for name, _ in inside}) as modules:
            outputs = network.outputs(reference_input([image], network.spec.input, torch.float64))
        wanted = output_samples(document, number, 64)
        assert list(wanted) == [output.name for output in network.spec.outputs]
        for name, sample in [*wanted.items(), *inside]:
            tensor = outputs[name] if name in wanted else modules[name]
            assert sample.deviation(tensor) <= FLOAT64 * sample.scale, (number, name)


def test_float32_in_batches(network32: Reference, document: dict[str, Any]) -> None:
    numbered = enumerate(document["inputs"])
    for (height, width), group in groupby(numbered, key=lambda item: (item[1]["height"], item[1]["width"])):
        batch = list(group)
        images = [seeded_image(source["image_index"], height, width, document["seed"]) for _, source in batch]
        outputs = network32.outputs(reference_input(images, network32.spec.input))
        for row, (number, _) in enumerate(batch):
            for name, sample in output_samples(document, number, 32).items():
                assert len(outputs[name]) == len(batch)
                one = outputs[name][row : row + 1]
                assert sample.deviation(one) <= FLOAT32[network32.spec.name], (number, name)


def test_strict_load_of_a_saved_state_dict(network32: Reference, golden: Callable[[str], Any], tmp_path: Path) -> None:
    path, values = tmp_path / "weights.pth", network32.state_dict()
    names = [name for name, _, _ in golden(f"{network32.spec.name}.state")["entries"]]
    torch.save({name: values[name] for name in names}, path)
    fresh = build(network32.spec.name)
    fresh.load_state_dict(torch.load(path, weights_only=True), strict=True)
    path.unlink()
    assert all(torch.equal(tensor, values[name]) for name, tensor in fresh.state_dict().items())


def test_network_input_of_files(network: Reference, document: dict[str, Any], images_dir: Path) -> None:
    for entry in document["files"]:
        image = picture(entry, images_dir)
        for spec, wanted in preprocessings(network.spec.input, entry):
            digest = wanted.get("input_rgb_sha256") or wanted.get("resized_rgb_uint8_sha256")
            if digest:
                assert pixel_hash(to_network_size(image, spec)[..., ::-1]) == digest, entry["file"]
            blob = reference_input([image], spec)
            height, width = spec.height or entry["padded_height"], spec.width or entry["padded_width"]
            assert blob.shape == (1, 3, height, width)
            for name in ("mean", "min", "max"):
                if f"input_{name}" in wanted:
                    actual = STATISTICS[name](blob.double().numpy())
                    assert actual == pytest.approx(wanted[f"input_{name}"], abs=1e-6), entry["file"]


def test_outputs_of_files(network32: Reference, document: dict[str, Any], images_dir: Path) -> None:
    step = 3 if network32.spec.macs > HEAVY else 1
    for entry in document["files"][::step]:
        image = picture(entry, images_dir)
        for spec, wanted in preprocessings(network32.spec.input, entry):
            outputs = network32.outputs(reference_input([image], spec))
            if "score32" in wanted:
                for name, sample in file_samples(document, wanted).items():
                    difference = sample.deviation(outputs[name])
                    assert difference <= FLOAT32[network32.spec.name], (entry["file"], name)
            else:
                check_best_face(outputs, wanted)


@pytest.mark.parametrize("name", ["yunet-s", "yunet-n"])
def test_yunet_with_official_weights(
    name: str, golden: Callable[[str], Any], weights_dir: Path, images_dir: Path
) -> None:
    spec, document = MODELS[name], golden(name)["official_weights"]
    file = spec.weights["official"][0]
    path = weights_dir / file.file
    assert file.sha256 == document["sha256"] == file_hash(path)
    detector = build(name)
    detector.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)[file.key], strict=True)
    assert checksum(detector) == pytest.approx(document["checksum"], rel=1e-12)
    seeded = [seeded_image(i["image_index"], i["height"], i["width"], 0) for i in document["inputs"]]
    raw = [*document["raw64"], *(entry["raw64"] for entry in document["files"])]
    best = [*document["score64"], *document["files"]]
    images = [*seeded, *(picture(entry, images_dir) for entry in document["files"])]
    for image, heads, face in zip(images, raw, best, strict=True):
        outputs32 = detector.float().outputs(reference_input([image], spec.input))
        outputs64 = detector.double().outputs(reference_input([image], spec.input, torch.float64))
        check_best_face(outputs64, face)
        for head, entry in heads.items():
            sample = tensor_sample(entry)
            assert sample.deviation(outputs64[head]) <= FLOAT64 * sample.scale, head
            assert sample.deviation(outputs32[head]) <= FLOAT32[name], head


def test_cr_fiqa_keeps_its_embedding_within_reach() -> None:
    network = build("cr-fiqa-s")
    assert isinstance(network, CRFIQA)
    x = reference_input([seeded_image(i, 112, 112, 0) for i in range(2)], network.spec.input)
    with torch.no_grad():
        embedding = network.embedding(x)
        assert embedding.shape == (2, 512)
        torch.testing.assert_close(network.qs(embedding), network(x))
