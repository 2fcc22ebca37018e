"""Plans that the TensorRT backend must not run here, and cards that do not fit them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fiqa_runtime.artefact.card import card_path, read_card
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.backends.tensorrt.backend import open_artefact
from fiqa_runtime.errors import CardError, UnsupportedError
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.gpu.fake_machine import Make, check, images

"""Bytes of the largest batch."""


def test_plan_without_a_card(make: Make) -> None:
    machine = make()
    path = machine.write()
    card_path(path).unlink()
    with pytest.raises(CardError, match=r"has no card"):
        Scorer(path)
    assert not machine.gpu.log


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: b""]
)
def test_damaged_plan_is_never_deserialised(make: Make, damage: Callable[[bytes], bytes]) -> None:
    machine = make()
    path = machine.write()
    card = read_card(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CardError, match="SHA-256 differs"):
        Scorer(path)
    with pytest.raises(CardError, match="SHA-256 differs"):
        open_artefact(path, card, None)
    assert not machine.gpu.log


def test_card_of_another_plan(make: Make) -> None:
    machine = make()
    path = machine.write()
    other = path.with_name("other.plan")
    other.write_bytes(path.read_bytes())
    card_path(other).write_bytes(card_path(path).read_bytes())
    with pytest.raises(CardError, match="card of another file"):
        Scorer(other)
    with pytest.raises(CardError, match="SHA-256 differs"):
        open_artefact(other, read_card(path), None)


REBUILD = "build it again here: fiqa-export ifqa --fp16 --target tensorrt"


@pytest.mark.parametrize(
    ("facts", "flags", "message"),
    [
        ({"version": "10.2.0"}, {}, f"built by tensorrt 10.2.0, 10.3.0 is installed; {REBUILD}"),
        ({"version": "10.13.2"}, {}, f"built by tensorrt 10.13.2, 10.3.0 is installed; {REBUILD}"),
        ({"version": "10.13.2"}, {"version_compatible": True}, f"10.3.0 is installed; {REBUILD}"),
        ({"gpu": "NVIDIA L4"}, {}, f"built for NVIDIA L4 (compute capability 8.7), here is Fake Orin (8.7); {REBUILD}"),
        ({"compute_capability": "8.9"}, {}, f"(compute capability 8.9), here is Fake Orin (8.7); {REBUILD}"),
    ],
)
def test_plan_for_elsewhere(make: Make, facts: dict[str, Any], flags: dict[str, Any], message: str) -> None:
    machine = make()
    with pytest.raises(UnsupportedError) as caught:
        machine.open(facts=facts, flags=flags)
    assert message in str(caught.value)
    assert not machine.gpu.names("deserialize")


@pytest.mark.parametrize(("precision", "options"), [("fp32", ""), ("int8", " --int8 --calib FOLDER")])
def test_the_command_that_builds_it_again(make: Make, precision: Precision, options: str) -> None:
    path = make().write(facts={"version": "10.4.0"})
    with pytest.raises(UnsupportedError, match=rf"build it again here: fiqa-export ifqa{options} --target tensorrt$"):
        open_artefact(path, replace(read_card(path), precision=precision), None)


@pytest.mark.parametrize(
    ("weights", "option"),
    [
        (Weights("official"), ""),
        (Weights("file"), " --weights FILE"),
        (Weights("standin"), " --weights standin"),
        (Weights("seeded", seed=3), " --weights seeded:3"),
    ],
)
def test_it_is_built_again_from_the_same_weights(make: Make, weights: Weights, option: str) -> None:
    path = make().write(facts={"version": "10.4.0"})
    card = replace(read_card(path), weights=weights)
    with pytest.raises(UnsupportedError, match=rf"fiqa-export ifqa --fp16{option} --target tensorrt$"):
        open_artefact(path, card, None)
    raw = replace(card, input=replace(card.input, raw=True))
    with pytest.raises(UnsupportedError, match=rf"fiqa-export ifqa --fp16{option} --raw-input --target tensorrt$"):
        open_artefact(path, raw, None)


def test_it_is_built_again_from_the_onnx_file_beside_it(make: Make) -> None:
    path = make().write(facts={"version": "10.4.0"})
    onnx = path.with_suffix(".onnx")
    onnx.touch()
    with pytest.raises(UnsupportedError) as caught:
        Scorer(path)
    assert str(caught.value).endswith(f"build it again here: fiqa-export {onnx} --target tensorrt")


def test_hardware_compatible_plan_runs_on_ampere_and_later(make: Make) -> None:
    machine = make()
    elsewhere = {"gpu": "NVIDIA L4", "compute_capability": "8.9"}
    check(machine.open(facts=elsewhere, flags={"hardware_compatible": True}), images(2))
    machine.gpu.capability = (7, 5)
    with pytest.raises(UnsupportedError, match=r"Ampere GPUs and later.*here is Fake Orin \(7.5\); build it again"):
        machine.open(facts=elsewhere, flags={"hardware_compatible": True})


def test_version_compatible_plan_runs_through_the_lean_runtime(make: Make) -> None:
    machine = make(version="11.1.0")
    check(machine.open(flags={"version_compatible": True}), images(2))
    loads = [entry for entry in machine.gpu.log if entry[0] in ("load_runtime", "deserialize")]
    assert loads[0] == ("load_runtime", "libnvinfer_lean.so.10")
    assert loads[1][2] is False, "host code of the plan was allowed"
    machine.trt.refuse.add("load_runtime")
    with pytest.raises(UnsupportedError, match=r"needs libnvinfer_lean.so.10, which cannot be loaded; install it or"):
        machine.open(flags={"version_compatible": True})


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0", "12.0.0"])
def test_tensorrt_out_of_range(make: Make, version: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"TensorRT {version} is installed, .* 10.3 to 11"):
        make(version=version).open(facts={"version": version})


def test_rtx_plan_is_run_by_tensorrt_rtx(make: Make) -> None:
    portable = {"flavour": "tensorrt_rtx", "version": "1.7.1.116", "gpu": None, "compute_capability": None}
    machine = make(flavour="tensorrt_rtx", version="1.7.1.116")
    backend = machine.open(facts=portable)
    assert backend.info["version"] == "tensorrt_rtx 1.7.1.116"
    check(backend, images(5))
    check(machine.open(facts={**portable, "compute_capability": "8.7"}), images(5))
    with pytest.raises(UnsupportedError, match="--target tensorrt-rtx"):
        machine.open(facts={**portable, "compute_capability": "8.9"})
    with pytest.raises(UnsupportedError, match=r"built by tensorrt_rtx 1.2.0.54, 1.7.1.116 is installed"):
        machine.open(facts={**portable, "version": "1.2.0.54"}, flags={"version_compatible": True})
    machine.trt.refuse.add("validity")
    with pytest.raises(UnsupportedError, match=r"\(version mismatch, unsupported cc\); build it again"):
        machine.open(facts=portable)


def test_dla_core_is_set_before_loading(make: Make) -> None:
    machine = make()
    machine.open(flags={"dla": 1}).close()
    assert next(entry for entry in machine.gpu.log if entry[0] == "deserialize")[3] == 1


@pytest.mark.parametrize("missing", ["flavour", "version", "gpu", "compute_capability", "flags"])
def test_card_that_does_not_say_it_all(make: Make, missing: str) -> None:
    path = make().write()
    document = json.loads(card_path(path).read_text(encoding="utf-8"))
    del document["plan"][missing]
    card_path(path).write_text(json.dumps(document))
    with pytest.raises(CardError, match=rf"is damaged \(plan\.{missing} is missing\); export the artefact again"):
        read_card(path)


def test_card_of_an_unknown_flavour(make: Make) -> None:
    with pytest.raises(CardError, match="plan of 'tensorrt_next'"):
        make().open(facts={"flavour": "tensorrt_next"})


def test_card_with_other_outputs(make: Make) -> None:
    machine = make()
    path = machine.write()
    card = read_card(path)
    with pytest.raises(CardError, match="other outputs than its card says; build it again: fiqa-export"):
        open_artefact(path, replace(card, outputs=card.outputs[:1]), None)
    machine.gpu.check_nothing_left()


def test_outputs_are_named_as_on_the_card(make: Make) -> None:
    path = make().write()
    card = read_card(path)
    renamed = replace(card, outputs=tuple(replace(each, name=each.name + "0") for each in card.outputs))
    assert list(open_artefact(path, renamed, None).run(images(1))) == ["score0", "map0"]
