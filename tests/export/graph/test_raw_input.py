"""Preprocessing inside the graph gives what it gives outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fiqa_export.graph.raw_input import take_raw_input
from fiqa_export.pipeline import Options, export
from fiqa_export.verdict.recipe import FP16
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import OutputSpec
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends import ONNX_BACKENDS, open_backend
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.preprocess import network_input, prepare
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.samples.onnx_graphs import identity


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_network_sees_the_same(name: str, backend: str, tmp_path: Path) -> None:
    spec = MODELS[name].input
    identity(tmp_path / "g.onnx", spec)
    take_raw_input(tmp_path / "g.onnx", spec)
    crops = [seeded_image(i, spec.height or 64, spec.width or 96) for i in range(2)]
    raw = network_input(crops, replace(spec, raw=True))
    assert raw.dtype == np.uint8
    assert raw.shape == (2, spec.height or 64, spec.width or 96, 3)
    card = Card(name, "fp32", "onnx", replace(spec, raw=True), (OutputSpec("seen", "map"),), "", "", 2)
    seen = open_backend(backend, tmp_path / "g.onnx", card).run({spec.name: raw})["seen"]
    np.testing.assert_allclose(seen, prepare(crops, spec), atol=1e-6, rtol=0)


def test_export(seeded_engine: Path, tmp_path: Path) -> None:
    exported = export("ediffiqa-t", "seeded", tmp_path, Options(raw_input=True))
    assert exported.parity.passed
    crops = [seeded_image(i, 112, 112) for i in range(3)] + [seeded_image(9, 130, 130)]
    with Scorer(seeded_engine, "onnxruntime") as outside:
        expected = outside.score(crops)
    for backend in ONNX_BACKENDS:
        with Scorer(exported.path, backend) as inside:
            assert inside.card.input.raw
            np.testing.assert_allclose(inside.score(crops), expected, atol=1e-6, rtol=0)


def test_detector(weights_dir: Path, images_dir: Path, tmp_path: Path) -> None:
    weights = str(weights_dir / "yunet_s.pth")
    for folder in ("outside", "inside"):
        (tmp_path / folder).mkdir()
    outside, inside = (
        export("yunet-s", weights, tmp_path / folder, Options(raw_input=raw)).path
        for folder, raw in (("outside", False), ("inside", True))
    )
    photo = read_image(images_dir / "dlib/2007_007763.jpg")
    for backend in ("onnxruntime", "openvino"):
        found, expected = (Detector(path, backend=backend).detect(photo) for path in (inside, outside))
        assert len(expected) > 3
        for face, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(face.box, other.box, atol=1e-3, rtol=0)
            assert face.confidence == pytest.approx(other.confidence, abs=1e-6)
    with pytest.raises(UnsupportedError, match="choose another backend"):
        Detector(inside, backend="opencv")


def test_export_in_fp16(tmp_path: Path) -> None:
    options = Options(replace(FP16, operations=2e10), raw_input=True)
    assert export("ediffiqa-t", "seeded", tmp_path / "new folder", options).parity.passed


def test_size_that_would_be_resized_in_floats() -> None:
    spec = next(s.input for s in MODELS.values() if s.input.resize == "opencv-cubic-float")
    with pytest.raises(InputError, match="without --raw-input"):
        network_input([seeded_image(0, 100, 100)], replace(spec, raw=True))
