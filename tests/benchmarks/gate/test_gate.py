"""The gate as typed: a planted fp16 bug is caught with exit code 3, a sound engine passes, bad input is refused."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fiqa_benchmarks.cli
import numpy as np
import onnx
import pytest
from fiqa_benchmarks.contenders.peers import contenders
from fiqa_benchmarks.gate.baseline import read_baseline
from fiqa_benchmarks.gate.budget import BUDGETS, read_budget
from fiqa_benchmarks.gate.gate import open_gate
from fiqa_benchmarks.speed.bench import image_id
from fiqa_export.fp16.convert import write_fp16
from fiqa_export.graph.loading import open_graph
from fiqa_runtime.artefact.card import card_path, read_card, with_files, write_card
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Invoke
from tests.help.places import EXAMPLES, GOLDEN
from tests.help.samples.cards import card_beside_alone

QUICK = ("--backend", "opencv", "--threads", "1", "--rounds", "1")


def changed_engine(engine: Path, path: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> Path:
    """`engine` with other weights of the same type, under a card of its own."""
    model = onnx.load(engine)
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            weights = onnx.numpy_helper.to_array(tensor)
            values = change(tensor.name, weights.astype(np.float32)).astype(weights.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)
    card_beside_alone(read_card(engine), path)
    return path


def through_half(name: str, weights: np.ndarray) -> np.ndarray:
    return weights.astype(np.float16)


def scaled_into_underflow(name: str, weights: np.ndarray) -> np.ndarray:
    """What a careless fp16 conversion does: weights scaled down until most of them underflow, then up again."""
    scale = np.float32(2**-18)
    restored: np.ndarray = through_half(name, weights * scale).astype(np.float32) / scale
    return restored


@pytest.fixture(scope="module")
def half_engine(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine as strongly typed fp16: its graph says half, its weights take two bytes."""
    path = tmp_path_factory.mktemp("half") / "ediffiqa-t.fp16.onnx"
    write_fp16(open_graph(seeded_engine), path, {})
    card = replace(read_card(seeded_engine), precision="fp16", files={})
    write_card(with_files(card, path.parent, [path.name]), path)
    return path


