"""What is compared without and with a measure: the same results, the graphs that are meant, and the printed tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import fiqa_benchmarks.readme_tables.dsl_fiqa
import fiqa_benchmarks.readme_tables.passes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from fiqa_benchmarks.readme_tables import speedups as gains
from fiqa_benchmarks.readme_tables import unfused_openvino as unfused
from fiqa_benchmarks.readme_tables.dsl_variants import (
    BEST,
    DEAD,
    LANDMARKS,
    QUERIES,
    Variant,
    count_macs,
    keep_dead_branches,
    repeat_queries,
)
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
from fiqa_benchmarks.speed.latency import Ratio
from fiqa_export.graph.passes import PASSES
from fiqa_export.graph.to_onnx import OPSET
from fiqa_export.models import build
from fiqa_export.models.vit import Block
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.system.progress import silent

from tests.help.commands import Invoke, invoker
from tests.help.onnx_graphs import node, save_graph

NAMES_ONLY = {"plain_dimensions", "names_by_module"}


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


class Slow:
    """A backend that takes as many turns of a clock as it is told."""

    name, info = "slow", {}

    def __init__(self) -> None:
        self.closed = False

    def run(self, inputs: Inputs) -> Arrays:
        for _ in range(int(inputs["turns"][0])):
            sum(range(20_000))
        return {}

    def close(self) -> None:
        self.closed = True


def refused() -> Slow:
    raise UnsupportedError("operator Foo; use another")


def test_time_without_is_divided_by_time_with() -> None:
    backends = [Slow(), Slow()]
    fast, slow = (
        TimedBackend(lambda b=b: b, {"turns": np.array([n], np.float32)}) for b, n in zip(backends, (1, 8), strict=True)
    )
    broken = TimedBackend(refused, fast.feed)
    found = compare({"a": (slow, fast), "b": (fast, slow), "c": (broken, fast)}, 3, silent, "")
    assert isinstance(found["a"], Ratio)
    assert isinstance(found["b"], Ratio)
    assert found["a"].median > 3
    assert found["b"].median < 1 / 3
    assert found["c"] == "no: operator Foo; use another"
    assert all(backend.closed for backend in backends)


def test_every_pass_that_changes_the_graph_is_measured() -> None:
    measured = {name for names in fiqa_benchmarks.readme_tables.passes.MEASURES.values() for name in names}
    assert measured == {p.__name__ for p in PASSES} - NAMES_ONLY | {BATCH_NORMS, PRELU, *OPERATORS}


def test_forms_give_the_same_results(tmp_path: Path) -> None:
    measures = ("constant_reshapes", "join_branches", BATCH_NORMS)
    forms = write_variants("yunet-s", measures, tmp_path)
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    counts = {}
    for name, (without, best) in forms.items():
        assert best == tmp_path / "best.onnx"
        assert_same(run(without, image), run(best, image), 2e-6)
        counts[name] = operators(without)
    best = operators(tmp_path / "best.onnx")
    assert counts["constant_reshapes"]["Shape"] > best["Shape"] == 0
    assert counts["join_branches"]["Conv"] == 53 > best["Conv"]
    assert counts[BATCH_NORMS]["BatchNormalization"] == best["Conv"]
    assert best["BatchNormalization"] == 0


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
    monkeypatch.setattr(gains, "PlainSession", lambda path, card, threads: given.append(threads))
    monkeypatch.setattr(gains, "open_backend", lambda runtime, path, card, threads: given.append(threads))
    for module in (gains, unfused):
        monkeypatch.setattr(module, "thread_limit", lambda: 1)
    for runtime in ("onnxruntime", "openvino"):
        gains.open_variant(runtime, block, MODELS["ifqa"], None)
    assert given == [1, 1]
    assert unfused.UnfusedOpenVino(block, None).model.get_property("INFERENCE_NUM_THREADS") == 1


def hollow() -> torch.nn.Module:
    """DSL-FIQA with shapes and without numbers."""
    with torch.device("meta"):
        reference = build("dsl-fiqa-visible").eval()
        reference._values = torch.zeros(1, 576)
    return reference


def macs(reference: torch.nn.Module) -> int:
    with torch.no_grad():
        return count_macs(lambda: reference(torch.zeros(1, 3, 384, 384, device="meta")))


def test_what_the_savings_of_dsl_fiqa_save() -> None:
    best, repeated, whole = hollow(), hollow(), hollow()
    repeat_queries(repeated)
    keep_dead_branches(whole)
    assert macs(best) == pytest.approx(MODELS["dsl-fiqa-visible"].macs, rel=1e-3)
    attention, projection = 2 * 480 * 576 * 256, 480 * 256 * 256
    assert macs(repeated) - macs(best) == 3 * (attention + projection)
    tokens = 577
    vit = 2 * (12 * tokens * 768**2 + 2 * tokens**2 * 768) + 768 * 1000
    assert macs(whole) - macs(best) == vit + 2 * 96 * 256**2


def test_repeated_queries_give_the_same_answers() -> None:
    from fiqa_export.models.dsl_fiqa import CrossAttention

    torch.manual_seed(0)
    network = hollow()
    attention = network.iqa.decoder[0].attn = CrossAttention().double()
    tokens, description = torch.randn(2, 576, 256).double(), torch.randn(2, 96, 256).double()
    expected = attention(tokens, description)
    repeat_queries(network)
    torch.testing.assert_close(attention(tokens, description), expected, rtol=0, atol=1e-12)


@pytest.fixture()
def passes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(
        lambda: fiqa_benchmarks.readme_tables.passes.run(fiqa_benchmarks.readme_tables.passes.app), capsys, monkeypatch
    )


def test_the_table_of_passes(passes: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fiqa_benchmarks.readme_tables.passes.MEASURES, "yunet-s", ("join_branches",))
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.passes, "available", lambda: ["opencv", "onnxruntime"])
    result = passes("--only", "yunet-s", "--threads", "1", "--rounds", "1", "--json", tmp_path / "gains.json")
    assert result.code == 0, result.err
    head, rule, row = result.out.splitlines()
    assert head == "| time without / with | network | opencv | onnxruntime |"
    assert rule.count("---") == 4
    assert row.startswith("| join_branches | `yunet-s` | ")
    (gain,) = json.loads((tmp_path / "gains.json").read_text())["gains"]
    for runtime in ("opencv", "onnxruntime"):
        assert 0.1 < gain["ratios"][runtime]["median"] < 10
        assert f"{gain['ratios'][runtime]['median']:.2f} (" in row


def test_a_network_without_measures(passes: Invoke) -> None:
    assert passes("--only", "cr-fiqa-l").is_one_line(
        "nothing is measured on cr-fiqa-l; choose from ediffiqa-t, cr-fiqa-s"
    )


@pytest.mark.long
def test_the_tables_of_dsl_fiqa(
    seeded_engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On eDifFIQA(T), which is a thousand times smaller: every form is the same file here."""
    spec = MODELS["ediffiqa-t"]
    feed = {"input": np.zeros((4, 3, 112, 112), np.float32)}

    def forms(folder: Path) -> list[Variant]:
        path = folder / "0.onnx"
        path.write_bytes(seeded_engine.read_bytes())
        names = (BEST, QUERIES, DEAD, LANDMARKS)
        return [Variant(name, path, spec, (1 + number) * 10**9, feed) for number, name in enumerate(names)]

    monkeypatch.setattr(fiqa_benchmarks.readme_tables.dsl_fiqa, "write_variants", forms)
    invoke = invoker(
        lambda: fiqa_benchmarks.readme_tables.dsl_fiqa.run(fiqa_benchmarks.readme_tables.dsl_fiqa.app),
        capsys,
        monkeypatch,
    )
    result = invoke("--threads", "1", "--rounds", "1", "--json", tmp_path / "savings.json")
    assert result.code == 0, result.err
    savings, batches = result.out.strip().split("\n\n")
    assert savings.splitlines()[0] == "| time without / with | GMAC without / with | onnxruntime | openvino |"
    assert [row.split(" | ")[0] for row in savings.splitlines()[2:]] == [
        f"| {name}" for name in (QUERIES, DEAD, LANDMARKS, fiqa_benchmarks.readme_tables.dsl_fiqa.ATTENTION)
    ]
    assert savings.splitlines()[2].split(" | ")[1] == "2.00 / 1.00"
    assert [row.split(" | ")[0] for row in batches.splitlines()[2:]] == ["| 1", "| 4", "| 20"]
    sizes = json.loads((tmp_path / "savings.json").read_text())["batches"]["onnxruntime"]
    assert sizes["1"]["peak_resident_bytes"] < sizes["20"]["peak_resident_bytes"]
    assert sizes["20"]["images_per_second"] > 1


def test_markdown() -> None:
    gain = Speedup("a", "n", {"x": Ratio(1.5, 1.25, 2.0), "y": "no: it fails"})
    assert markdown(["m", "x", "y"], [[gain.measure, *gain.cells()]]).splitlines() == [
        "| m | x | y |",
        "| --- | --- | --- |",
        "| a | 1.50 (1.25 to 2.00) | no: it fails |",
    ]
