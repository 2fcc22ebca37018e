"""MTCNN's weights as two packages publish them give one network, and only the published file is read."""

from __future__ import annotations

import io
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.checkpoints.keras_arrays import state_dict
from fiqa_export.cli import main
from fiqa_export.models import build
from fiqa_runtime.artefact.zoo import GROUPS, MODELS
from fiqa_runtime.errors import CheckpointError, FetchError, InputError

from tests.help.commands import Invoke, invoker
from tests.help.samples.mtcnn_engines import NAMES

ARRAYS = {"mtcnn-p": 13, "mtcnn-r": 16, "mtcnn-o": 21}
"""Weight arrays of each network, as the specification counts them."""


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(main, capsys, monkeypatch)


def package_file(name: str) -> Path:
    spec = find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package mtcnn, which brings the weights, is not installed")
    return Path(spec.submodule_search_locations[0]) / "assets" / "weights" / MODELS[name].weights["official"][0].file


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_parameters_and_arrays(name: str) -> None:
    model = build(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == MODELS[name].parameters
    assert len(model.state_dict()) == ARRAYS[name]


@pytest.mark.parametrize("name", NAMES)
def test_arrays_in_keras_layout_become_the_state_dict(name: str) -> None:
    """Heads last, box before class; convolutions (H, W, in, out), dense layers (in, out)."""
    values = {key: torch.rand(tensor.shape) for key, tensor in build(name).state_dict().items()}
    heads = sorted({key.split(".")[0] for key in values if "_" in key})
    order = [key for key in values if "_" not in key]
    order += [f"{head}.{part}" for head in [*heads[1:], heads[0]] for part in ("weight", "bias")]
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
    arrays = [values[key].numpy().transpose(axes[values[key].ndim]) for key in order]
    found = state_dict(arrays)
    assert found.keys() == values.keys()
    assert all(torch.equal(found[key], value) for key, value in values.items())


@pytest.mark.parametrize("name", NAMES)
def test_both_publications_give_the_same_network(name: str, tmp_path: Path) -> None:
    first, info = load_reference(name, str(package_file(name)))
    assert info.kind == "file"
    path = tmp_path / MODELS[name].weights["facenet-pytorch"][0].file
    torch.save(first.state_dict(), path)
    second, _ = load_reference(name, str(path))
    assert all(torch.equal(second.state_dict()[key], value) for key, value in first.state_dict().items())


def test_the_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package_file("mtcnn-p")
    monkeypatch.chdir(tmp_path)
    _, info = load_reference("mtcnn-p")
    assert "as published" in info.description


def test_a_changed_file_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "pnet.lz4"
    path.write_bytes(package_file("mtcnn-p").read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match="runs code when it is read, and not the published one"):
        load_reference("mtcnn-p", str(path))


def test_a_planted_package_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Planted:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "executed",)  # type: ignore[return-value]

    content = io.BytesIO(b"\x04\x22\x4d\x18")
    content.seek(4)
    pickle.dump(Planted(), content)
    weights = tmp_path / "mtcnn" / "assets" / "weights"
    weights.mkdir(parents=True)
    (tmp_path / "mtcnn" / "__init__.py").write_text("raise SystemExit('imported')")
    (weights / "pnet.lz4").write_bytes(content.getvalue())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "mtcnn", raising=False)
    with pytest.raises(CheckpointError, match="is not the published file"):
        load_reference("mtcnn-p")
    assert not (tmp_path / "executed").exists()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from fiqa_runtime.artefact import weight_files

    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match=r"pip install 'fiqa-edge\[mtcnn\]'"):
        load_reference("mtcnn-p")


def test_one_name_exports_all_three(export: Invoke, tmp_path: Path) -> None:
    result = export("mtcnn", "--weights", "seeded", "--target", "none", "--out", tmp_path)
    assert result.code == 0, result.err
    assert {path.name for path in tmp_path.glob("*.onnx")} == {f"{name}.fp32.onnx" for name in GROUPS["mtcnn"]}


def test_the_first_network_takes_photos_of_any_size() -> None:
    model, _ = load_reference("mtcnn-p", "seeded")
    for height, width in ((12, 12), (13, 40), (41, 27)):
        outputs = model.outputs(torch.zeros(1, 3, height, width))
        assert outputs["probability"].shape[1] == 1
        assert outputs["offsets"].shape[2:] == outputs["probability"].shape[2:]
        assert np.isfinite(outputs["probability"].numpy()).all()


def test_deepstream_cannot_run_a_cascade(export: Invoke, tmp_path: Path) -> None:
    arguments = ("mtcnn-r", "--weights", "seeded", "--target", "none", "--out", tmp_path)
    result = export(*arguments, "--deepstream", tmp_path / "ds")
    assert result.code == 2 and "one after the other" in result.err


def test_unknown_names_are_still_refused() -> None:
    with pytest.raises(InputError, match="did you mean"):
        load_reference("mtcnn-q")
