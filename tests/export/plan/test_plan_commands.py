"""Plans through the commands as typed, on a fake GPU: scores, a benchmark, and every kind of bad input in one line."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import fiqa_benchmarks.cli
import fiqa_export.cli
import fiqa_runtime.cli
import numpy as np
import pytest
from fiqa_benchmarks.speed.memory import Footprint
from fiqa_runtime.artefact.card import Canary, built_for, card_path, read_card, with_files, write_card
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.canaries import probe

from tests.help.commands import Invoke, invoker
from tests.help.gpu.fake_machine import Machine, Make
from tests.help.gpu.fake_tensorrt import OUTPUTS, reference
from tests.help.gpu.plan_workshop import CARD, Open, Workshop, write_onnx

COUNT = 6
"""Crops, more than the plan takes at once."""


@pytest.fixture(name="command")
def command_fixture(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`command(main)` runs one of our commands."""
    return lambda main: invoker(main, capsys, monkeypatch)


@pytest.fixture(name="score")
def score_fixture(command: Callable[..., Invoke]) -> Invoke:
    return command(fiqa_runtime.cli.main)


@pytest.fixture(name="export")
def export_fixture(command: Callable[..., Invoke], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)
    return command(fiqa_export.cli.main)


@pytest.fixture(name="crops")
def crops_fixture(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    folder.mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index}.png"), seeded_image(index, 8, 8))
    return folder


def test_fiqa_score_on_the_link_to_a_plan(make: Make, score: Invoke, crops: Path, tmp_path: Path) -> None:
    machine = make()
    plan = machine.write()
    (tmp_path / "ifqa.plan").symlink_to(plan.name)
    result = score(
        crops, "--aligned", "--engine", tmp_path / "ifqa.plan", "--overlay", tmp_path / "maps", "--json", "-"
    )
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["backend"]["name"] == "tensorrt"
    tensor = prepare([seeded_image(index, 8, 8) for index in range(COUNT)], read_card(plan).input)
    got = [image["quality"] for image in document["images"]]
    np.testing.assert_allclose(got, reference({"input": tensor}, OUTPUTS)["score"][:, 0], atol=1e-6)
    assert list((tmp_path / "maps").iterdir())
    machine.gpu.check_nothing_left()


