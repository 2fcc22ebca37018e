"""nvinfer's configuration: its formula applied to pixels gives the runtime's tensor, and what deviates is said."""

from __future__ import annotations

from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from fiqa_export.serving.deepstream import deepstream_config, write_deepstream
from fiqa_runtime.artefact.card import Card, read_card, with_files
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.artefact.zoo import GROUPS, MODELS
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image

from tests.help.samples.cards import plan_build

FileFormat = Literal["onnx", "plan"]
REFUSED = ("dsl-fiqa", "facexformer", "facexformer-512", *GROUPS["mtcnn"])


def card_for(name: str, form: FileFormat = "onnx", precision: Precision = "fp16", flavour: str = "tensorrt") -> Card:
    """A card of a network of the zoo; a plan is tuned for 8 of at most 16 images."""
    spec = MODELS[name]
    height, width = spec.input.height or 384, spec.input.width or 512
    profile = {key: [batch, 3, height, width] for key, batch in (("min", 1), ("opt", 8), ("max", 16))}
    plan = plan_build({"input": profile}, flavour=flavour) if form == "plan" else None
    return Card(
        spec.name, precision, form, spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch, plan=plan
    )


def read(text: str) -> dict[str, str]:
    parser = ConfigParser()
    parser.read_string(text)
    return dict(parser["property"])


def nvinfer_tensor(keys: dict[str, str], crop: np.ndarray) -> np.ndarray:
    """nvinfer's preprocessing of a uint8 BGR crop of the network's size: float32 (1, 3, H, W)."""
    factor = np.float32(keys["net-scale-factor"])
    offsets = [np.float32(value) for value in keys["offsets"].split(";")]
    pixels = {"0": crop[..., ::-1], "1": crop}[keys["model-color-format"]]
    planes = [factor * (pixels[..., c].astype(np.float32) - offsets[c]) for c in range(3)]
    return np.stack(planes)[None]


@pytest.mark.parametrize("form", ["onnx", "plan"])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in REFUSED])
def test_the_formula_gives_the_runtimes_tensor(name: str, form: FileFormat) -> None:
    card = card_for(name, form)
    keys = read(deepstream_config(f"{name}.fp16.{form}", card))
    channels, height, width = map(int, keys["infer-dims"].split(";"))
    assert channels == 3
    crop = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(nvinfer_tensor(keys, crop), prepare([crop], card.input))


@pytest.mark.parametrize("name", [name for name in MODELS if name not in REFUSED])
def test_keys(name: str) -> None:
    onnx, plan = (read(deepstream_config(f"{name}.{form}", card_for(name, form))) for form in ("onnx", "plan"))
    photo = MODELS[name].task == "detection"
    for keys in (onnx, plan):
        assert keys["network-type"] == "100"
        assert keys["output-tensor-meta"] == "1"
        assert keys["process-mode"] == ("1" if photo else "2")
        assert ("operate-on-gie-id" in keys) is not photo
        assert keys["maintain-aspect-ratio"] == ("1" if photo else "0")
    assert (onnx["onnx-file"], onnx["network-mode"]) == (f"{name}.onnx", "2")
    assert (plan["model-engine-file"], plan["batch-size"]) == (f"{name}.plan", "16")
    assert "network-mode" not in plan
    assert int(onnx["batch-size"]) == MODELS[name].max_batch
    if photo:
        assert (onnx["infer-dims"], plan["infer-dims"]) == ("3;640;640", "3;384;512")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ediffiqa-t", ["aligned by five landmarks", "112 x 112", "Pillow's anti-aliased bilinear", "score."]),
        ("cr-fiqa-s", ["aligned by five landmarks", "OpenCV's bilinear", "non-commercial"]),
        ("ifqa", ["as in FFHQ", "score, map", "draws nothing"]),
        ("ifqa-plus", ["bicubic filter, after the normalisation", "score, map"]),
        ("dsl-fiqa-visible", ["mean over", "20 crops", "384 x 384"]),
        ("yunet-n", ["scaled into 640 x 640", "raw: decode them", "kps_32"]),
    ],
)
def test_what_cannot_be_expressed_is_said_first(name: str, parts: list[str]) -> None:
    text = deepstream_config(f"{name}.fp16.onnx", card_for(name))
    head, _, settings = text.partition("[property]")
    assert all(line.startswith("#") for line in head.strip().splitlines())
    assert max(map(len, text.splitlines())) <= 120
    said = head.replace("\n# ", " ")
    assert not [part for part in [*parts, "not run on DeepStream", "engine of its own"] if part not in said]
    assert "#" not in settings
    assert "engine of its own" not in deepstream_config(f"{name}.plan", card_for(name, "plan"))


def raw(card: Card) -> Card:
    return replace(card, input=replace(card.input, raw=True))


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (card_for("facexformer"), r"by a number of its own \(58.40, 57.12, 57.38\), .* off by 1.1%; serve .* --triton"),
        (card_for("facexformer-512", "plan"), "off by 1.1%"),
        (card_for("dsl-fiqa"), "nvinfer feeds images only; export dsl-fiqa-visible"),
        (
            card_for("ifqa", "plan", flavour="tensorrt_rtx"),
            r"DeepStream loads no TensorRT-RTX plans such as a\.file; hand over",
        ),
        (raw(card_for("ifqa")), "nvinfer does so too; export it without --raw-input"),
        (card_for("ifqa", precision="int8"), "would build a.file as FP16, .* build the plan first"),
    ],
)
def test_refusals(card: Card, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        write_deepstream(tmp_path / "a.file", card, tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_int8_plans_are_taken() -> None:
    assert (
        read(deepstream_config("a.plan", card_for("ifqa", "plan", precision="int8")))["model-engine-file"] == "a.plan"
    )


def test_one_factor_off_is_noticed() -> None:
    """The refusal of unequal divisors is needed: the nearest single factor gives another tensor."""
    card = card_for("facexformer")
    even = replace(card, input=replace(card.input, std=(57.75,) * 3))
    crop = seeded_image(3, 224, 224)
    tensor = nvinfer_tensor(read(deepstream_config("a.onnx", even)), crop)
    worst = np.abs(tensor - prepare([crop], card.input)).max()
    assert 0.01 < worst < 0.04


def artefact_in(folder: Path, *names: str) -> tuple[Path, Card]:
    """Files that stand for a plan, with their card."""
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder / names[0], with_files(card_for("ifqa", "plan"), folder, list(names))


def test_folder(tmp_path: Path) -> None:
    artefact, card = artefact_in(tmp_path, "ifqa.fp16.plan")
    (tmp_path / "ifqa.plan").symlink_to(artefact.name)
    for _ in range(2):
        path = write_deepstream(tmp_path / "ifqa.plan", card, tmp_path / "ds")
    assert path == tmp_path / "ds/config_infer_ifqa.fp16.txt"
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, "ifqa.fp16.plan", "ifqa.fp16.plan.json"]
    assert read_card(path.parent / read(path.read_text(encoding="utf-8"))["model-engine-file"]) == card


def test_missing_file(tmp_path: Path) -> None:
    artefact, card = artefact_in(tmp_path, "ifqa.fp16.plan")
    artefact.unlink()
    with pytest.raises(InputError, match=r"cannot copy ifqa.fp16.plan to .*: No such file"):
        write_deepstream(artefact, card, tmp_path / "ds")
    assert list((tmp_path / "ds").iterdir()) == []
