"""Every network of the registry through the whole chain: export, verdict, every backend, every batch size.

A new network is covered by its zoo entry alone. The large ones are slow.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from fiqa_export.graph.files import files_of
from fiqa_export.models import build
from fiqa_export.pipeline import Exported, export
from fiqa_runtime.artefact.card import built_for
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test

from tests.help.folders import brief_folder
from tests.help.gpu.rtx_builds import build_rtx, every_node_in, needs_rtx
from tests.help.registry import SLOW, by_size

NAMES = by_size()
"""A constant and a size apart from networks that are built in every precision."""
BYTES_PER_LAYER, BYTES_OF_CODE = 15_000, 4_000_000
"""What a plan of TensorRT-RTX holds beside weights, at most."""
LARGE = 90_000_000
"""Networks with more parameters are built by TensorRT in `make test-long` alone."""
GIB = 2**30
EXPORT = """
import sys
from fiqa_benchmarks.speed.memory import peak_resident_bytes
from fiqa_export.cli import app
app(sys.argv[1:], standalone_mode=False)
sys.stderr.write(f" {peak_resident_bytes()}")
"""
RELATIVE = 1e-4
"""Largest |d| between runtimes and batch sizes, as a share of the output's range."""


@pytest.fixture(scope="module", params=NAMES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """Each network exported once; its files go before the next one comes."""
    with brief_folder(tmp_path_factory, request.param) as folder:
        yield export(request.param, "seeded", folder)


def images_for(exported: Exported, count: int) -> list[np.ndarray]:
    height, width = build_size(exported)
    return [seeded_image(index, height, width) for index in range(count)]


def build_size(exported: Exported) -> tuple[int, int]:
    canary = exported.card.canaries[0]
    return canary.height, canary.width


def test_verdict_and_graph(exported: Exported) -> None:
    assert exported.parity.passed
    graph = onnx.load(exported.path, load_external_data=False)
    onnx.checker.check_model(str(exported.path))
    assert next(o.version for o in graph.opset_import if o.domain == "") >= 20
    assert {o.domain for o in graph.opset_import} <= {""}
    assert not {node.op_type for node in graph.graph.node} & {"RandomUniform", "RandomNormalLike", "If", "Loop", "Scan"}
    assert [output.name for output in graph.graph.output] == [o.name for o in exported.card.outputs]


@pytest.mark.parametrize("name", by_size(long=SLOW))
def test_memory_of_the_export(name: str, tmp_path: Path) -> None:
    """In a process of its own: at most 4 x the checkpoint's float32 bytes + 1.5 GiB."""
    options = ["--weights", "seeded", "--target", "none", "--out", str(tmp_path), "--json", "-"]
    done = subprocess.run([sys.executable, "-c", EXPORT, name, *options], capture_output=True, text=True, check=True)
    shutil.rmtree(tmp_path)
    assert int(done.stderr.split()[-1]) <= 4 * 4 * MODELS[name].parameters + 1.5 * GIB


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_backends_and_batches(exported: Exported, backend: str) -> None:
    """Canaries equal torch in every runtime, and a face's result does not depend on what else is in its batch."""
    try:
        scorer = Scorer(exported.path, backend)
        outcome = self_test(scorer)
    except UnsupportedError as error:
        assert backend == "opencv"
        assert "operator" in str(error)
        return
    with scorer:
        assert outcome.passed, str(outcome)
        scorer.card = replace(scorer.card, max_batch=2)
        images = images_for(exported, 2)
        together = scorer.outputs(images)
        alone = [scorer.outputs([image]) for image in images]
    for name, span in exported.parity.range.items():
        expected = np.concatenate([outputs[name] for outputs in alone])
        np.testing.assert_allclose(together[name], expected, atol=RELATIVE * span, rtol=0)


def test_tensorrt_builds_every_precision(
    exported: Exported, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """TensorRT-RTX, without a GPU: no node is refused, and the weights are stored in the types of the graph."""
    if MODELS[exported.card.model].parameters > LARGE:
        pytest.skip("its builds take minutes: pytest -m long does them")
    build_every_precision(exported, tmp_path, record_property)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.parameters > LARGE])
def test_tensorrt_builds_large_networks(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    build_every_precision(export(name, "seeded", tmp_path / "engines"), tmp_path, record_property)


def build_every_precision(exported: Exported, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    needs_rtx()
    model = exported.card.model
    for precision in get_args(Precision):
        onnx_file = every_node_in(precision, exported.path, tmp_path)
        plan = tmp_path / f"{model}.{precision}.plan"
        layers = built_for(build_rtx(onnx_file, replace(exported.card, precision=precision), plan)).layers
        weights = sum((onnx_file.parent / name).stat().st_size for name in files_of(onnx_file))
        size = plan.stat().st_size
        record_property(f"{model} {precision}", f"{layers} layers, {size / 1e6:.1f} MB")
        assert 0.95 * weights <= size <= 1.05 * weights + BYTES_PER_LAYER * layers + BYTES_OF_CODE
        plan.unlink()
        if onnx_file != exported.path:
            onnx_file.unlink()


@pytest.mark.parametrize("name", MODELS)
def test_zoo_entry(name: str) -> None:
    spec = MODELS[name]
    with torch.device("meta"):
        assert build(name).spec is spec
    assert spec.licence
    assert spec.source
    published = [c for weights, files in spec.weights.items() if weights != "standin" for c in files]
    assert published
    assert all(c.page.startswith("https://") for c in published)
    assert ("standin" in spec.weights) is (name == "ediffiqa-t")
    assert next(iter(spec.weights)) != "standin", "never the default"
