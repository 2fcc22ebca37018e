"""fp16 for every network of the registry: what is converted, and that scores survive true half arithmetic.

A new network is covered by its zoo entry alone. The large ones are slow or long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.fp16.convert import to_fp16, write_fp16
from fiqa_export.fp16.ranges import activation_ranges
from fiqa_export.fp16.step import fp16_step
from fiqa_export.graph.loading import is_float, open_graph
from fiqa_export.graph.to_onnx import export_onnx
from fiqa_export.models import Reference, build
from fiqa_export.models.inputs import graph_inputs
from fiqa_export.onnx_on_torch.backend import OnnxOnTorch
from fiqa_export.verdict.judgement import judge_artefact, parity_set
from fiqa_export.verdict.parity import Parity, reference_outputs
from fiqa_export.verdict.recipe import FP16
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.facts import Fp16Conversion
from fiqa_runtime.backends.base import Backend
from fiqa_runtime.faces.detection import intersection_over_union
from fiqa_runtime.faces.yunet import YunetDecoder
from fiqa_runtime.images.preprocess import Image, prepare
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.progress import silent

from tests.help.folders import brief_folder
from tests.help.registry import SLOW, by_size

REFERENCE_AGREEMENT = 2e-5
"""Largest |d| between the executor and ONNX Runtime on the fp32 graph, as a share of the output's largest value."""
ALLOWED_FP32 = {"Cast", "Resize"}
"""Resize reads its scales as float32 in any precision."""
QUICK = replace(FP16, operations=5e10, budget=replace(FP16.budget, srcc=0.9995))
"""Few images, where a pair or two of neighbours change places; the whole check is what ``fiqa-export --fp16`` does."""


@dataclass(frozen=True)
class Converted:
    reference: Reference
    fp32: Path
    fp16: Path
    conversion: Fp16Conversion


def convert_seeded(reference: Reference, folder: Path) -> Converted:
    fp32 = folder / f"{reference.spec.name}.fp32.onnx"
    export_onnx(reference, fp32)
    fp16 = folder / f"{reference.spec.name}.fp16.onnx"
    return Converted(reference, fp32, fp16, fp16_step(reference, fp32, fp16))


@pytest.fixture(scope="module", params=by_size(SLOW))
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converted]:
    """Each network converted once; its files go before the next one comes."""
    with brief_folder(tmp_path_factory, request.param) as folder:
        yield convert_seeded(load_seeded(build(request.param)), folder)


def test_only_named_nodes_stay_fp32(converted: Converted) -> None:
    graph = open_graph(converted.fp16).graph
    assert all(value.dtype == ir.DataType.FLOAT for value in (*graph.inputs, *graph.outputs) if is_float(value))
    fp32 = {
        node.name
        for node in graph
        if any(value is not None and value.dtype == ir.DataType.FLOAT for value in (*node.inputs, *node.outputs))
        and node.op_type not in ALLOWED_FP32
        and any(map(is_float, node.outputs))
    }
    assert fp32 == set(converted.conversion.kept_in_fp32)
    assert all(converted.conversion.kept_in_fp32.values())
    half = sum(any(value.dtype == ir.DataType.FLOAT16 for value in n.outputs) for n in graph if n.op_type != "Cast")
    assert half == converted.conversion.nodes_in_fp16 > len(fp32)


def test_no_cast_is_made_twice(converted: Converted) -> None:
    graph = open_graph(converted.fp16).graph
    before = sum(node.op_type == "Cast" for node in open_graph(converted.fp32).graph)
    casts = [node for node in graph if node.op_type == "Cast"]
    assert len(casts) == converted.conversion.casts + before
    assert len({(cast.inputs[0], cast.outputs[0].dtype) for cast in casts}) == len(casts)
    sources = [source for cast in casts if (source := cast.inputs[0]) is not None]
    assert len(sources) == len(casts)
    assert not [source for source in sources if (node := source.producer()) and node.op_type == "Cast"]
    assert not [source for source in sources if source.is_initializer()]


def test_is_half_as_large(converted: Converted) -> None:
    """Weights halve; the graph itself, some 100 KB, does not, and counts in the smallest networks only."""
    before, after = (
        sum(v.const_value.nbytes for v in open_graph(path).graph.initializers.values() if v.const_value is not None)
        for path in (converted.fp32, converted.fp16)
    )
    assert 0.5 <= after / before < 0.52
    assert converted.fp16.stat().st_size < after + 2_000_000
    assert not converted.fp16.with_name(f"{converted.fp16.name}.data").exists()


def test_is_valid_for_onnx_and_onnxruntime(converted: Converted) -> None:
    onnx.checker.check_model(str(converted.fp16), full_check=True)
    session = ort.InferenceSession(str(converted.fp16), providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == [o.name for o in converted.reference.spec.outputs]
    assert {value.type for value in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}


def test_executor_agrees_with_onnxruntime_in_fp32(converted: Converted) -> None:
    inputs = graph_inputs(converted.reference, seeded_image(0, *converted.reference.calibration_size))
    session = ort.InferenceSession(str(converted.fp32), providers=["CPUExecutionProvider"])
    expected = dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs), strict=True))
    actual = OnnxOnTorch(converted.fp32).run(inputs)
    for output in converted.reference.spec.outputs:
        largest = np.abs(expected[output.name]).max()
        assert np.abs(expected[output.name] - actual[output.name]).max() <= REFERENCE_AGREEMENT * largest


