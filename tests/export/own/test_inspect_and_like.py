"""--inspect begins a network file, --like writes a whole one: from there the chain goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.cli import main
from fiqa_export.models import build
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.networks.network_file import read_network

from tests.export.own.test_own_networks import foreign
from tests.help.commands import Invoke, invoker
from tests.help.samples.own_networks import write_network


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path)
    return invoker(main, capsys, monkeypatch)


def test_an_onnx_file_is_described(export: Invoke, tmp_path: Path) -> None:
    foreign(tmp_path)
    result = export("theirs.onnx", "--inspect")
    assert result.code == 0, result.err
    assert (
        result.out.startswith("theirs.onnx: ONNX, opset ") and "input   data  float32  (1, 3, 112, 112)" in result.out
    )
    text = (tmp_path / "theirs.toml").read_text("utf-8")
    network = read_network(tmp_path / "theirs.toml")
    assert network.input.size == (112, 112) and network.reference.onnx == "theirs.onnx" and text.count("# ?") > 5
    again = export("theirs.onnx", "--inspect")
    assert "theirs.toml is there already and was left alone" in again.err
    exported = export("theirs.toml", "--target", "none")
    assert exported.code == 0, exported.err


def test_a_checkpoint_is_described(export: Invoke, tmp_path: Path) -> None:
    torch.save(load_seeded(build("ediffiqa-t")).state_dict(), tmp_path / "somebody.pth")
    result = export("somebody.pth", "--inspect")
    assert "nearest known network: ediffiqa-t, which shares 337 of 337 entries" in result.out
    assert read_network(tmp_path / "somebody.toml").reference.torch == "net.py:build"


@pytest.mark.parametrize(
    ("content", "says"), [(None, "there is no file gone.onnx"), (b"nothing", "is not an ONNX model")]
)
def test_what_cannot_be_inspected(export: Invoke, tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "gone.onnx").write_bytes(content)
    assert export("gone.onnx", "--inspect").is_one_line(says)
    assert not (tmp_path / "gone.toml").exists()


def test_a_file_that_is_fed_like_a_known_network(export: Invoke, tmp_path: Path) -> None:
    path = foreign(tmp_path)
    assert export(path, "--like", "ediffiqa-t", "--target", "none").code == 2, "its output is no single number"
    toml = tmp_path / "engines" / "theirs.toml"
    toml.write_text(toml.read_text("utf-8").replace('name = "score"', 'name = "score"\nreduce = "l2-norm"'))
    result = export(toml, "--target", "none")
    assert result.code == 0, result.err
    card = read_card(tmp_path / "engines" / "theirs.fp32.onnx")
    assert card.input.resize == "pillow-bilinear" and card.licence == "not stated"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gone.onnx", "--like", "ediffiqa-t"), "there is no ONNX file gone.onnx"),
        (("theirs.onnx", "--like", "yunet-s"), "is not fed one crop at a time"),
        (("theirs.onnx", "--like", "ediffiqa-q"), "did you mean"),
        (("theirs.onnx", "--licence", "MIT"), "--licence is a part of --like"),
    ],
)
def test_bad_input(export: Invoke, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    foreign(tmp_path)
    assert export(*arguments).is_one_line(says)