def test_fiqa_bench_on_a_plan(make: Make, command: Callable[..., Invoke], monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the footprint, which is taken in a process of its own, where the fake is not."""
    machine = make()
    monkeypatch.setattr("fiqa_benchmarks.speed.bench.footprint", lambda *_: Footprint(0.5, {1: 1 << 20, 8: 1 << 21}))
    bench = command(fiqa_benchmarks.cli.main)
    result = bench("--engine", machine.write(), "--batch", "1,8", "--rounds", "2", "--json", "-")
    assert result.code == 0, result.err
    (contender,) = json.loads(result.out)["contenders"]
    assert contender["backend"]["name"] == "tensorrt"
    assert contender["backend"]["device"] == "Fake Orin (8.7)"
    assert set(contender["batches"]) == {"1", "8"}
    machine.gpu.check_nothing_left()


def cut_in_half(plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[: plan.stat().st_size // 2])


def with_a_flipped_byte(plan: Path) -> None:
    data = bytearray(plan.read_bytes())
    data[len(data) // 2] ^= 1
    plan.write_bytes(data)


def without_a_card(plan: Path) -> None:
    card_path(plan).unlink()


def with_the_card_of_another_build(plan: Path) -> None:
    """Of the same name, as after copying one file of two."""
    plan.write_bytes(plan.read_bytes() + b" ")


def with_the_card_of_another_name(plan: Path) -> None:
    other = plan.with_name("other.fp16.plan")
    other.write_bytes(plan.read_bytes())
    write_card(with_files(read_card(plan), plan.parent, [other.name]), plan)
    other.unlink()


def built_elsewhere(**facts: Any) -> Callable[[Path], None]:
    def change(plan: Path) -> None:
        card = read_card(plan)
        write_card(replace(card, plan=replace(built_for(card), **facts)), plan)

    return change


BAD_PLANS = {
    "half": (cut_in_half, ["SHA-256 differs", "export it again"]),
    "flipped byte": (with_a_flipped_byte, ["SHA-256 differs", "export it again"]),
    "no card": (without_a_card, ["has no card", "run fiqa-export"]),
    "another build": (with_the_card_of_another_build, ["SHA-256 differs", "export it again"]),
    "another name": (with_the_card_of_another_name, ["card of another file", "with fiqa-export"]),
    "version": (built_elsewhere(version="10.7.0"), ["10.3.0 is installed", "fiqa-export ifqa --fp16"]),
    "GPU": (built_elsewhere(gpu="NVIDIA L4", compute_capability="8.9"), ["NVIDIA L4", "fiqa-export ifqa --fp16"]),
}


@pytest.mark.parametrize("name", BAD_PLANS)
def test_bad_plans(make: Make, score: Invoke, crops: Path, tmp_path: Path, name: str) -> None:
    change, parts = BAD_PLANS[name]
    machine = make()
    plan = machine.write()
    change(plan)
    check_refused(machine, score, crops, tmp_path, parts)
    assert not machine.gpu.names("deserialize")


def test_too_little_gpu_memory(make: Make, score: Invoke, crops: Path, tmp_path: Path) -> None:
    machine = make(capacity=4000)
    machine.write()
    check_refused(machine, score, crops, tmp_path, ["wanted", "free", "would fit", "--batch 1,"])


def check_refused(machine: Machine, score: Invoke, crops: Path, tmp_path: Path, parts: list[str]) -> None:
    """One line, exit code 2, and neither a file nor a block of memory more than before."""
    before = sorted(tmp_path.rglob("*"))
    wanted = [*("--csv", tmp_path / "s.csv"), *("--json", tmp_path / "s.json"), *("--overlay", tmp_path / "overlay")]
    result = score(crops, "--aligned", "--engine", tmp_path / "ifqa.fp16.plan", *wanted)
    assert result.is_one_line(*parts), result
    assert sorted(tmp_path.rglob("*")) == before
    machine.gpu.check_nothing_left()


def memory_is_short(here: Workshop) -> None:
    here.seen.faults.build = ["[defaultAllocator.cpp::allocate::58] Error Code 1: Cuda Runtime (out of memory)"]


def of_one_batch(here: Workshop) -> None:
    write_onnx(here.onnx, (1, 3, 8, 8))


def with_canaries(here: Workshop, precision: Precision = "fp16", off: float = 0.0) -> None:
    """Give the ONNX file a card; its canaries are what the fake network gives, but for `off`."""
    expected = reference({"input": prepare([seeded_image(0, 8, 8)], CARD.input)}, OUTPUTS)
    values = {name: tuple(value + off for value in probe(array[0])) for name, array in expected.items()}
    card = replace(
        CARD,
        precision=precision,
        canaries=(Canary(0, 8, 8, 0, values),),
        canary_tolerance=dict.fromkeys(OUTPUTS, 1e-4),
    )
    write_card(with_files(card, here.onnx.parent, [here.onnx.name]), here.onnx)


def test_fiqa_export_builds_proves_and_hands_over(
    workshop: Open, export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = workshop()
    monkeypatch.setattr("fiqa_export.serving.delivery.locate", lambda _: here.onnx)
    with_canaries(here)
    triton, deepstream = tmp_path / "triton", tmp_path / "deepstream"
    given = ("--target", "tensorrt", "--batch", "1,2,4", "--triton", triton, "--with-faces", "--deepstream", deepstream)
    result = export(here.onnx, *given, "--json", "-")
    assert result.code == 0, result.err
    plan = here.onnx.with_suffix(".plan")
    card = read_card(plan.with_name("ifqa.plan"))
    assert plan.with_name("ifqa.plan").readlink() == Path(plan.name)
    assert (built_for(card).gpu, built_for(card).profile["input"].max) == ("Fake Orin", (4, 3, 8, 8))
    assert json.loads(result.out)["artefacts"][0]["files"] == card.files
    assert here.machine.gpu.names("execute"), "the canaries were not scored"
    assert read_card(triton / "ifqa-fp16" / "1" / plan.name) == card
    assert 'backend: "tensorrt"' in (triton / "ifqa-fp16" / "config.pbtxt").read_text(encoding="utf-8")
    assert read_card(triton / "ifqa-fp16-crops" / "1" / here.onnx.name) == read_card(here.onnx)
    assert read_card(deepstream / plan.name) == card
    assert f"model-engine-file={plan.name}" in (deepstream / "config_infer_ifqa.fp16.txt").read_text(encoding="utf-8")
    here.machine.gpu.check_nothing_left()


def test_a_folder_that_takes_no_plan_is_refused_before_the_build(
    workshop: Open, export: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = workshop()
    with_canaries(here)

    def refuse(**options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    result = export(here.onnx, "--target", "tensorrt")
    assert result.is_one_line(f"cannot write to {here.onnx.parent}: Permission denied"), result


def test_a_document_over_the_artefact_or_its_plan_is_refused_before_the_build(workshop: Open, export: Invoke) -> None:
    here = workshop()
    with_canaries(here)
    for file, what in ((here.onnx, "the artefact"), (here.onnx.with_suffix(".plan"), "the plan")):
        result = export(here.onnx, "--target", "tensorrt", "--json", file)
        assert result.is_one_line(f"--json and {what} are the same file {file}"), result


def test_a_plan_that_is_not_faithful_is_not_kept(workshop: Open, export: Invoke, tmp_path: Path) -> None:
    here = workshop()
    with_canaries(here, off=0.01)
    result = export(here.onnx, "--target", "tensorrt")
    assert result.code == 3
    assert "ifqa.fp16.plan is not faithful on this GPU: self-test FAILED" in result.err
    assert not list(tmp_path.rglob("*.plan*"))
    here.machine.gpu.check_nothing_left()


BAD_BUILDS: dict[str, tuple[Precision, list[str], Callable[[Workshop], None], list[str]]] = {
    "precision": ("fp32", ["--dla", "0"], lambda here: None, ["DLA computes in fp16 and int8 only", "add --fp16"]),
    "memory": ("fp16", [], memory_is_short, ["not enough memory to build", "--batch 1,16,16"]),
    "profile": ("fp16", ["--batch", "1,2,4"], of_one_batch, ["takes batches of 1 alone", "--batch 1,1,1"]),
}


@pytest.mark.parametrize("name", BAD_BUILDS)
def test_bad_builds(workshop: Open, export: Invoke, tmp_path: Path, name: str) -> None:
    precision, options, spoil, parts = BAD_BUILDS[name]
    here = workshop()
    spoil(here)
    with_canaries(here, precision)
    before = files_in(tmp_path)
    result = export(here.onnx, "--target", "tensorrt", *options)
    assert result.is_one_line(*parts), result
    assert files_in(tmp_path) == before
    here.machine.gpu.check_nothing_left()


@pytest.mark.parametrize("options", [["--out", "elsewhere"], ["--keep-failed"], ["--int8"], ["--target", "none"]])
def test_a_finished_file_takes_options_of_the_plan_only(
    workshop: Open, export: Invoke, tmp_path: Path, options: list[str]
) -> None:
    here = workshop()
    with_canaries(here)
    before = sorted(tmp_path.rglob("*"))
    assert export(here.onnx, *options).is_one_line("is exported already")
    assert sorted(tmp_path.rglob("*")) == before


def files_in(folder: Path) -> list[Path]:
    """But for the lock that Polygraphy keeps beside the timings in the user cache."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
