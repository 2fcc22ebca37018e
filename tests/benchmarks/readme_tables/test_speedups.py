"""What is compared without and with a measure: the same results, the graphs that are meant, and the printed tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from fiqa_benchmarks.readme_tables import passes, speedups, unfused_openvino
from fiqa_benchmarks.readme_tables.graph_variants import (
    BATCH_NORMS,
    OPERATORS,
    PRELU,
    with_batch_norms,
    write_variants,
    written_out_file,
)
from fiqa_benchmarks.readme_tables.speedups import Speedup, TimedBackend, compare, markdown
from fiqa_benchmarks.readme_tables.unfused_openvino import UnfusedOpenVino
from fiqa_benchmarks.speed.latency import Ratio, measure
from fiqa_export.graph.passes import PASSES
from fiqa_export.graph.to_onnx import OPSET
from fiqa_export.models.blocks.vit import Block
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.system.progress import silent
from fiqa_runtime.terminal.console import run as run_app

from tests.help.commands import Invoke, invoker
from tests.help.samples.onnx_graphs import node, save_graph

NAMES_ONLY = {"plain_dimensions", "names_by_module"}
OWN_NETWORKS_ONLY = {"hard_sigmoid_as_clip"}
"""Passes that match nothing in the networks of the registry, so there is nothing to time."""


def operators(path: Path) -> Counter[str]:
    return Counter(n.op_type for n in onnx.load(path).graph.node)


def run(path: Path, *arrays: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options)
    names = [each.name for each in session.get_inputs()]
    return [np.asarray(result) for result in session.run(None, dict(zip(names, arrays, strict=True)))]


def assert_same(first: Sequence[np.ndarray], second: Sequence[np.ndarray], limit: float = 1e-6) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=limit * max(1.0, np.abs(other).max()))


class Clock:
    """Seconds that pass only where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += float(seconds)


class Slow:
    """A backend that takes as many hundredths of a second as it is told."""

    name = "slow"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.info: Mapping[str, str] = {}
        self.closed = False

    def run(self, inputs: Inputs) -> Arrays:
        self.clock.wait(0.01 * inputs["turns"][0])
        return {}

    def close(self) -> None:
        self.closed = True


def way(backend: Slow, turns: int) -> TimedBackend:
    return TimedBackend(lambda: backend, {"turns": np.array([turns], np.float32)})


def refused() -> Slow:
    raise UnsupportedError("operator Foo; use another")


