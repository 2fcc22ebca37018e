"""The stand-in weights: what is committed is what the zoo names, and it ranks degradation on photos it never saw."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from fiqa_calibration.ladder import KINDS
from fiqa_export.models import build
from fiqa_runtime.errors import InputError
from fiqa_runtime.files import sha256_file
from fiqa_runtime.seeded import rng
from fiqa_runtime.zoo import MODELS

FOLDER = Path(__file__).parents[1] / "weights" / "standin"
CHECKPOINT = MODELS["ediffiqa-t"].weights["standin"][0]
FILE = FOLDER / Path(CHECKPOINT.file).name


@pytest.fixture(scope="module")
def scripts() -> tuple[ModuleType, ModuleType, ModuleType]:
    """train.py, heldout.py and samples.py, which are scripts and no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        import heldout
        import samples
        import train
    finally:
        sys.path.remove(str(FOLDER))
    return train, heldout, samples


def test_file_is_what_the_zoo_names() -> None:
    assert sha256_file(FILE) == CHECKPOINT.sha256


def test_file_is_small() -> None:
    assert FILE.stat().st_size <= 4_000_000


def test_file_has_the_official_layout_and_runs_no_code() -> None:
    state = torch.load(FILE, weights_only=True)
    wanted = build("ediffiqa-t").state_dict()
    assert list(state) == list(wanted)
    assert [tensor.shape for tensor in state.values()] == [tensor.shape for tensor in wanted.values()]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


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


def test_training_lowers_its_loss_within_seconds(scripts: tuple[ModuleType, ModuleType, ModuleType]) -> None:
    pytest.importorskip("skimage", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    pytest.importorskip("matplotlib", reason="pip install 'fiqa-edge[demo]' brings the training pictures")
    train, _, samples = scripts
    losses: list[float] = []
    model = train.train(samples.load_pictures(), 24, 8, lambda _, loss: losses.append(loss))
    assert not model.training
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])


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
