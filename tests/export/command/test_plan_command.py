"""``fiqa-export`` and plans: what is written where, what is said where none can be built, bad input."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fiqa_export.plan.target import NoBuilderError, PlanOptions, order_plan
from fiqa_runtime.artefact.card import built_for, card_path, read_card

from tests.help.commands import Invoke
from tests.help.samples.bright_faces import bright_yunet

BASIC = ("ediffiqa-t", "--weights", "seeded")


@pytest.fixture()
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, package, None)


def test_plan_card_and_link(export: Invoke, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="install fiqa-edge[rtx] to build plans")
    result = export(*BASIC, "--target", "tensorrt-rtx", "--batch", "1,2,4", "--out", tmp_path, "--json", "-")
    assert result.code == 0, result.err
    onnx, plan = json.loads(result.out)["artefacts"]
    assert (onnx["format"], plan["format"]) == ("onnx", "plan")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("ediffiqa-t.fp32.onnx", "ediffiqa-t.fp32.onnx.json", "ediffiqa-t.fp32.plan", "ediffiqa-t.fp32.plan.json"),
        "ediffiqa-t.plan",
    ]
    assert (tmp_path / "ediffiqa-t.plan").readlink() == Path("ediffiqa-t.fp32.plan")
    card = read_card(tmp_path / "ediffiqa-t.plan")
    assert card.format == "plan"
    assert built_for(card).profile["input"].max == (4, 3, 112, 112)
    assert built_for(card).onnx_sha256 == onnx["files"]["ediffiqa-t.fp32.onnx"]


@pytest.mark.usefixtures("no_tensorrt")
def test_auto_without_a_builder_exports_onnx_and_says_so(export: Invoke, tmp_path: Path) -> None:
    result = export(*BASIC, "--out", tmp_path)
    assert result.code == 0, result.err
    assert "no TensorRT plan was built: " in result.err
    assert "pip install 'fiqa-edge[" in result.err
    assert not list(tmp_path.glob("*.plan*"))


def test_without_polygraphy_there_is_no_builder(
    export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before anything is exported, and no failure of `auto`."""
    pytest.importorskip("tensorrt_rtx", reason="install fiqa-edge[rtx] to build plans")
    for name in [each for each in sys.modules if each.startswith("polygraphy.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "polygraphy", None)
    refused = export(*BASIC, "--target", "tensorrt-rtx", "--out", tmp_path)
    assert refused.is_one_line("pip install polygraphy"), refused
    assert not list(tmp_path.iterdir())
    with pytest.raises(NoBuilderError, match="pip install polygraphy"):
        order_plan(PlanOptions("auto"), "fp32")


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--target", "tensorrt"], ["tensorrt cannot be imported", "pip install"]),
        (["--target", "tensorrt-rtx"], ["tensorrt_rtx cannot be imported", "pip install 'fiqa-edge[rtx]'"]),
        (["--target", "cuda"], ["unknown target 'cuda'", "tensorrt-rtx"]),
        (["--target", "none", "--batch", "1,2,4"], ["--target none"]),
        (["--batch", "8,4,2"], ["--batch 8,4,2 is not a range", "in this order"]),
        (["--batch", "1,8"], ["--batch 1,8 is not a range", "--batch 1,8,32"]),
        (["--batch", "one"], ["--batch one is not a range"]),
    ],
)
def test_bad_input(export: Invoke, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    result = export(*BASIC, "--out", tmp_path / "out", *arguments)
    assert result.is_one_line(*parts), result
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("option", [["--dla", "0"], ["--version-compatible"], ["--hardware-compatible"]])
def test_what_the_target_cannot_build_is_not_exported(export: Invoke, tmp_path: Path, option: list[str]) -> None:
    pytest.importorskip("tensorrt_rtx", reason="install fiqa-edge[rtx] to build plans")
    result = export(*BASIC, "--out", tmp_path / "out", "--target", "tensorrt-rtx", *option)
    assert result.is_one_line(f"TensorRT-RTX has no {option[0]}"), result
    assert not list(tmp_path.rglob("*.*"))


def test_triton_and_deepstream_get_the_onnx_file_where_no_tensorrt_plan_is(
    export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = bright_yunet(tmp_path / "bright.onnx")
    monkeypatch.setattr("fiqa_export.serving.delivery.locate", lambda _: detector)
    triton, deepstream = tmp_path / "triton", tmp_path / "deepstream"
    result = export(
        *(*BASIC, "--target", "none", "--out", tmp_path / "out"),
        *("--triton", triton, "--with-faces", "--deepstream", deepstream),
    )
    assert result.code == 0, result.err
    name = "ediffiqa-t.fp32.onnx"
    for model in ("ediffiqa-t-fp32", "ediffiqa-t-fp32-crops", "ediffiqa-t-fp32-faces"):
        assert read_card(triton / model / "1" / name) == read_card(tmp_path / "out" / name)
    assert (triton / "ediffiqa-t-fp32-faces/1" / detector.name).read_bytes() == detector.read_bytes()
    assert (deepstream / "config_infer_ediffiqa-t.fp32.txt").is_file()


def test_plan_of_a_finished_file_needs_no_torch(
    export: Invoke, seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="install fiqa-edge[rtx] to build plans")
    folder = tmp_path / "[bold]"
    folder.mkdir()
    for file in (seeded_engine, card_path(seeded_engine)):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr("importlib.util.find_spec", without("torch"))
    result = export(folder / seeded_engine.name, "--target", "tensorrt-rtx", "--batch", "1,1,1", "--json", "-")
    assert result.code == 0, result.err
    plan = folder / "ediffiqa-t.plan"
    assert json.loads(result.out)["artefacts"][0]["files"] == read_card(plan).files
    assert f"built {plan.resolve()} with tensorrt_rtx" in result.err
    refused = export(folder / seeded_engine.name, "--fp16")
    assert refused.is_one_line("is exported already")


def test_plan_of_a_finished_file_without_a_builder(export: Invoke, seeded_engine: Path, no_tensorrt: None) -> None:
    before = sorted(seeded_engine.parent.iterdir())
    assert export(seeded_engine).is_one_line("TensorRT", "pip install")
    assert sorted(seeded_engine.parent.iterdir()) == before


def test_plans_are_built_without_loading_torch() -> None:
    code = "import fiqa_export.command.plan_command, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def without(package: str) -> Callable[..., object]:
    """`importlib.util.find_spec` on a machine that lacks `package`."""
    real = importlib.util.find_spec
    return lambda name, *rest: None if name == package else real(name, *rest)


def test_doctor(export: Invoke) -> None:
    result = export("--doctor", "--json", "-")
    assert json.loads(result.out)["works"] is (result.code == 0)