def test_time_without_is_divided_by_time_with(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(speedups, "measure", partial(measure, clock=clock, pause=clock.wait))
    backends = [Slow(clock), Slow(clock)]
    fast, slow = (way(backend, turns) for backend, turns in zip(backends, (1, 8), strict=True))
    broken = TimedBackend(refused, fast.feed)
    found = compare({"a": (slow, fast), "b": (fast, slow), "c": (broken, fast)}, 3, silent, "")
    assert isinstance(found["a"], Ratio)
    assert isinstance(found["b"], Ratio)
    assert found["a"].median == pytest.approx(8)
    assert found["b"].median == pytest.approx(1 / 8)
    assert found["c"] == "no: operator Foo; use another"
    assert all(backend.closed for backend in backends)


def test_every_pass_that_changes_the_graph_is_measured() -> None:
    measured = {name for names in passes.MEASURES.values() for name in names}
    assert measured == {p.__name__ for p in PASSES} - NAMES_ONLY - OWN_NETWORKS_ONLY | {BATCH_NORMS, PRELU, *OPERATORS}


def test_forms_give_the_same_results(tmp_path: Path) -> None:
    measures = ("constant_reshapes", "join_branches", BATCH_NORMS)
    forms = write_variants("yunet-s", measures, tmp_path)
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    counts = {}
    for name, (without, best) in forms.items():
        assert best == tmp_path / "best.onnx"
        assert_same(run(without, image), run(best, image), 2e-6)
        counts[name] = operators(without)
    fewest = operators(tmp_path / "best.onnx")
    assert counts["constant_reshapes"]["Shape"] > fewest["Shape"] == 0
    assert counts["join_branches"]["Conv"] == 53 > fewest["Conv"]
    assert counts[BATCH_NORMS]["BatchNormalization"] == fewest["Conv"]
    assert fewest["BatchNormalization"] == 0


def test_prelu_is_compared_the_other_way_round(tmp_path: Path) -> None:
    ((whole, split),) = write_variants("ediffiqa-t", (PRELU,), tmp_path).values()
    assert operators(whole)["PRelu"] == 33
    assert operators(split)["PRelu"] == 0
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    assert_same(run(whole, image), run(split, image))


def test_batch_norms_are_those_of_the_biases(tmp_path: Path) -> None:
    weights = {"w": np.ones((2, 2, 1, 1), np.float32), "b": np.array([3, -4], np.float32)}
    nodes = [node("Conv", "x w b", "c"), node("Conv", "c w", "y")]
    path = save_graph(tmp_path / "graph.onnx", nodes, weights, [1, 2, 5, 5])
    x = np.random.default_rng(0).standard_normal((1, 2, 5, 5), np.float32)
    expected = run(path, x)
    onnx.save(with_batch_norms(onnx.load(path)), path)
    assert operators(path) == Counter(Conv=2, BatchNormalization=1)
    assert_same(run(path, x), expected)


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer block on tokens (batch, 50, 64)."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("block") / "block.onnx"
    program = torch.onnx.export(
        Block(64, 4).eval(),
        (torch.randn(2, 50, 64),),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None
    program.save(path)
    return path


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_are_written_out(block: Path, operator: str) -> None:
    tokens = np.random.default_rng(0).standard_normal((2, 50, 64), np.float32)
    other = written_out_file(block, operator)
    assert operators(block)[operator] > operators(other)[operator] == 0
    assert_same(run(other, tokens), run(block, tokens), 3e-6)


def test_openvino_without_fused_attention(block: Path) -> None:
    openvino = pytest.importorskip("openvino")
    tokens = np.random.default_rng(0).standard_normal((2, 50, 64), np.float32)
    alone = UnfusedOpenVino(block, 1)
    kinds = Counter(op.get_rt_info()["layerType"].astype(str) for op in alone.model.get_runtime_model().get_ops())
    assert kinds["Softmax"] == 1
    assert kinds["Subgraph"] == 0
    name = openvino.Core().read_model(str(block)).inputs[0].get_any_name()
    assert_same(list(alone.run({name: tokens}).values()), run(block, tokens), 3e-6)
    alone.close()


def test_forms_keep_to_the_threads_that_a_container_leaves(block: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    given = []
    monkeypatch.setattr(speedups, "PlainSession", lambda path, card, threads: given.append(threads))
    monkeypatch.setattr(speedups, "open_backend", lambda runtime, path, card, threads: given.append(threads))
    for module in (speedups, unfused_openvino):
        monkeypatch.setattr(module, "thread_limit", lambda: 1)
    for runtime in ("onnxruntime", "openvino"):
        speedups.open_variant(runtime, block, MODELS["ifqa"], None)
    assert given == [1, 1]
    assert unfused_openvino.UnfusedOpenVino(block, None).model.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.fixture(name="invoke")
def invoke_fixture(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(lambda: run_app(passes.app), capsys, monkeypatch)


@pytest.mark.long
def test_the_table_of_passes(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(passes.MEASURES, "yunet-s", ("join_branches",))
    monkeypatch.setattr(passes, "available", lambda: ["opencv", "onnxruntime"])
    result = invoke("--only", "yunet-s", "--threads", "1", "--rounds", "1", "--json", tmp_path / "gains.json")
    assert result.code == 0, result.err
    head, rule, row = result.out.splitlines()
    assert head == "| time without / with | network | opencv | onnxruntime |"
    assert rule.count("---") == 4
    assert row.startswith("| join_branches | `yunet-s` | ")
    (gain,) = json.loads((tmp_path / "gains.json").read_text(encoding="utf-8"))["gains"]
    for runtime in ("opencv", "onnxruntime"):
        assert gain["ratios"][runtime]["median"] > 0
        assert f"{gain['ratios'][runtime]['median']:.2f} (" in row


def test_a_network_without_measures(invoke: Invoke) -> None:
    assert invoke("--only", "cr-fiqa-l").is_one_line(
        "nothing is measured on cr-fiqa-l; choose from ediffiqa-t, cr-fiqa-s"
    )


def test_markdown() -> None:
    gain = Speedup("a", "n", {"x": Ratio(1.5, 1.25, 2.0), "y": "no: it fails"})
    assert markdown(["m", "x", "y"], [[gain.measure, *gain.cells()]]).splitlines() == [
        "| m | x | y |",
        "| --- | --- | --- |",
        "| a | 1.50 (1.25 to 2.00) | no: it fails |",
    ]
