"""What `--weights` names is what is loaded: nothing but `seeded` gives seeded weights, absent ones are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.checkpoints.seeded import seeded_tensor
from fiqa_runtime.artefact import zoo
from fiqa_runtime.errors import CheckpointError, FetchError, InputError

from tests.help.samples.checkpoints import T


@pytest.mark.parametrize("weights", ["oficial", "gfiqa", "nowhere/file.pth", "seededx"])
def test_unknown_weights_name_what_is_known(weights: str) -> None:
    with pytest.raises(InputError, match="is neither a file nor a weight set of ediffiqa-t") as caught:
        load_reference(T, weights)
    assert str(caught.value).endswith("name a file or one of official, standin, seeded, seeded:N")


def test_unknown_network_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'ediffiqa-t'"):
        load_reference("edifiqa-t", "seeded")


@pytest.mark.parametrize(("weights", "seed"), [("seeded", 0), ("seeded:12", 12)])
def test_seeded_weights_by_name(weights: str, seed: int) -> None:
    model, info = load_reference(T, weights)
    expected = torch.from_numpy(seeded_tensor("mlp.l1.weight", (1024, 512), seed)).float()
    assert torch.equal(model.state_dict()["mlp.l1.weight"], expected)
    assert model.state_dict()["base_model.bn.running_mean"].any(), "calibrated"
    assert (info.kind, info.seed, info.files) == ("seeded", seed, {})
    assert "mean nothing about faces" in info.description


@pytest.mark.parametrize("weights", ["seeded:", "seeded:x", "seeded:-1", "seeded:1.5", "seeded:1:2", "seeded:²"])
def test_seed_that_is_no_number(weights: str) -> None:
    with pytest.raises(InputError, match="names no seed; write seeded or seeded:N"):
        load_reference(T, weights)


def test_absent_weights_are_never_replaced_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIQA_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spec = zoo.MODELS[T]
    (checkpoint,) = spec.weights["official"]
    changed = replace(spec, weights={**spec.weights, "official": (replace(checkpoint, url=None),)})
    monkeypatch.setitem(zoo.MODELS, T, changed)
    with pytest.raises(FetchError) as caught:
        load_reference(T)
    text = str(caught.value)
    assert "get it from https://huggingface.co/LSIbabnikz/eDifFIQA_T and save it as " in text
    assert str(tmp_path / "weights" / "ediffiqaT.pth") in text
    assert text.endswith("--weights standin")


def test_network_of_several_files_needs_their_folder(tmp_path: Path) -> None:
    file = tmp_path / "DE.pt"
    file.touch()
    with pytest.raises(InputError, match=r"needs DE\.pt and IQA\.pt; name the folder"):
        load_reference("dsl-fiqa", str(file))
    with pytest.raises(CheckpointError, match=r"lacks IQA\.pt"):
        load_reference("dsl-fiqa", str(tmp_path))
