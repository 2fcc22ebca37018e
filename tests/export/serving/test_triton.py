"""The Triton model repository: its configuration parsed by Triton's own protobuf, its artefact scored from there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import onnx
import pytest
import torch
from fiqa_export.models import build
from fiqa_export.serving.triton import triton_config, write_triton
from fiqa_runtime.artefact.card import Card, built_for, read_card, with_files
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test

from tests.help.samples.cards import plan_build

FileFormat = Literal["onnx", "plan"]
PROFILES = {"yunet-n": [[1, 3, 320, 320], [4, 3, 1280, 1280]]}
NEEDS_REAL_TENSORS = ("dsl-fiqa", "dsl-fiqa-visible")
"""Networks that PyTorch cannot run without memory; both give one score."""


def card_for(name: str, form: FileFormat = "onnx", flavour: str = "tensorrt", precision: Precision = "fp16") -> Card:
    """A card of a network of the zoo; a plan's profile ends at a batch of 4."""
    spec = MODELS[name]
    low, high = PROFILES.get(name, [[n, 3, spec.input.height or 640, spec.input.width or 640] for n in (1, 4)])
    shapes = {"input": {"min": low, "opt": low, "max": high}}
    plan = plan_build(shapes, flavour=flavour) if form == "plan" else None
    return Card(
        spec.name, precision, form, spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch, plan=plan
    )


def parse(text: str) -> Any:
    pytest.importorskip("tritonclient.grpc", reason="needs tritonclient[grpc]")
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse(text, ModelConfig())


def dims(tensors: Any) -> dict[str, list[int]]:
    from tritonclient.grpc.model_config_pb2 import DataType

    assert {tensor.data_type for tensor in tensors} == {DataType.TYPE_FP32}
    return {tensor.name: list(tensor.dims) for tensor in tensors}


@pytest.mark.parametrize("form", ["onnx", "plan"])
@pytest.mark.parametrize("name", MODELS)
def test_configuration(name: str, form: FileFormat) -> None:
    card = card_for(name, form)
    config = parse(triton_config(f"{name}.fp16.{form}", card))
    assert config.name == f"{name}-fp16"
    assert config.backend == {"onnx": "onnxruntime", "plan": "tensorrt"}[form]
    assert config.default_model_filename == f"{name}.fp16.{form}"
    assert config.max_batch_size == (4 if form == "plan" else card.max_batch)
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000
    assert [group.count for group in config.instance_group] == [1]
    group = config.instance_group[0]
    assert group.kind == (group.KIND_GPU if form == "plan" else group.KIND_AUTO)
    assert config.version_policy.latest.num_versions == 1
    expected = {"input": [3, card.input.height or -1, card.input.width or -1]}
    if name == "dsl-fiqa":
        expected["landmarks"] = [500]
    if card.input.height is None and name not in PROFILES and form == "plan":
        expected["input"] = [3, 640, 640]
    assert dims(config.input) == expected


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NEEDS_REAL_TENSORS])
def test_output_dims_are_those_of_the_network(name: str) -> None:
    spec = MODELS[name]
    height, width = spec.input.height or 640, spec.input.width or 640
    with torch.device("meta"):
        shapes = {
            key: list(value.shape[1:]) for key, value in build(name).outputs(torch.zeros(2, 3, height, width)).items()
        }
    profile = {"input": {key: [1, 3, height, width] for key in ("min", "max")}}
    fixed = replace(card_for(name, "plan"), plan=plan_build(profile))
    assert dims(parse(triton_config("a.plan", fixed)).output) == shapes
    free = dims(parse(triton_config("a.onnx", card_for(name))).output)
    if spec.family == "yunet":
        assert free == {key: [-1, shape[1]] for key, shape in shapes.items()}
    else:
        photo = spec.input.framing == "photo"
        assert free == {key: [shape[0], -1, -1] if photo else shape for key, shape in shapes.items()}


@pytest.mark.parametrize("name", NEEDS_REAL_TENSORS)
def test_output_dims_of_dsl_fiqa(name: str) -> None:
    assert dims(parse(triton_config("a.onnx", card_for(name))).output) == {"score": [1]}


def test_repository(seeded_engine: Path, tmp_path: Path) -> None:
    card = read_card(seeded_engine)
    model = write_triton(seeded_engine, card, tmp_path / "models")
    assert model == tmp_path / "models/ediffiqa-t-fp32"
    config = parse((model / "config.pbtxt").read_text(encoding="utf-8"))
    served = model / "1" / config.default_model_filename
    assert sorted(path.name for path in model.iterdir()) == ["1", "config.pbtxt"]
    graph = onnx.load(served).graph
    for tensors, values in ((config.input, graph.input), (config.output, graph.output)):
        found = {value.name: [d.dim_value or -1 for d in value.type.tensor_type.shape.dim] for value in values}
        assert found == {name: [-1, *shape] for name, shape in dims(tensors).items()}
    with Scorer(served) as scorer:
        assert scorer.card == card
        assert self_test(scorer).passed


