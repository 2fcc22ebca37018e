"""What every network has to do: load strictly, pass its verdict, and give the same in every batch and backend."""

from __future__ import annotations

import os

import numpy as np
import pytest
from fiqa_runtime.backends import ONNX_BACKENDS, available
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.networks.network_file import read_network
from fiqa_runtime.networks.registry import installed_networks, network_file_of
from fiqa_runtime.scoring.scorer import Scorer

from fiqa_export.pipeline import Exported, export

RELATIVE = 1e-4
"""Largest |d| between backends and batch sizes, as a share of the output's range."""


def networks() -> list[str]:
    """Names or files of the networks to test."""
    named = os.environ.get("FIQA_NETWORK")
    specs, problems = installed_networks()
    return [named] if named else [*specs, *problems]


@pytest.fixture(scope="module", params=networks())
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The network with its own weights where they lie beside its file, else with seeded ones."""
    path = network_file_of(request.param)
    assert path is not None, "a network of this project is tested by this project"
    file = read_network(path)
    beside = bool(file.weights) and all((path.absolute().parent / each.file).is_file() for each in file.weights)
    weights = None if beside or file.reference.onnx is not None else "seeded"
    return export(request.param, weights, tmp_path_factory.mktemp("conformance"))


def test_the_verdict_is_passed(exported: Exported) -> None:
    """fp32 ONNX gives what the reference gives."""
    assert exported.parity.passed, exported.parity.failures


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_every_backend_and_batch_gives_the_same(exported: Exported, backend: str) -> None:
    """Scores of three crops together are those of each alone, and the reference's canaries hold."""
    if backend not in available():
        pytest.skip(f"{backend} is not installed")
    spec = exported.card.input
    crops = [seeded_image(index, spec.height or 112, spec.width or 112) for index in range(3)]
    try:
        with Scorer(exported.path, backend) as scorer:
            together = scorer.outputs(crops)
            alone = [scorer.outputs([crop]) for crop in crops]
    except UnsupportedError as error:
        pytest.skip(str(error))  # a runtime may lack an operator; it says so, and gives no wrong number
    for name, span in exported.parity.range.items():
        expected = np.concatenate([outputs[name] for outputs in alone])
        np.testing.assert_allclose(together[name], expected, atol=RELATIVE * span, rtol=0)


def test_the_score_is_one_number_per_face(exported: Exported) -> None:
    """A quality network has a score, and it is finite."""
    spec = exported.card.input
    with Scorer(exported.path, "onnxruntime") as scorer:
        scores = scorer.score([seeded_image(0, spec.height or 112, spec.width or 112)])
    assert scores.shape == (1,) and np.isfinite(scores).all()
