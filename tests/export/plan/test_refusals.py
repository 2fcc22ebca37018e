"""What no plan is built of, and builds that fail: each ends in one line that says the fix, and leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.errors import ArtefactError, FiqaError, InputError, UnsupportedError

from tests.help.gpu.fake_trt_builder import ErrorCode
from tests.help.gpu.plan_workshop import CARD, Open, Workshop


def refused(here: Workshop, message: str) -> None:
    """Building is refused with one line that matches, and leaves nothing."""
    with pytest.raises(UnsupportedError, match=message) as caught:
        here.build()
    assert "\n" not in str(caught.value)
    here.check_nothing_left()


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (
            ErrorCode.UNSUPPORTED_NODE,
            "false",
            r"tensorrt 10.3.0 has no node '/flat' \(Flatten\) of ifqa.fp16.onnx: it does",
        ),
        (ErrorCode.UNSUPPORTED_NODE, "no 5-D input", r"\(Flatten\) of ifqa.fp16.onnx: no 5-D input; install a newer"),
        (
            ErrorCode.INVALID_NODE,
            "Invalid Node - /flat\nError Code 4: API Usage Error (types Half and Float)\n[catchCudaError] (35)",
            r"refuses node '/flat' \(Flatten\) of ifqa.fp16.onnx: Error Code 4: .*Half and Float\); export it again",
        ),
    ],
)
def test_a_node_that_the_parser_refuses(workshop: Open, code: ErrorCode, text: str, message: str) -> None:
    here = workshop()
    here.seen.faults.node = ("Flatten", code, text)
    refused(here, message)


def test_an_onnx_file_cut_in_half(workshop: Open) -> None:
    here = workshop()
    here.onnx.write_bytes(here.onnx.read_bytes()[:100])
    with pytest.raises(ArtefactError, match=r"cannot read ifqa.fp16.onnx \(Failed to parse .*\); export it again"):
        here.build()
    here.check_nothing_left()


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (
            ["Error Code 10: Internal Error (Could not find any implementation for node /mean_11 + /flat.)"],
            r"cannot build node '/mean_11' \(ReduceMean\) of ifqa.fp16.onnx: Error Code 10: .*; install a newer",
        ),
        (["Error Code 9: something else"], r"tensorrt 10.3.0 cannot build ifqa.fp16.onnx: Error Code 9"),
        (["no kernel for /mean_111 and /other/flat"], r"cannot build ifqa.fp16.onnx: no kernel for /mean_111"),
        (["[catchCudaError] Error Code 1"], r"cannot build ifqa.fp16.onnx: it does not say why"),
        (
            ["Error Code 1: Myelin", "Error Code 2: OutOfMemory (Requested size was 99 bytes.)"],
            r"not enough memory to build ifqa.fp16.onnx for batches of 32 .* build for less: --batch 1,16,16",
        ),
        (["no tactics within workspace limit"], r"the workspace is too small .* give more with --workspace"),
    ],
)
def test_a_build_that_fails(workshop: Open, errors: list[str], message: str) -> None:
    here = workshop()
    here.seen.faults.build = errors
    refused(here, message)


def test_errors_of_an_earlier_build_are_forgotten(workshop: Open) -> None:
    here = workshop()
    for text in ("first", "second"):
        here.seen.faults.build = [text]
        with pytest.raises(UnsupportedError, match=text):
            here.build()


def test_a_failed_build_leaves_the_last_plan(workshop: Open) -> None:
    here = workshop()
    here.build()
    before = here.plan.read_bytes()
    here.seen.faults.build = ["Error Code 10"]
    with pytest.raises(UnsupportedError):
        here.build()
    assert here.plan.read_bytes() == before


def test_a_folder_that_is_not_there(workshop: Open) -> None:
    here = workshop()
    here.plan = here.out / "missing" / "ifqa.fp16.plan"
    with pytest.raises(InputError, match=r"cannot write .*: No such file or directory"):
        here.build()
    here.check_nothing_left()


def test_no_builder_on_this_driver(workshop: Open) -> None:
    here = workshop()
    here.machine.trt.refuse.add("builder")
    with pytest.raises(
        UnsupportedError, match=r"does not start on this GPU \(CUDA init.*35\); update the NVIDIA driver"
    ):
        here.build()
    here.check_nothing_left()


# refusals before anything is built


@pytest.mark.parametrize(
    ("options", "machine", "precision", "message"),
    [
        ({"batch": (8, 4, 32)}, {}, "fp16", "--batch 8,4,32 is not a range"),
        ({"batch": (0, 1, 2)}, {}, "fp16", "--batch 0,1,2 is not a range"),
        ({"batch": (1, 8, 5000)}, {}, "fp16", "from 1 to 4096"),
        ({"optimisation": 6}, {}, "fp16", "level 6 does not exist; choose 0 to 5"),
        ({"workspace": 0}, {}, "fp16", "give at least 1 MiB"),
        (
            {"target": "tensorrt-next"},
            {},
            "fp16",
            "unknown target 'tensorrt-next'; choose auto, tensorrt, tensorrt-rtx",
        ),
        ({}, {"version": "10.2.0"}, "fp16", "TensorRT 10.2.0 is installed, fiqa-edge builds with 10.3 to 11"),
        ({}, {"version": "12.0.0"}, "fp16", "TensorRT 12.0.0 is installed"),
        (
            {"hardware_compatible": True},
            {"integrated": True},
            "fp16",
            "can be built on Fake Orin, Jetson plans run on one",
        ),
        ({"dla": 0}, {}, "fp32", "a DLA computes in fp16 and int8 only; add --fp16 or --int8"),
        ({"dla": 0, "version_compatible": True}, {}, "int8", "leave out the compatible flags"),
        ({"dla": 0, "batch": (1, 8, 8)}, {}, "int8", "a DLA takes batches of one size"),
        ({"dla": 2}, {}, "int8", "sees 2 DLA cores here, there is no core 2; leave out --dla"),
        ({"dla": -1}, {}, "int8", "there is no core -1"),
    ],
)
def test_what_cannot_be_built(
    workshop: Open, options: dict[str, Any], machine: dict[str, Any], precision: Precision, message: str
) -> None:
    here = workshop(**machine)
    with pytest.raises(FiqaError) as caught:
        here.build(replace(CARD, precision=precision), **options)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert here.seen.asked is None
    here.check_nothing_left()


def test_a_version_without_dla(workshop: Open) -> None:
    here = workshop(version="11.3.0")
    here.seen.dla_cores = None
    with pytest.raises(UnsupportedError, match="sees 0 DLA cores here"):
        here.build(dla=0)


def test_hardware_compatible_plans_start_with_ampere(workshop: Open) -> None:
    here = workshop()
    here.machine.gpu.capability = (7, 5)
    with pytest.raises(UnsupportedError, match="that takes an Ampere or later GPU; leave it out"):
        here.build(hardware_compatible=True)