def test_the_next_export_is_the_next_version(seeded_engine: Path, tmp_path: Path) -> None:
    card = read_card(seeded_engine)
    for _ in range(2):
        model = write_triton(seeded_engine, card, tmp_path)
    assert [path.name for path in model.iterdir() if path.is_dir()] == ["1"]
    write_triton(seeded_engine, replace(card, notes=("better weights",)), tmp_path)
    assert sorted(path.name for path in model.iterdir()) == ["1", "2", "config.pbtxt"]
    assert read_card(model / "2" / seeded_engine.name).notes == ("better weights",)


def fake_artefact(folder: Path, names: tuple[str, ...]) -> tuple[Path, Card]:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder / names[0], with_files(card_for("ifqa-plus", "plan"), folder, list(names))


def test_data_file_comes_along_and_links_are_followed(tmp_path: Path) -> None:
    artefact, card = fake_artefact(tmp_path / "engines", ("ifqa-plus.fp16.onnx", "ifqa-plus.fp16.onnx.data"))
    link = artefact.with_name("ifqa-plus.onnx")
    link.symlink_to(artefact.name)
    model = write_triton(link, replace(card, format="onnx", plan=None), tmp_path / "models")
    assert sorted(path.name for path in (model / "1").iterdir()) == [
        "ifqa-plus.fp16.onnx",
        "ifqa-plus.fp16.onnx.data",
        "ifqa-plus.fp16.onnx.json",
    ]


def test_plan_with_its_card(tmp_path: Path) -> None:
    artefact, card = fake_artefact(tmp_path / "engines", ("ifqa-plus.fp16.plan",))
    model = write_triton(artefact, card, tmp_path / "models")
    assert read_card(model / "1/ifqa-plus.fp16.plan") == card


def test_interrupted_copy_leaves_no_version(tmp_path: Path) -> None:
    artefact, card = fake_artefact(tmp_path / "engines", ("ifqa-plus.fp16.plan",))
    artefact.unlink()
    with pytest.raises(InputError, match=r"cannot copy ifqa-plus.fp16.plan to .*: No such file"):
        write_triton(artefact, card, tmp_path / "models")
    assert list((tmp_path / "models/ifqa-plus-fp16").iterdir()) == []


def test_version_that_somebody_else_added_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artefact, card = fake_artefact(tmp_path / "engines", ("ifqa-plus.fp16.plan",))
    model = tmp_path / "models/ifqa-plus-fp16"

    def copy(*arguments: object) -> None:
        (model / "1/theirs").mkdir(parents=True)

    monkeypatch.setattr("fiqa_export.serving.repository.copy_artefact", copy)
    with pytest.raises(InputError, match=r"cannot add version 1 to .*: Directory not empty; run it again"):
        write_triton(artefact, card, tmp_path / "models")
    assert [path.name for path in model.iterdir()] == ["1"]


def test_rtx_plans_are_refused(tmp_path: Path) -> None:
    card = card_for("ifqa", "plan", flavour="tensorrt_rtx")
    with pytest.raises(
        UnsupportedError, match=r"Triton loads no TensorRT-RTX plans such as ifqa.plan; hand over the ONNX file"
    ):
        write_triton(tmp_path / "ifqa.plan", card, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_plans_without_a_batch_of_one_are_refused() -> None:
    card = card_for("ifqa", "plan")
    profile = {"input": {key: [batch, 3, 256, 256] for key, batch in (("min", 4), ("opt", 8), ("max", 8))}}
    with pytest.raises(UnsupportedError, match=r"ifqa.plan takes batches from 4, Triton .* with --batch 1,8,8"):
        triton_config("ifqa.plan", replace(card, plan=plan_build(profile)))


@pytest.mark.parametrize("compatible", [False, True])
def test_version_compatible_plans_say_how_to_start_triton(compatible: bool) -> None:
    card = card_for("ifqa", "plan")
    flags = replace(built_for(card).flags, version_compatible=compatible)
    text = triton_config("a.plan", replace(card, plan=replace(built_for(card), flags=flags)))
    assert ("version-compatible=true" in text) is compatible
    assert parse(text).name == "ifqa-fp16"


@pytest.mark.parametrize("name", ["ediffiqa-t", "yunet-n"])
def test_raw_input(name: str) -> None:
    card = card_for(name)
    config = parse(triton_config("a.onnx", replace(card, input=replace(card.input, raw=True))))
    assert "data_type: TYPE_UINT8" in str(config.input[0])
    assert list(config.input[0].dims) == [card.input.height or -1, card.input.width or -1, 3]


def test_outputs_of_unknown_size_are_refused() -> None:
    card = card_for("ediffiqa-t")
    other = replace(card, outputs=(replace(card.outputs[0], kind="embedding"),))
    with pytest.raises(UnsupportedError, match="does not say how large 'score' is"):
        triton_config("a.onnx", other)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(seeded_engine: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="choose a folder you may write to"):
        write_triton(seeded_engine, read_card(seeded_engine), tmp_path / "models")


def test_folder_that_is_a_file(seeded_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(InputError, match="choose a folder you may write to"):
        write_triton(seeded_engine, read_card(seeded_engine), tmp_path / "models")