def test_a_real_fp16_file_passes_and_one_with_a_planted_bug_is_caught(
    bench: Invoke, old_run: Path, half_engine: Path, tmp_path: Path
) -> None:
    types = {tensor.data_type for tensor in onnx.load(half_engine).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types and onnx.TensorProto.FLOAT not in types
    budget = budget_file(tmp_path, srcc=0.99, flips=0.1, max_abs=0.01, bytes_ratio=0.55)
    options = ("--baseline", old_run / "bench.json", "--budget", budget, "--rounds", "1", "--backend", "onnxruntime")
    result = bench("--engine", half_engine, *options)
    assert result.code == 0 and result.out.count("kept:") == 4, result.err
    broken = changed_engine(half_engine, tmp_path / "broken/new.fp16.onnx", scaled_into_underflow)
    assert (
        broken.stat().st_size
        < 0.55 * json.loads((old_run / "bench.json").read_text(encoding="utf-8"))["contenders"][0]["file_bytes"]
    )
    result = bench("--engine", broken, *options)
    assert result.code == 3
    lines = result.err.strip().splitlines()
    assert {line.split()[2] for line in lines[:-1]} >= {"srcc", "max_abs"} and result.out.count("kept:") >= 1
    assert "new.fp16.onnx breaks" in lines[-1]


@pytest.fixture(scope="module")
def old_run(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with the old engine, its card, and the document of its run."""
    folder = tmp_path_factory.mktemp("baseline")
    for file in (seeded_engine, card_path(seeded_engine)):
        shutil.copy(file, folder)
    with pytest.MonkeyPatch.context() as patch:
        arguments = ("--engine", folder / seeded_engine.name, *QUICK, "--json", folder / "bench.json")
        patch.setattr("sys.argv", ["fiqa-bench", *map(str, arguments)])
        try:
            fiqa_benchmarks.cli.main()
        except SystemExit as stop:
            assert not stop.code
    return folder


def budget_file(folder: Path, **limits: float) -> Path:
    path = folder / "budget.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in limits.items()))
    return path


def test_documents_carry_what_the_gate_needs(old_run: Path, seeded_engine: Path) -> None:
    document = json.loads((old_run / "bench.json").read_text(encoding="utf-8"))
    (contender,) = document["contenders"]
    ids = [image_id(seeded_image(index, 112, 112)) for index in range(fiqa_benchmarks.cli.IMAGES)]
    assert list(contender["scores"]) == ids
    golden = json.loads((GOLDEN / "ediffiqa-t.json").read_text(encoding="utf-8"))["score64"]
    np.testing.assert_allclose(list(contender["scores"].values())[:4], golden, atol=1e-6)
    assert contender["files"] == read_card(seeded_engine).files


def test_a_sound_engine_passes_and_a_planted_fp16_bug_is_caught(
    bench: Invoke, old_run: Path, seeded_engine: Path, tmp_path: Path
) -> None:
    budget = budget_file(tmp_path, srcc=0.99, flips=0.1, max_abs=0.01, latency_ratio=1000, bytes_ratio=1.1)
    options = ("--baseline", old_run / "bench.json", "--budget", budget, *QUICK)
    sound = changed_engine(seeded_engine, tmp_path / "sound/new.onnx", through_half)
    result = bench("--engine", sound, *options, "--junit", tmp_path / "xml/sound.xml", "--json", tmp_path / "s.json")
    assert result.code == 0, result.err
    assert result.out.count("kept:") == 5 and "measured in turns" in result.out
    assert f"baseline {seeded_engine.name}" in result.out
    document = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert [check["passed"] for check in document["gate"]["checks"]] == [True] * 5
    assert document["gate"]["checks"][2]["value"] > 0, "the engines score alike to the bit, nothing is tested"
    suite = ElementTree.parse(tmp_path / "xml/sound.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("5", "0")

    broken = changed_engine(seeded_engine, tmp_path / "broken/new.onnx", scaled_into_underflow)
    result = bench("--engine", broken, *options, "--junit", tmp_path / "broken.xml")
    assert result.code == 3
    *lines, last = result.err.strip().splitlines()
    assert all(re.match(r"broken: new\.onnx: \w+ is [-\d.e]+, the budget asks for", line) for line in lines)
    assert {line.split()[2] for line in lines} >= {"srcc", "max_abs"}
    assert last == (f"error: new.onnx breaks {len(lines)} of 5 budgets; repair it, or change {budget} on purpose")
    failures = ElementTree.parse(tmp_path / "broken.xml").getroot().findall("testsuite/testcase[failure]")
    assert [case.get("name") for case in failures] == [line.split()[2] for line in lines]
    assert "asks for at least 0.99" in str(failures[0][0].get("message"))


def test_the_same_file_has_ratio_one_and_is_not_measured_twice(
    bench: Invoke, old_run: Path, seeded_engine: Path, tmp_path: Path
) -> None:
    budget = budget_file(tmp_path, latency_ratio=1.0, bytes_ratio=1, srcc=1)
    arguments = ("--engine", seeded_engine, *QUICK, "--baseline", old_run / "bench.json", "--budget", budget)
    result = bench(*arguments, "--json", "-")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert len(document["contenders"]) == 1
    assert [check["value"] for check in document["gate"]["checks"]] == [1, 1, 1]


def test_the_old_engine_is_found_by_its_hash_only(old_run: Path, seeded_engine: Path, tmp_path: Path) -> None:
    document = shutil.copy(old_run / "bench.json", tmp_path / "bench.json")
    found = read_baseline(Path(document), "other name.onnx")
    assert found.find_engine() == old_run / seeded_engine.name
    in_place = tmp_path / "engines" / seeded_engine.name
    in_place.parent.mkdir()
    in_place.write_bytes(b"the new engine")
    found = replace(found, engine=str(in_place))
    assert found.find_engine() is None
    beside = Path(shutil.copy(seeded_engine, tmp_path))
    assert found.find_engine() == beside


def test_a_link_stands_for_the_engine_it_leads_to(
    bench: Invoke, old_run: Path, seeded_engine: Path, tmp_path: Path
) -> None:
    link = tmp_path / "ediffiqa-t.onnx"
    link.symlink_to(seeded_engine)
    budget = budget_file(tmp_path, latency_ratio=1.0, bytes_ratio=1)
    options = ("--baseline", old_run / "bench.json", "--budget", budget, "--json", tmp_path / "link.json")
    result = bench("--engine", link, *QUICK, *options)
    assert result.code == 0, result.err
    (contender,) = json.loads((tmp_path / "link.json").read_text(encoding="utf-8"))["contenders"]
    assert contender["files"] == read_card(seeded_engine).files
    assert contender["file_bytes"] == seeded_engine.stat().st_size
    assert read_baseline(tmp_path / "link.json", link.name).find_engine() == link


def test_the_old_engine_is_measured_in_the_arithmetic_of_the_new_one(
    old_run: Path, seeded_engine: Path, tmp_path: Path
) -> None:
    changed = changed_engine(seeded_engine, tmp_path / "changed/new.onnx", through_half)
    (new,) = contenders([str(changed)], "openvino", [], "fast")
    crops = [seeded_image(index, 112, 112) for index in range(fiqa_benchmarks.cli.IMAGES)]
    budget = budget_file(tmp_path, latency_ratio=2)
    gate = open_gate(old_run / "bench.json", budget, None, new, read_card(changed), crops)
    assert [(old.backend, old.cpu_precision) for old in gate.opponents] == [("openvino", "fast")]


def test_the_contender_of_the_same_name_is_the_baseline(old_run: Path, tmp_path: Path) -> None:
    document = json.loads((old_run / "bench.json").read_text(encoding="utf-8"))
    document["contenders"].append({**document["contenders"][0], "name": "int8.onnx"})
    path = tmp_path / "two.json"
    path.write_text(json.dumps(document))
    assert read_baseline(path, "int8.onnx").name == "int8.onnx"
    assert read_baseline(path, "new.onnx").name == document["contenders"][0]["name"]


BUDGET_TEXTS = {
    "empty": ("", "sets no budget"),
    "no TOML": ("srcc: 0.99", "is not TOML"),
    "unknown key": ("plcc = 1", "has the key 'plcc'; a budget has srcc, flips"),
    "no number": ('srcc = "high"', "sets srcc to 'high'; give a number from -1 to 1"),
    "bool": ("flips = true", "sets flips to True"),
    "out of range": ("srcc = 99", "sets srcc to 99"),
    "NaN": ("bytes_ratio = nan", "sets bytes_ratio to nan"),
    "negative": ("latency_ratio = -1", "sets latency_ratio to -1"),
    "binary": ("\udcff", "is not TOML"),
}


@pytest.mark.parametrize("case", BUDGET_TEXTS)
def test_malformed_budgets_are_refused(
    bench: Invoke, old_run: Path, seeded_engine: Path, tmp_path: Path, case: str
) -> None:
    text, says = BUDGET_TEXTS[case]
    path = tmp_path / "budget.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = bench("--engine", seeded_engine, "--baseline", old_run / "bench.json", "--budget", path)
    assert result.is_one_line("budget.toml", says), result


DOCUMENTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no JSON": (lambda document: "{", "is not a document with scores"),
    "a list": (lambda document: [], "is not a document with scores"),
    "no contenders": (lambda document: {**document, "contenders": []}, "is not a document with scores"),
    "a peer": (lambda document: _without(document, file_bytes=None), "is not a document with scores"),
    "no size": (lambda document: _without(document, file_bytes=0), "is not positive"),
    "NaN": (lambda document: _without(document, scores={"0": math.nan}), "score is not a finite number"),
    "no scores": (lambda document: _without(document, scores=None), "is not a document with scores"),
    "failed": (lambda document: {**document, "contenders": [{"name": "x", "error": "y"}]}, "make it again"),
    "another network": (lambda document: _without(document, model="ifqa"), "scores of ifqa, not of ediffiqa-t"),
    "other images": (lambda document: _without(document, scores={"0": 1.0}), "0 of them among the 16 here"),
}


def _without(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**document, "contenders": [{**document["contenders"][0], **changes}]}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents_that_cannot_be_compared_are_refused_before_anything_is_measured(
    bench: Invoke,
    old_run: Path,
    seeded_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.setattr("fiqa_benchmarks.runs.bench", lambda *arguments: pytest.fail("measured"))
    make, says = DOCUMENTS[case]
    made = make(json.loads((old_run / "bench.json").read_text(encoding="utf-8")))
    path = tmp_path / "old.json"
    path.write_text(made if isinstance(made, str) else json.dumps(made))
    result = bench("--engine", seeded_engine, "--baseline", path, "--budget", budget_file(tmp_path, srcc=0.9))
    assert result.is_one_line("old.json", says), result


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--baseline", "no.json", "--budget", "{budget}"), ("cannot read no.json", "fiqa-bench --engine OLD --json")),
        (("--baseline", "{old}"), ("--baseline needs --budget FILE",)),
        (("--baseline", "{old}", "--budget", "no.toml"), ("cannot read no.toml",)),
        (("--budget", "{budget}"), ("--budget is a part of --baseline",)),
        (("--junit", "x.xml"), ("--junit is a part of --baseline",)),
        (("--baseline", "{old}", "--budget", "{budget}", "--junit", "{budget}/x.xml"), ("cannot write to",)),
    ],
)
def test_bad_options(
    bench: Invoke, old_run: Path, seeded_engine: Path, tmp_path: Path, arguments: tuple[str, ...], parts: tuple[str]
) -> None:
    names = {"old": old_run / "bench.json", "budget": budget_file(tmp_path, srcc=0.9)}
    result = bench("--engine", seeded_engine, *(argument.format(**names) for argument in arguments))
    assert result.is_one_line(*parts), result


def test_example_budget_uses_every_key() -> None:
    assert list(read_budget(EXAMPLES / "budget.toml")) == list(BUDGETS)
