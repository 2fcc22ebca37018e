"""The CPU table: rows that mean what they say, and the command behind `make bench`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import fiqa_benchmarks.readme_tables.cpu
import numpy as np
import pytest
import torch
from fiqa_benchmarks.contenders.peers import Contender
from fiqa_benchmarks.readme_tables import cpu_rows
from fiqa_benchmarks.readme_tables.cpu_network import (
    BFLOAT,
    INT8,
    TORCH,
    Measured,
    NetworkTask,
    entered,
    measure_network,
)
from fiqa_benchmarks.readme_tables.cpu_rows import NO_INT8, Row, memory_row, network_rows
from fiqa_benchmarks.speed import roofline
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK, bench
from fiqa_benchmarks.speed.latency import Timing
from fiqa_runtime.artefact.card import card_path
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from rich.text import Text

from tests.help.commands import Invoke, invoker


def timing(*medians: float) -> Timing:
    return Timing(tuple((seconds,) for seconds in medians))


def measured(weights: str = "seeded", **srcc: float) -> Measured:
    """CR-FIQA(S) as if measured: torch 6 s, then each contender of `srcc` a second faster than the one before."""
    names = [TORCH, *(name.replace("_", " ") for name in srcc)]
    timings = {name: {NETWORK: timing(6.0 - place, 6.0 - place)} for place, name in enumerate(names)}
    agreement = dict(zip(names, (1.0, *srcc.values()), strict=True))
    return Measured(weights, {1: timings, 8: timings}, agreement)


@pytest.mark.parametrize(
    ("value", "at_most", "agrees", "reached"),
    [
        (2.0, False, True, True),
        (1.99, False, True, False),
        (2.0, True, True, True),
        (2.01, True, True, False),
        (9.0, False, False, False),
        (None, False, True, False),
        (None, True, True, False),
    ],
)
def test_the_mark(value: float | None, at_most: bool, agrees: bool, reached: bool) -> None:
    row = Row("f", "1", 2.0, value, at_most=at_most, agrees=agrees)
    assert row.reached is reached
    assert row.as_json()["reached"] is reached
    assert ("not reached" in row.cells()[5]) is not reached


def test_the_fastest_that_agrees_counts() -> None:
    rows = network_rows("cr-fiqa-s", measured(onnxruntime=1.0, openvino=0.996, openvino_fast=0.994))
    floats = [row for row in rows if "float" in row.figure]
    assert [row.batch for row in floats] == ["1", "8"]
    assert floats[0].value == 6 / 4
    assert floats[0].how.startswith("openvino, 4000.00 ms; seeded weights, SRCC 0.9960")
    assert not floats[0].reached
    fast = network_rows("cr-fiqa-s", measured(onnxruntime=1.0, openvino=1.0, openvino_fast=0.995))[0]
    assert (fast.value, fast.reached) == (2.0, True)


def test_trained_weights_ask_for_more() -> None:
    rows = network_rows("cr-fiqa-s", measured("standin", openvino_fast=0.9985))
    assert rows[0].value is None
    assert "openvino fast: SRCC 0.9985" in rows[0].how
    assert network_rows("cr-fiqa-s", measured("standin", openvino_fast=0.9991))[0].value == 1.2


def test_int8_rows() -> None:
    assert [row.how for row in network_rows("cr-fiqa-s", measured(openvino=1.0))[2:]] == [NO_INT8] * 2
    (one, eight) = network_rows("cr-fiqa-s", measured(int8_onnxruntime=0.999, int8_openvino=0.98))[2:]
    assert one.how.startswith("int8 onnxruntime")
    assert one.value == eight.value == 1.2


def test_overheads_are_of_the_best_float_path() -> None:
    found = measured(openvino=1.0)
    for steps in found.timings.values():
        steps["openvino"][END_TO_END] = timing(5.2, 5.2)
    rows = [row for row in network_rows("ediffiqa-t", found) if row.at_most]
    assert [(row.batch, row.reached) for row in rows] == [("1", True), ("8", True)]
    assert rows[0].value == pytest.approx(1.04)


def test_contenders_of_a_plan() -> None:
    plan = NetworkTask("ediffiqa-t", (1,), 4, 1, ("onnxruntime", "openvino", "opencv"), plain=True)
    names = [contender.name for contender in entered(plan, Path("e"), Path("i"))]
    expected = [TORCH, "onnxruntime", "openvino", "opencv", BFLOAT, *INT8, "onnxruntime-plain", "opencv-plain"]
    assert names == expected
    assert [c.artefact for c in entered(plan, Path("e"), Path("i")) if c.name in INT8] == ["i", "i"]


def test_a_network_is_measured_against_torch(seeded_engine: Path) -> None:
    found = measure_network(NetworkTask("ediffiqa-t", (1, 2), 4, 1, ("opencv", "openvino")), seeded_engine, threads=1)
    assert found.weights == "seeded"
    assert set(found.timings[2]) == {TORCH, "opencv", "openvino", BFLOAT}
    assert found.srcc[TORCH] == found.srcc["opencv"] == 1
    assert set(found.timings[1]["opencv"]) == {NETWORK, END_TO_END}
    assert not found.missing


def test_a_contender_that_fails_is_named(seeded_engine: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copy(seeded_engine, tmp_path / seeded_engine.name))
    shutil.copy(card_path(seeded_engine), card_path(broken))
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    found = measure_network(NetworkTask("ediffiqa-t", (1,), 4, 1, ("opencv",)), seeded_engine, broken, threads=1)
    assert set(found.missing) == set(INT8)
    assert "SHA-256 differs" in found.missing[INT8[0]]


def test_scores_that_are_no_numbers_cost_their_contender_alone(
    seeded_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Scorer.outputs

    def outputs(self: Scorer, crops: Sequence[Image]) -> Arrays:
        found = whole(self, crops)
        return {name: array * np.nan for name, array in found.items()} if self.backend.name == "opencv" else found

    monkeypatch.setattr(Scorer, "outputs", outputs)
    found = measure_network(NetworkTask("ediffiqa-t", (1,), 4, 1, ("opencv", "onnxruntime")), seeded_engine, threads=1)
    assert set(found.timings[1]) == {TORCH, "onnxruntime"}
    assert list(found.missing) == ["opencv"]


def test_what_failed_is_shown_whole() -> None:
    cells = Row("f", "1", 2.0, None, how="openvino: axes [0] in graph [/conv]").cells()
    assert Text.from_markup(cells[-1]).plain == "openvino: axes [0] in graph [/conv]"


def test_fiqa_score_that_fails_says_its_last_line(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), seeded_image(0, 64, 64))
    monkeypatch.setattr(cpu_rows, "_CHILD", "raise SystemExit('first ' + 300 * 'x' + '\\nerror: no YuNet; fetch it')")
    with pytest.raises(UnsupportedError, match=r"^fiqa-score failed: error: no YuNet; fetch it; run it on .*a\.png"):
        memory_row(seeded_engine, tmp_path / "yunet.onnx", tmp_path)


@pytest.fixture()
def table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(fiqa_benchmarks.readme_tables.cpu.main, capsys, monkeypatch)


def test_command(table: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[Sequence[str]] = []
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, "_export", lambda *arguments: exported.append(arguments))
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, "measure_network", lambda *arguments: measured(openvino=1.0))
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, "measure_peaks", lambda threads: {"float32": 1e11})
    result = table("--engines", tmp_path, "--only", "cr-fiqa-s", "--json", "-")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert [(row["figure"].split(",")[1], row["reached"]) for row in document["rows"]] == [
        (" best float path / torch eager", False),
        (" best float path / torch eager", False),
        (" int8 / torch eager", False),
        (" int8 / torch eager", False),
    ]
    assert exported == [("cr-fiqa-s", "seeded", tmp_path)]
    assert document["machine"]["cpu"]
    assert "100 Gop/s float32" in result.err


def test_a_system_without_a_load_average_and_an_error_with_brackets(
    table: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise UnsupportedError("no kernel for [bold] Conv")

    machine = {"cpu": "CPU [A]", "usable_cores": 2.0, "load_average": None}
    for name, fake in (("_export", print), ("measure_network", fail), ("machine", lambda: machine)):
        monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, name, fake)
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, "measure_peaks", lambda threads: {})
    result = table("--engines", tmp_path, "--only", "cr-fiqa-s")
    assert result.code == 0, result.err
    assert "not measured: no kernel for [bold] Conv" in result.out
    assert "CPU [A], 2 cores; peak" in result.out


def test_photos_that_are_not_named_are_said(
    table: Invoke, seeded_engine: Path, weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(weights_dir))
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, "measure_network", lambda *arguments: measured())
    monkeypatch.setattr(fiqa_benchmarks.readme_tables.cpu, "measure_peaks", lambda threads: {})
    result = table("--engines", seeded_engine.parent, "--only", "ediffiqa-t")
    assert result.code == 0
    assert result.out.count("not measured: no photos; name a folder with --images") == 3


def test_unknown_network(table: Invoke, tmp_path: Path) -> None:
    for names in ("yunet-s", "ediffiqa-t,yunet-s"):
        result = table("--engines", tmp_path, "--only", names)
        assert result.is_one_line("--only yunet-s is not in this table; --only takes ediffiqa-t, cr-fiqa-s"), result


def test_roofline(seeded_engine: Path) -> None:
    peaks = roofline.measure_peaks(1)
    assert set(peaks) == {"float32", "bfloat16", "int8"}
    assert all(rate > 0 for rate in peaks.values())
    results = bench([Contender("x", str(seeded_engine), "opencv")], [seeded_image(0, 112, 112)], [1], 1, 1)
    (network,) = roofline.reached(results, {"float32": 1e12})
    seconds = results[0].batches[1].timings[NETWORK].percentile(50)
    assert network.operations == 2 * 221_687_296
    assert network.fraction == pytest.approx(network.operations / seconds / 1e12)
    assert "of the float32 peak" in roofline.roofline_lines(peaks, [network])[1]
    assert roofline.reached(results, {})[0].fraction is None
    assert results[0].loaded
    on_gpu = replace(results[0].loaded, backend={**results[0].loaded.backend, "device": "Orin (8.7)"})
    assert roofline.reached([replace(results[0], loaded=on_gpu)], peaks)[0].fraction is None


def test_roofline_keeps_to_the_threads_that_a_container_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "thread_limit", lambda: 3)
    monkeypatch.setattr(roofline, "_rate", lambda product: float(torch.get_num_threads()))
    before = torch.get_num_threads()
    assert roofline.measure_peaks()["float32"] == 3
    torch.set_num_threads(before)
