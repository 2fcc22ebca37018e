"""fp16 for every network of the registry: what is converted, and that scores survive true half arithmetic.

A new network is covered by its zoo entry alone. The large ones are slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from fiqa_export.activation_ranges import activation_ranges
from fiqa_export.checkpoint import load_reference
from fiqa_export.half import HalfBackend
from fiqa_export.models import Reference, build
from fiqa_export.onnx_graph import is_float, open_graph
from fiqa_export.seeded import load_seeded
from fiqa_export.tensors import network_input
from fiqa_export.to_fp16 import Fp16Plan, to_fp16, write_fp16
from fiqa_export.to_onnx import export_onnx
from fiqa_runtime.agreement import agree
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.preprocess import prepare
from fiqa_runtime.seeded import seeded_image
from fiqa_runtime.yunet import YunetDecoder
from fiqa_runtime.zoo import MODELS

LARGE = 30_000_000
"""Networks with more parameters are slow."""
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if spec.parameters > LARGE else []) for name, spec in MODELS.items()
]
SRCC = 0.9998
BUDGET = {"score": 0.005, "landmarks": 0.005, "map": 0.01, "head": 0.03}
"""Largest |d| as a share of the output's range, by kind of output: a map has 50,000 chances per image to be off, and
YuNet's raw heads are judged by the faces they give, see :func:`test_detections_of_the_published_yunet`."""
REFERENCE_AGREEMENT = 2e-5
"""Largest |d| between the executor and ONNX Runtime on the fp32 graph, as a share of the output's largest value."""
ALLOWED_FP32 = {"Cast", "Resize"}
"""Resize reads its scales as float32 in any precision."""


@dataclass(frozen=True)
class Converted:
    reference: Reference
    fp32: Path
    fp16: Path
    plan: Fp16Plan


def convert(reference: Reference, folder: Path) -> Converted:
    fp32, fp16 = folder / "fp32.onnx", folder / "fp16.onnx"
    export_onnx(reference, fp32)
    ranges = activation_ranges(fp32, batches(reference, 100, 4))
    return Converted(reference, fp32, fp16, to_fp16(fp32, fp16, {name: r.largest for name, r in ranges.items()}))


def batches(reference: Reference, start: int, count: int) -> Iterator[Arrays]:
    """Graph inputs of `count` seeded images one by one, in batches of 8 where images are small."""
    size = 8 if reference.spec.macs < 1e10 else 1
    height, width = reference.calibration_size
    for first in range(start, start + count, size):
        images = [seeded_image(i, height, width) for i in range(first, min(first + size, start + count))]
        inputs = {reference.spec.input.name: network_input(images, reference.spec.input)}
        inputs |= reference.extra_inputs(len(images))
        yield {name: tensor.numpy() for name, tensor in inputs.items()}


@pytest.fixture(scope="module", params=NAMES)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converted]:
    """Each network converted once; its files go before the next one comes."""
    folder = tmp_path_factory.mktemp(request.param)
    yield convert(load_seeded(build(request.param)), folder)
    for file in folder.iterdir():
        file.unlink()


def outputs_of(backend: HalfBackend, inputs: list[Arrays]) -> Arrays:
    parts = [backend.run(batch) for batch in inputs]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def reference_outputs(reference: Reference, inputs: list[Arrays]) -> Arrays:
    parts = []
    for batch in inputs:
        image, *extra = (torch.from_numpy(array) for array in batch.values())
        parts.append(reference.outputs(image, **dict(zip(reference.extra_inputs(1), extra, strict=True))))
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


def differences(reference: Reference, expected: Arrays, actual: Arrays) -> dict[str, float]:
    """By output: largest |d| as a share of its nominal range or, without one, of its spread; NaN counts as infinite."""
    shares = {}
    for output in reference.spec.outputs:
        values = expected[output.name]
        low, high = output.range or (values.min(), values.max())
        worst = np.abs(values - actual[output.name]).max()
        shares[output.name] = float(np.nan_to_num(worst / (high - low), nan=np.inf))
    return shares


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
    assert fp32 == set(converted.plan.kept)
    assert all(converted.plan.kept.values())
    half = sum(any(value.dtype == ir.DataType.FLOAT16 for value in n.outputs) for n in graph if n.op_type != "Cast")
    assert half == converted.plan.converted > len(fp32)


def test_no_cast_is_made_twice(converted: Converted) -> None:
    graph = open_graph(converted.fp16).graph
    before = sum(node.op_type == "Cast" for node in open_graph(converted.fp32).graph)
    casts = [node for node in graph if node.op_type == "Cast"]
    assert len(casts) == converted.plan.casts + before
    assert len({(cast.inputs[0], cast.outputs[0].dtype) for cast in casts}) == len(casts)
    assert not [cast for cast in casts if (source := cast.inputs[0].producer()) and source.op_type == "Cast"]
    assert not [cast for cast in casts if cast.inputs[0].is_initializer()]


def test_is_half_as_large(converted: Converted) -> None:
    """Weights halve; the graph itself, some 100 KB, does not, and counts in the smallest networks only."""
    before, after = (
        sum(v.const_value.nbytes for v in open_graph(path).graph.initializers.values() if v.const_value is not None)
        for path in (converted.fp32, converted.fp16)
    )
    assert 0.5 <= after / before < 0.52
    assert converted.fp16.stat().st_size < after + 2_000_000
    assert not converted.fp16.with_name("fp16.onnx.data").exists()


