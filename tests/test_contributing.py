"""The worked examples of CONTRIBUTING.md run as they stand there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import fiqa_runtime.backends
import numpy as np
import pytest
from fiqa_export.models import build
from fiqa_export.pipeline import export
from fiqa_runtime import FaceQuality, Scorer
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.images.seeded import seeded_image

from tests.help.places import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(title: str, number: int = 0) -> dict[str, Any]:
    """What the Python block `number` of the chapter `title` defines."""
    chapter = TEXT[TEXT.index(f"\n## {title}\n") + 1 :].split("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", chapter, re.DOTALL)[number]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, f"CONTRIBUTING.md, {title}", "exec"), names)
    del names["__name__"]
    return names


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's network, exported with seeded weights."""
    spec = example("Adding a network")["TINYFIQA"]
    monkeypatch.setitem(MODELS, spec.name, spec)
    module = ModuleType("fiqa_export.models.tinyfiqa")
    vars(module).update(example("Adding a network", 1))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return export("tinyfiqa", "seeded", tmp_path).path


def test_the_network_is_exported_with_its_verdict(network: Path) -> None:
    with Scorer(network, "onnxruntime") as scorer:
        assert scorer.card.parity.passed
        assert np.ptp(scorer.score([seeded_image(i, 112, 112) for i in range(4)])) > 0
    model = build("tinyfiqa")
    assert sum(parameter.numel() for parameter in model.parameters()) == MODELS["tinyfiqa"].parameters


def test_the_backend_gives_the_same_scores(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fiqa_runtime.backends.onnx_reference")
    vars(module).update(example("Adding a backend"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(fiqa_runtime.backends.ONNX_BACKENDS, "onnx_reference", "onnx")
    crops = [seeded_image(i, 112, 112) for i in range(3)]
    with Scorer(network, "onnx_reference") as example_scorer, Scorer(network, "onnxruntime") as scorer:
        assert example_scorer.backend.name == "onnx_reference"
        np.testing.assert_allclose(example_scorer.score(crops), scorer.score(crops), atol=1e-5)


def test_the_detector_finds_faces_for_the_pipeline(network: Path) -> None:
    with Scorer(network, "onnxruntime") as scorer:
        quality = FaceQuality(scorer, example("Adding a detector")["WholePictureFinder"]())
        (face,) = quality.assess(seeded_image(0, 200, 160))
        assert quality.settings["detector"] == "whole-picture"
        assert np.isfinite(face.quality)


def test_the_places_that_are_named_are_there() -> None:
    """Files and folders between backticks; those of the examples are the ones that do not exist yet."""
    to_be_written = {"tinyfiqa.py", "onnx_reference.py"}
    named = re.findall(r"`((?:runtime|export|calibration|benchmarks|tests)/[\w./]+)`", TEXT)
    missing = [name for name in named if not (ROOT / name).exists() and Path(name).name not in to_be_written]
    assert named
    assert not missing
