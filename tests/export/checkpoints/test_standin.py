"""The stand-in weights: what is committed is what the zoo names, and it ranks degradation on photos it never saw."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import cv2
import fiqa_export.cli
import numpy as np
import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.models import build
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.artefact import weight_files
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.zoo import MODELS, STANDIN
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import KINDS, degrade
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.sample_pictures import PORTRAIT
from fiqa_runtime.images.seeded import rng
from fiqa_runtime.system.files import sha256_file

from tests.help.commands import invoker
from tests.help.places import STANDIN_FOLDER
from tests.help.standin_scripts import standin_script

T = "ediffiqa-t"
FILE = STANDIN_FOLDER / STANDIN.file
PORTRAIT_SCORES = {
    "pristine": 0.8571,
    "blur": 0.4636,
    "resampling": 0.5863,
    "noise": 0.2788,
    "jpeg": 0.4497,
    "darkening": 0.5479,
    "overexposure": 0.3536,
    "occlusion": 0.4945,
}
"""What the committed file gives to the portrait that comes along, untouched and with every degradation at a half."""


def small_portrait() -> Image:
    """The shipped portrait in the size of the network's input."""
    return np.asarray(cv2.resize(read_image(PORTRAIT), (112, 112), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def scripts() -> tuple[ModuleType, ModuleType, ModuleType]:
    """train.py, heldout.py and samples.py, which are scripts and no package."""
    return standin_script("train"), standin_script("heldout"), standin_script("samples")


def test_file_is_what_the_zoo_names() -> None:
    assert sha256_file(FILE) == STANDIN.sha256


def test_file_is_small() -> None:
    assert FILE.stat().st_size <= 4_000_000


def test_file_has_the_official_layout_and_runs_no_code() -> None:
    state = torch.load(FILE, weights_only=True)
    wanted = build("ediffiqa-t").state_dict()
    assert list(state) == list(wanted)
    assert [tensor.shape for tensor in state.values()] == [tensor.shape for tensor in wanted.values()]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize("elsewhere", [False, True])
def test_weight_set_by_name(elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout from any folder; in an installed package from the package itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FIQA_WEIGHTS_DIR", raising=False)
    if elsewhere:
        package = tmp_path / "site-packages" / "fiqa_runtime"
        (package / "weights").mkdir(parents=True)
        (package / "weights" / FILE.name).write_bytes(FILE.read_bytes())
        monkeypatch.setattr(weight_files, "__file__", str(package / "artefact" / "weight_files.py"))
    model, info = load_reference(T, "standin")
    assert info.kind == "standin"
    assert info.description.startswith("stand-in weights of this project, no published model and not for production: ")
    assert info.files == {FILE.name: STANDIN.sha256}
    assert info.notes == (f"{FILE.name}: converted from float16",)
    assert model.spec.licence.startswith("Apache-2.0")
    assert "not for production" in model.spec.notes[0]
    assert model.spec.input == MODELS[T].input
    stored = torch.load(FILE, weights_only=True)
    assert all(torch.equal(value, stored[name].to(value.dtype)) for name, value in model.state_dict().items())


def test_no_other_network_has_one() -> None:
    assert [name for name, spec in MODELS.items() if "standin" in spec.weights] == [T]
    with pytest.raises(InputError, match="'standin' is neither a file nor a weight set of ediffiqa-s"):
        load_reference("ediffiqa-s", "standin")


def test_export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    export = invoker(fiqa_export.cli.main, capsys, monkeypatch)
    result = export(T, "--weights", "standin", "--out", tmp_path, "--json", "-")
    assert result.code == 0, result.err
    document = json.loads(result.out)["artefacts"][0]
    assert document["weights"]["kind"] == "standin"
    assert document["licence"] == STANDIN.licence
    assert document["parity"]["passed"] is True
    assert document["parity"]["max_abs"]["score"] < 1e-5
    card = read_card(tmp_path / "ediffiqa-t.fp32.onnx")
    assert (card.weights.kind, card.notes) == ("standin", STANDIN.notes)


@pytest.mark.parametrize("kind", PORTRAIT_SCORES)
def test_scores_of_the_portrait(kind: str) -> None:
    model, _ = load_reference(T, str(FILE))
    image = small_portrait()
    if kind != "pristine":
        image, _ = degrade(image, kind, 0.5, rng("standin"))
    score = model.outputs(reference_input([image], model.spec.input))["score"].item()
    assert score == pytest.approx(PORTRAIT_SCORES[kind], abs=2e-3)
    assert kind == "pristine" or score < 0.75 * PORTRAIT_SCORES["pristine"]


def test_score_falls_with_degradation_on_unseen_photos(
    scripts: tuple[ModuleType, ModuleType, ModuleType], images_dir: Path
) -> None:
    train, heldout, _ = scripts
    crops = heldout.unseen_crops(images_dir)
    assert len(crops) >= 10
    assert not any("astronaut" in name for name in crops)
    result = heldout.rankings(train.scorer(train.load(FILE)), list(crops.values()))
    assert set(result) == set(KINDS)
    for kind, ranking in result.items():
        assert ranking.pooled <= -0.9, (kind, ranking)
        assert ranking.mean <= -0.9, (kind, ranking)


def test_training_is_reproducible(scripts: tuple[ModuleType, ModuleType, ModuleType]) -> None:
    pytest.importorskip("skimage", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    pytest.importorskip("matplotlib", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    train, _, samples = scripts
    pictures = samples.load_pictures()
    first, again = (train.Training(pictures, 100, 4) for _ in range(2))
    before = first.result().state_dict()
    assert [first.step() for _ in range(3)] == [again.step() for _ in range(3)]
    after, same = first.result().state_dict(), again.result().state_dict()
    assert list(after) == list(build(T).state_dict()), "nothing of the guide is kept"
    assert all(torch.equal(after[name], same[name]) for name in after)
    changed = [name for name in after if not torch.equal(before[name], after[name])]
    assert len(changed) > 0.9 * len(after)
    assert not first.result().training


def test_saved_weights_come_back(scripts: tuple[ModuleType, ModuleType, ModuleType], tmp_path: Path) -> None:
    train, _, _ = scripts
    model = train.load(FILE)
    train.save(model, tmp_path / "again.pth")
    again = train.load(tmp_path / "again.pth")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_samples_are_reproducible_and_labelled(scripts: tuple[ModuleType, ModuleType, ModuleType]) -> None:
    pytest.importorskip("skimage", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    pytest.importorskip("matplotlib", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    _, _, samples = scripts
    pictures = samples.load_pictures()
    (first, amounts), (again, _) = (samples.batch(pictures, 32, rng("test")) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert {crop.shape for crop in first} == {(112, 112, 3)}
    assert amounts.shape == (32, len(KINDS))
    assert set(samples.ORDER) == set(KINDS)
    assert ((amounts >= 0) & (amounts <= 1)).all()
    assert len({tuple(row) for row in amounts}) > 16


def test_another_picture_under_the_same_name_is_refused(scripts: tuple[ModuleType, ModuleType, ModuleType]) -> None:
    pytest.importorskip("skimage", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    _, _, samples = scripts
    with pytest.raises(InputError, match=r"constraints\.txt"):
        samples.read_picture(samples.Picture("skimage", "data/camera.png", "0" * 64))