def judged(reference: Reference, artefact: Path) -> Parity:
    spec = reference.spec
    card = Card(spec.name, "fp16", "onnx", spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch)
    write_card(with_files(card, artefact.parent, [artefact.name]), artefact)
    return judge_artefact(
        reference, artefact, parity_set(reference, QUICK, "seeded", None), QUICK, QUICK.budget, silent
    ).parity


def test_scores_survive_true_half_arithmetic(converted: Converted) -> None:
    parity = judged(converted.reference, converted.fp16)
    assert not parity.failures
    assert set(parity.max_abs) == {output.name for output in converted.reference.spec.outputs}


def overflowing(power: int) -> Reference:
    """Seeded eDifFIQA(T), the same function in float32: one unit gives 2^power times as much, the next undoes it."""
    reference = load_seeded(build("ediffiqa-t"))
    parameters = dict(reference.named_parameters())
    with torch.no_grad():
        for name in ("conv.bn.weight", "conv.bn.bias"):
            parameters[f"base_model.conv_34.{name}"].mul_(2.0**power)
        parameters["base_model.conv_34.conv_dw.conv.weight"].mul_(2.0**-power)
    return reference


def kept_for_their_numbers(case: Converted) -> list[str]:
    kept = {n for n, reason in case.conversion.kept_in_fp32.items() if "reaches" in reason or "underflow" in reason}
    return [node.op_type for node in open_graph(case.fp32).graph if node.name in kept]


def test_network_that_overflows_in_naive_fp16(tmp_path: Path) -> None:
    case = convert_seeded(overflowing(16), tmp_path)
    assert kept_for_their_numbers(case) == ["Conv", "PRelu", "Conv"]
    inputs = graph_inputs(case.reference, seeded_image(0, 112, 112))
    expected = reference_outputs(case.reference, seeded_image(0, 112, 112))
    assert reference_outputs(load_seeded(build("ediffiqa-t")), seeded_image(0, 112, 112)) == expected
    assert not judged(case.reference, case.fp16).failures

    naive = tmp_path / "naive.onnx"
    assert not write_fp16(open_graph(case.fp32), naive, {}).kept
    assert not np.isfinite(OnnxOnTorch(naive).run(inputs)["score"]).any()


def test_values_near_the_limit_stay_fp32(tmp_path: Path) -> None:
    """At 2^12 calibrated values still fit into fp16, but too closely for images that were not seen."""
    case = convert_seeded(overflowing(12), tmp_path)
    assert kept_for_their_numbers(case) == ["Conv", "PRelu", "Conv"]
    images = (graph_inputs(case.reference, seeded_image(index, 112, 112)) for index in range(8))
    ranges = activation_ranges(case.fp32, images)
    assert 65504 / 4 < max(r.largest for r in ranges.values()) < 65504


@pytest.mark.parametrize("name", ["yunet-s", "yunet-n"])
def test_detections_of_the_published_yunet(name: str, images_dir: Path, weights_dir: Path, tmp_path: Path) -> None:
    """The authors' weights find the same faces in fp16: IoU >= 0.9, |d score| <= 0.05 (measured 0.998 and 0.0005)."""
    reference, _ = load_reference(name, str(next(weights_dir.glob(name.replace("-", "_") + ".pth"))))
    photos = [photo for path in sorted(images_dir.rglob("*.*g"))[::2] if (photo := _photo(path)) is not None]
    inputs = [{"input": prepare([photo], reference.spec.input)} for photo in photos]
    fp32, fp16 = tmp_path / "fp32.onnx", tmp_path / "fp16.onnx"
    export_onnx(reference, fp32)
    ranges = activation_ranges(fp32, inputs[::2])
    to_fp16(fp32, fp16, {name: r.largest for name, r in ranges.items()})
    before, after = (_rows(OnnxOnTorch(path), photos) for path in (fp32, fp16))
    assert sum(map(len, before)) >= 12
    for expected, actual in zip(before, after, strict=True):
        assert len(expected) == len(actual)
        for e, a in zip(expected, actual, strict=True):
            assert intersection_over_union(e[:4], a[np.newaxis, :4])[0] >= 0.9
            assert abs(e[14] - a[14]) <= 0.05


def _rows(backend: Backend, photos: Sequence[Image]) -> list[np.ndarray]:
    """What YuNet finds in each photo."""
    decoder = YunetDecoder(lambda blob: backend.run({"input": blob}))
    return [decoder.rows(photo) for photo in photos]


def _photo(path: Path) -> Image | None:
    photo = read_image(path)
    shrink = min(1.0, 640 / max(photo.shape[:2]))
    photo = np.asarray(cv2.resize(photo, None, fx=shrink, fy=shrink), np.uint8)
    return photo if min(photo.shape[:2]) >= 64 else None
