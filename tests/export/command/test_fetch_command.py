"""fiqa-export --fetch: sizes first, every file that can be had, and one line about those that cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fiqa_export.cli import main
from fiqa_runtime.artefact import zoo

from tests.help.commands import Invoke, invoker
from tests.help.servers.file_server import OLD, Origin, serving


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    monkeypatch.chdir(tmp_path)
    return invoker(main, capsys, monkeypatch)


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """The address of eDifFIQA(T)'s weights is a loopback server."""
    with serving() as served:
        spec = zoo.MODELS["ediffiqa-t"]
        (checkpoint,) = spec.weights["official"]
        changed = replace(spec, weights={**spec.weights, "official": (replace(checkpoint, url=served.url),)})
        monkeypatch.setitem(zoo.MODELS, "ediffiqa-t", changed)
        yield served


def test_weights_are_fetched_and_nothing_is_exported(export: Invoke, origin: Origin, tmp_path: Path) -> None:
    result = export("ediffiqa-t", "--fetch")
    assert result.code == 0, result.err
    lines = result.err.splitlines()
    assert lines[0].startswith("to fetch: ediffiqaT.pth, 0.4 MB, from https://huggingface.co/")
    assert lines[1].startswith("fetched ") and Path(lines[1].removeprefix("fetched ")).read_bytes() == OLD
    assert not list(tmp_path.iterdir())
    again = export("ediffiqa-t", "--fetch")
    assert again.code == 0 and "ediffiqaT.pth is here: " in again.err and "to fetch" not in again.err


def test_what_cannot_be_fetched_does_not_keep_the_rest_away(export: Invoke, origin: Origin) -> None:
    result = export("--fetch", "all")
    assert result.code == 2
    assert "fetched " in result.err and "ediffiqaT.pth" in result.err
    assert "files cannot be fetched: " in result.err.splitlines()[-1]
    assert "face_detection_yunet_2023mar.onnx" in result.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ediffiqa-t", "--fetch", "--weights", "gold"), "has no weight set 'gold'; choose one of official, standin"),
        (("ediffiqa-q", "--fetch"), "did you mean"),
        (("ediffiqa-t", "--fetch", "--fp16"), "--fetch makes no use of --fp16"),
        (("--fetch",), "which network?"),
    ],
)
def test_bad_input(export: Invoke, arguments: tuple[str, ...], says: str) -> None:
    assert export(*arguments).is_one_line(says)


def test_fetching_needs_no_torch(export: Invoke, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert export("ediffiqa-t", "--fetch").code == 0
