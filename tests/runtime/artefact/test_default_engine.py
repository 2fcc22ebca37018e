"""The artefact that is used where none is named."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from fiqa_runtime.artefact.location import default_engine
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Invoke, invoker


def artefact(path: Path, kind: str = "score") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.with_name(f"{path.name}.json").write_text(json.dumps({"outputs": [{"kind": kind}]}))
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIQA_ENGINE", raising=False)
    return tmp_path


def test_the_only_quality_artefact_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    only = artefact(Path("engines/ifqa.fp32.onnx"))
    artefact(Path("engines/mtcnn-p.fp32.onnx"), "head")
    Path("engines/strange.onnx").touch()
    Path("engines/damaged.onnx.json").write_text("[")
    Path("engines/damaged.onnx").touch()
    monkeypatch.setenv("FIQA_ENGINE", "elsewhere.onnx")
    assert default_engine() == only


def test_a_plan_and_its_link_are_one() -> None:
    artefact(Path("engines/ifqa.fp16.plan"))
    Path("engines/ifqa.plan").symlink_to("ifqa.fp16.plan")
    assert default_engine().resolve().name == "ifqa.fp16.plan"


def test_an_onnx_file_goes_before_the_plan_that_was_built_of_it() -> None:
    only = artefact(Path("engines/ifqa.fp16.onnx"))
    artefact(Path("engines/ifqa.fp16.plan"))
    Path("engines/ifqa.plan").symlink_to("ifqa.fp16.plan")
    assert default_engine() == only


def test_the_variable_decides_between_several_and_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="make one with fiqa-export ediffiqa-t, or name a file with --engine"):
        default_engine()
    first, second = (artefact(Path(f"engines/{name}.fp32.onnx")) for name in ("a", "b"))
    with pytest.raises(InputError, match=r"engines holds a\.fp32\.onnx, b\.fp32\.onnx; name one of them"):
        default_engine()
    monkeypatch.setenv("FIQA_ENGINE", second.name)
    assert default_engine() == second
    monkeypatch.setenv("FIQA_ENGINE", "nowhere.onnx")
    with pytest.raises(InputError, match=r"nowhere\.onnx"):
        default_engine()
    assert first.exists()


def test_the_command_says_what_it_took(
    seeded_engine: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import fiqa_runtime.cli

    score: Invoke = invoker(fiqa_runtime.cli.main, capsys, monkeypatch)
    cv2.imwrite("crop.png", seeded_image(0, 112, 112))
    assert score("crop.png", "--aligned").is_one_line("make one with fiqa-export ediffiqa-t")
    monkeypatch.setenv("FIQA_ENGINE", str(seeded_engine))
    result = score("crop.png", "--aligned", "--backend", "onnxruntime")
    assert result.code == 0 and f"scoring with {seeded_engine}" in result.err and "0.0230" in result.out
