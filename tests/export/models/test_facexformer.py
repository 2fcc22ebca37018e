"""FaceXFormer gives the published implementation's numbers at both input sizes, and so does the chain around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fiqa_export.checkpoints.seeded import load_seeded, seeded_image
from fiqa_export.models import build, facexformer
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.portrait import Landmarker, portrait_landmarks, to_pixels, upright_portrait
from torch import Tensor

from tests.help.samples.golden_samples import Sample, checksum, picture, recorded, tensor_sample

SPEC = MODELS["facexformer"]
STAGES = {f"backbone.0.{2 * i + 1}": f"stage{i + 1}_out" for i in range(4)}
MODULES = [*STAGES, "linear_fuse", "pe_layer", "face_decoder.transformer"]
FLOAT64 = 1e-9
"""Allowed deviation in float64, relative to the largest sampled value of the tensor."""
FLOAT32 = 3e-6
"""The same in float32."""
PIXELS = 2e-3
"""Allowed deviation of landmarks in pixels of 512 x 512 in float32."""


@pytest.fixture(scope="module")
def document(golden: Callable[[str], Any]) -> dict[str, Any]:
    return dict(golden("facexformer"))


@pytest.fixture(scope="module")
def state(document: dict[str, Any]) -> dict[str, Tensor]:
    """Seeded float64 state dict, the same for every input size."""
    network = load_seeded(build("facexformer"), dtype=torch.float64)
    assert checksum(network) == pytest.approx(document["checksum"], rel=1e-12)
    return dict(network.state_dict())


def sized(state: dict[str, Tensor], size: int, dtype: torch.dtype) -> facexformer.FaceXFormer:
    """The network for inputs of `size` with the values of `state`."""
    network = facexformer.build(replace(SPEC, input=replace(SPEC.input, height=size, width=size))).to(dtype)
    network.load_state_dict(state, strict=True)
    return network.eval()


def landmarker(network: facexformer.FaceXFormer) -> Landmarker:
    return lambda image: network.outputs(reference_input([image], network.spec.input))["landmarks"].numpy()


def whole(values: list[float]) -> Sample:
    return Sample((len(values),), list(range(len(values))), values)


def test_state_dict_has_the_official_entries(golden: Callable[[str], Any]) -> None:
    entries = [
        [name, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in build("facexformer").state_dict().items()
    ]
    assert entries == golden("facexformer.state")["entries"]


RENAMED: dict[str, str] = {"landmark": "landmarks", "headpose": "pose"}
"""Tasks in the golden document -> tasks of our network."""


@pytest.mark.parametrize("size", [224, 512])
def test_float64(state: dict[str, Tensor], document: dict[str, Any], size: int) -> None:
    network, section = sized(state, size, torch.float64), document[f"network_{size}"]
    for number, source in list(enumerate(section["inputs"]))[:2]:
        image = seeded_image(source["image_index"], size, size)
        with torch.no_grad(), recorded(network, MODULES) as modules:
            tasks = network.tasks(reference_input([image], network.spec.input, torch.float64))
        wanted: dict[str, Any] = dict(section["raw64"][number])
        sample = tensor_sample(wanted.pop("segmentation"))
        assert sample.deviation(tasks["segmentation"]) <= FLOAT64
        for name, values in wanted.items():
            deviation = whole(values).deviation(tasks[RENAMED.get(name, name)])
            assert deviation <= FLOAT64, name
        for name, entry in section["intermediates64"].items():
            sample = tensor_sample({**entry, **entry["images"][number]})
            assert sample.deviation(intermediate(modules, name, size // 4)) <= FLOAT64 * sample.scale, name


def intermediate(modules: dict[str, Any], name: str, side: int) -> Tensor:
    """What a golden's intermediate `name` is here."""
    tokens, image = modules["face_decoder.transformer"]
    tensors = {
        **{stage: modules[module] for module, stage in STAGES.items()},
        "fused": modules["linear_fuse"],
        "image_pe": modules["pe_layer"].T.reshape(256, side, side),
        "tokens_out": tokens,
        "image_out": image,
    }
    found: Tensor = tensors[name]
    return found


def test_float32_in_a_batch(state: dict[str, Tensor], document: dict[str, Any]) -> None:
    network, section = sized(state, 224, torch.float32), document["network_224"]
    images = [seeded_image(source["image_index"], 224, 224) for source in section["inputs"]]
    x = reference_input(images, network.spec.input)
    outputs = network.outputs(x)["landmarks"]
    assert outputs.shape == (4, 136)
    for row, raw, pixels in zip(outputs, section["raw32"], section["landmarks_px64"], strict=True):
        sample = whole(raw["landmark"])
        assert sample.deviation(row) <= FLOAT32 * sample.scale
        assert np.abs(to_pixels(row.numpy(), 224) - pixels).max() <= PIXELS
    network.freeze()
    with torch.no_grad():
        assert torch.equal(network.tasks(x)["landmarks"], outputs)


def test_landmarks_of_files(state: dict[str, Tensor], document: dict[str, Any], images_dir: Path) -> None:
    network = sized(state, 224, torch.float32)
    for entry in document["files"]:
        image = picture(entry, images_dir)
        sample = tensor_sample(entry["network_input_samples"])
        assert sample.deviation(reference_input([image], SPEC.input)) <= 1e-6
        points = portrait_landmarks(image, landmarker(network))
        assert np.abs(points - entry["landmarks512_32"]).max() <= PIXELS


@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.slow, id=f"{n}") for n in (1, 2, 3))])
def test_both_passes(state: dict[str, Tensor], document: dict[str, Any], images_dir: Path, number: int) -> None:
    entry = document["crop_and_align"][number]
    network, outputs = sized(state, 512, torch.float32), []

    def first_pass(image: Any) -> Any:
        outputs.append(landmarker(network)(image))
        return outputs[-1]

    portrait = upright_portrait(picture(entry, images_dir), entry["box_xyxy"], first_pass, entry["margin_percent"])
    eyes = to_pixels(outputs[0], 512)[[38, 47]]
    assert np.abs(eyes - [entry["eye_left_px"], entry["eye_right_px"]]).max() <= PIXELS
    rgb, aligned = portrait[..., ::-1], entry["aligned"]
    assert (rgb.ravel()[aligned["flat_index"]] != aligned["values"]).sum() <= 1
    assert rgb.mean() == pytest.approx(aligned["mean"], abs=1e-2)
    if "landmarks512_32_of_aligned" in entry:
        points = portrait_landmarks(portrait, landmarker(sized(state, 224, torch.float32)))
        assert np.abs(points - entry["landmarks512_32_of_aligned"]).max() <= 0.2


@pytest.mark.parametrize(("height", "width"), [(224, 512), (100, 100), (None, None)])
def test_unfit_input_size(height: int | None, width: int | None) -> None:
    with pytest.raises(InputError, match="224 or 512"):
        facexformer.build(replace(SPEC, input=replace(SPEC.input, height=height, width=width)))