def test_is_valid_for_onnx_and_onnxruntime(converted: Converted) -> None:
    onnx.checker.check_model(str(converted.fp16), full_check=True)
    session = ort.InferenceSession(str(converted.fp16), providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == [o.name for o in converted.reference.spec.outputs]
    assert {value.type for value in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}


def test_executor_agrees_with_onnxruntime_in_fp32(converted: Converted) -> None:
    inputs = next(batches(converted.reference, 0, 1))
    session = ort.InferenceSession(str(converted.fp32), providers=["CPUExecutionProvider"])
    expected = dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs), strict=True))
    actual = HalfBackend(converted.fp32).run(inputs)
    for output in converted.reference.spec.outputs:
        largest = np.abs(expected[output.name]).max()
        assert np.abs(expected[output.name] - actual[output.name]).max() <= REFERENCE_AGREEMENT * largest


def image_count(reference: Reference) -> int:
    """Two neighbours of N images that change places cost 12 / N^3 of SRCC: few images cannot show 0.9998."""
    if reference.spec.task != "quality":
        return 4
    return 320 if reference.spec.macs < 1e9 else 96 if reference.spec.macs < 3e10 else 8


def test_scores_survive_true_half_arithmetic(converted: Converted, record_property: pytest.RecordProperty) -> None:
    reference = converted.reference
    inputs = list(batches(reference, 0, image_count(reference)))
    expected = reference_outputs(reference, inputs)
    actual = outputs_of(HalfBackend(converted.fp16), inputs)
    shares = differences(reference, expected, actual)
    record_property("largest |d| as a share of the range", shares)
    for output in reference.spec.outputs:
        assert shares[output.name] <= BUDGET[output.kind], f"{output.name}: {shares[output.name]:.2e}"
    if "score" in expected:
        agreement = agree(expected["score"][:, 0], actual["score"][:, 0])
        record_property("SRCC", agreement.srcc)
        assert agreement.srcc >= SRCC, str(agreement)


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
    kept = {name for name, reason in case.plan.kept.items() if "reaches" in reason or "underflow" in reason}
    return [node.op_type for node in open_graph(case.fp32).graph if node.name in kept]


def test_network_that_overflows_in_naive_fp16(tmp_path: Path) -> None:
    case = convert(overflowing(16), tmp_path)
    assert kept_for_their_numbers(case) == ["Conv", "PRelu", "Conv"]
    inputs = list(batches(case.reference, 0, image_count(case.reference)))
    expected = reference_outputs(case.reference, inputs)
    unscaled = reference_outputs(load_seeded(build("ediffiqa-t")), inputs[:1])
    assert (expected["score"][: len(unscaled["score"])] == unscaled["score"]).all()

    actual = outputs_of(HalfBackend(case.fp16), inputs)
    assert differences(case.reference, expected, actual)["score"] <= BUDGET["score"]
    assert agree(expected["score"][:, 0], actual["score"][:, 0]).srcc >= SRCC

    naive = tmp_path / "naive.onnx"
    assert not write_fp16(open_graph(case.fp32), naive, {}).kept
    assert not np.isfinite(HalfBackend(naive).run(inputs[0])["score"]).any()


def test_values_near_the_limit_stay_fp32(tmp_path: Path) -> None:
    """At 2^12 calibrated values still fit into fp16, but too closely for images that were not seen."""
    case = convert(overflowing(12), tmp_path)
    assert kept_for_their_numbers(case) == ["Conv", "PRelu", "Conv"]
    ranges = activation_ranges(case.fp32, batches(case.reference, 0, 8))
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
    before, after = (
        [YunetDecoder(lambda blob, b=backend: b.run({"input": blob})).rows(photo) for photo in photos]
        for backend in (HalfBackend(fp32), HalfBackend(fp16))
    )
    assert sum(map(len, before)) >= 12
    for expected, actual in zip(before, after, strict=True):
        assert len(expected) == len(actual)
        for e, a in zip(expected, actual, strict=True):
            assert _iou(e, a) >= 0.9
            assert abs(e[14] - a[14]) <= 0.05


def _photo(path: Path) -> np.ndarray | None:
    photo = cv2.imread(str(path))
    shrink = min(1.0, 640 / max(photo.shape[:2]))
    photo = cv2.resize(photo, None, fx=shrink, fy=shrink)
    return photo if min(photo.shape[:2]) >= 64 else None


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    start, end = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:4], b[:2] + b[2:4])
    shared = np.prod(np.maximum(end - start, 0))
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


@pytest.mark.parametrize(
    "name",
    ["ediffiqa-t", pytest.param("cr-fiqa-s", marks=pytest.mark.slow), pytest.param("ifqa", marks=pytest.mark.slow)],
)
def test_tensorrt_rtx_parses_and_builds_it_strongly_typed(name: str, tmp_path: Path) -> None:
    """Needs no GPU: the parser and the builder of tensorrt-rtx run on the CPU."""
    trt = pytest.importorskip("tensorrt_rtx", reason="install fiqa-edge[rtx] to build engines")
    case = convert(load_seeded(build(name)), tmp_path)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(case.fp16)), [str(parser.get_error(i)) for i in range(parser.num_errors)]
    types = {network.get_layer(i).get_output(0).dtype for i in range(network.num_layers)}
    assert {trt.DataType.HALF, trt.DataType.FLOAT} <= types
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    shape = tuple(network.get_input(0).shape)[1:]
    profile.set_shape(network.get_input(0).name, (1, *shape), (8, *shape), (32, *shape))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    assert plan.nbytes < 0.8 * case.fp32.stat().st_size
