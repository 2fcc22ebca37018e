"""fiqa-bench: honest statistics under a fake clock, contenders that are what they say, one JSON document."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import fiqa_benchmarks.cli
import numpy as np
import onnx
import pytest
from fiqa_benchmarks.contenders.crops import DYNAMIC_SIZE, MOST_IMAGES, fill, folder_crops, seeded_crops
from fiqa_benchmarks.contenders.peers import Contender, contenders, open_contender, prepare
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK, Result
from fiqa_benchmarks.speed.bench import bench as run_bench
from fiqa_benchmarks.speed.memory import footprint
from fiqa_benchmarks.speed.speed_tables import _label
from fiqa_runtime.artefact.card import Card, card_path, read_card, with_files, write_card
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import CheckpointError, InputError, UnsupportedError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_file
from rich.text import Text

from tests.help.commands import Invoke
from tests.help.samples.cards import card_beside_alone
from tests.help.samples.portrait_engine import portrait_engine


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = "import fiqa_benchmarks.cli, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "fiqa_benchmarks.speed.bench" in modules
    assert not {"torch", "fiqa_export", "psutil", "scipy", "onnx", "onnxruntime", "openvino"} & set(modules)


def test_folder_of_crops(tmp_path: Path) -> None:
    spec = MODELS["ediffiqa-t"].input
    for index in range(MOST_IMAGES + 10):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), np.full((20 + index % 2, 30, 3), index, np.uint8))
    crops = folder_crops(tmp_path, spec)
    assert len(crops) == MOST_IMAGES
    assert (crops[0].max(), crops[-1].max()) == (0, MOST_IMAGES + 9)
    assert crops[0].shape == (20, 30, 3)
    assert {c.shape for c in folder_crops(tmp_path, MODELS["yunet-n"].input)} == {(DYNAMIC_SIZE, DYNAMIC_SIZE, 3)}


def test_fill_starts_again() -> None:
    a, b = (np.full((1, 1, 3), i, np.uint8) for i in range(2))
    assert [int(c.max()) for c in fill([a, b], 5)] == [0, 1, 0, 1, 0]


def changed_copy(engine: Path, folder: Path, **changes: Any) -> Path:
    """`engine` with another card."""
    folder.mkdir(exist_ok=True)
    copy = Path(shutil.copy(engine, folder / engine.name))
    document = json.loads(card_path(engine).read_text(encoding="utf-8"))
    card_beside_alone(Card.from_json(json.dumps({**document, **changes}), "a changed card"), copy)
    return copy


def test_contenders_in_order(seeded_engine: Path, tmp_path: Path) -> None:
    copy = changed_copy(seeded_engine, tmp_path)
    entered = contenders([str(seeded_engine), str(seeded_engine)], "opencv", ["torch", "opencv", "torch"])
    assert [(c.name, c.backend) for c in entered] == [
        (seeded_engine.name, "opencv"),
        ("torch", "torch"),
        ("opencv", "opencv"),
    ]
    assert {c.artefact for c in entered} == {str(seeded_engine)}
    same_name = contenders([str(seeded_engine), str(copy)], "auto", [])
    assert [c.name for c in same_name] == [str(seeded_engine), str(copy)]


def test_torch_peer_has_the_seed_of_the_card(seeded_engine: Path, tmp_path: Path) -> None:
    crops = [seeded_image(i, 112, 112) for i in range(3)]
    scores = Scorer(seeded_engine, "opencv").score(crops)
    for seed, same in ((0, True), (1, False)):
        weights = asdict(replace(read_card(seeded_engine).weights, seed=seed))
        copy = changed_copy(seeded_engine, tmp_path / str(seed), weights=weights)
        with open_contender(prepare(Contender("torch", str(copy), "torch"), tmp_path), 1) as torch_peer:
            assert bool(np.allclose(torch_peer.score(crops), scores, atol=1e-6, rtol=0)) is same


def test_torch_peer_with_trained_weights(seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(tmp_path))
    checkpoint = Path(str(prepare(Contender("torch", str(seeded_engine), "torch"), tmp_path).weights))
    mine = checkpoint.rename(tmp_path / "mine.pth")
    crops = [seeded_image(0, 112, 112)]
    scores = Scorer(seeded_engine, "opencv").score(crops)

    def torch_peer(digest: str) -> Scorer:
        weights = {"kind": "file", "files": {"mine.pth": digest}}
        copy = changed_copy(seeded_engine, tmp_path / "copy", weights=weights)
        return open_contender(prepare(Contender("torch", str(copy), "torch"), tmp_path), 1)

    np.testing.assert_allclose(torch_peer(sha256_file(mine)).score(crops), scores, atol=1e-6, rtol=0)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        torch_peer("0" * 64)
    mine.unlink()
    with pytest.raises(CheckpointError, match=r"made from mine\.pth; put that into weights/"):
        torch_peer("0" * 64)


def test_footprint_is_not_the_parents(seeded_engine: Path) -> None:
    ballast = np.ones(80_000_000)
    taken = footprint(Contender("cv", str(seeded_engine), "opencv"), [8, 1], 1)
    assert ballast.nbytes == 640_000_000
    assert list(taken.peak_bytes) == [1, 8]
    assert 30e6 < taken.peak_bytes[1] < taken.peak_bytes[8] < 500e6
    assert taken.load_seconds > 0


def test_backend_that_fails_in_its_own_process(seeded_engine: Path) -> None:
    with pytest.raises(UnsupportedError, match="unknown backend 'caffe'"):
        footprint(Contender("x", str(seeded_engine), "caffe"), [1])


def test_backend_that_crashes(seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(UnsupportedError, match="opencv was killed by signal 11 while it ran ediffiqa-t"):
        footprint(Contender("x", str(seeded_engine), "opencv"), [1])


@pytest.fixture()
def detector(tmp_path: Path) -> Path:
    """A network of any size without a score: one average pooling under YuNet's input."""
    tensor = onnx.helper.make_tensor_value_info
    floats = onnx.TensorProto.FLOAT
    pool = onnx.helper.make_node("AveragePool", ["input"], ["cls_8"], kernel_shape=[8, 8], strides=[8, 8])
    graph = onnx.helper.make_graph(
        [pool],
        "pool",
        [tensor("input", floats, ["batch", 3, "rows", "columns"])],
        [tensor("cls_8", floats, ["batch", 3, "cells_y", "cells_x"])],
    )
    path = tmp_path / "pool.fp32.onnx"
    opset = onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    spec = MODELS["yunet-n"]
    card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs[:1], spec.licence, spec.source, spec.max_batch)
    write_card(with_files(card, tmp_path, [path.name]), path)
    return path


def test_network_without_a_score(detector: Path) -> None:
    crops = seeded_crops(read_card(detector).input, 2)
    assert crops[0].shape == (DYNAMIC_SIZE, DYNAMIC_SIZE, 3)
    entered = contenders([str(detector)], "onnxruntime", ["opencv"])
    first, peer = run_bench(entered, crops, [2], threads=1, rounds=1)
    assert first.batches[2].difference is None
    difference = peer.batches[2].difference
    assert difference is not None
    assert difference.score is None
    assert difference.max_abs == {"cls_8": pytest.approx(0, abs=1e-3)}


@pytest.mark.parametrize("model", ["dsl-fiqa", "dsl-fiqa-visible"])
def test_network_that_scores_pictures_by_their_crops(model: str, tmp_path: Path) -> None:
    """Each crop is one input: the network is timed, not the authors' twenty crops."""
    engine = portrait_engine(model, tmp_path)
    crops = seeded_crops(read_card(engine).input, 2)
    first, peer = run_bench(contenders([str(engine)], "onnxruntime", ["openvino"]), crops, [2], threads=1, rounds=1)
    assert set(first.batches[2].timings) == {NETWORK, END_TO_END}
    assert first.scores is not None
    assert len(first.scores) == 2
    difference = peer.batches[2].difference
    assert difference is not None
    assert difference.max_abs["score"] < 1e-5


def test_document(bench: Invoke, seeded_engine: Path) -> None:
    options = ("--batch", "1,3", "--against", "torch,opencv", "--rounds", "2", "--threads", "1", "--json", "-")
    result = bench("--engine", seeded_engine, *options)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["schema"] == "fiqa-bench.v1"
    assert set(document) == {
        *("schema", "fiqa_edge", "written"),
        *("machine", "versions", "settings", "contenders", "ratios"),
    }
    assert document["settings"] == {
        "batches": [1, 3],
        "threads": 1,
        "images": {"source": "seeded", "count": fiqa_benchmarks.cli.IMAGES},
    }
    first, torch, opencv = document["contenders"]
    assert [c["name"] for c in (first, torch, opencv)] == [seeded_engine.name, "torch", "opencv"]
    assert [c["file_bytes"] for c in (first, torch)] == [seeded_engine.stat().st_size, None]
    assert torch["backend"]["version"].startswith(document["versions"]["torch"].split("+")[0])
    for contender in (first, torch, opencv):
        assert contender["load_ms"] > 0
        assert set(contender["batches"]) == {"1", "3"}
        for batch, numbers in contender["batches"].items():
            assert numbers["rounds"] == 2
            assert numbers["overhead"]["low"] <= numbers["overhead"]["median"] <= numbers["overhead"]["high"]
            assert 30e6 < numbers["peak_resident_bytes"] < 3e9
            for step in (NETWORK, END_TO_END):
                timing = numbers[step]
                assert 0 < timing["median_ms"] <= timing["p95_ms"] <= timing["p99_ms"]
                assert timing["images_per_second"] == pytest.approx(int(batch) * 1000 / timing["median_ms"])
    for contender in (torch, opencv):
        difference = contender["batches"]["3"]["difference"]
        assert difference["max_abs"]["score"] < 1e-6
        assert difference["score"]["srcc"] > 0.999
        assert difference["score"]["n"] == fiqa_benchmarks.cli.IMAGES
    assert first["batches"]["1"]["difference"] is None
    assert set(document["ratios"]) == {"torch", "opencv"}
    assert set(document["ratios"]["torch"]["3"]) == {NETWORK, END_TO_END}


def test_wrong_contender_shows_and_a_failing_one_stops_nobody(
    bench: Invoke, seeded_engine: Path, tmp_path: Path
) -> None:
    weights = {"kind": "file", "files": {"mine.pth": "0" * 64}}
    good = changed_copy(seeded_engine, tmp_path / "good", weights=weights)
    wrong = changed_copy(good, tmp_path / "wrong")
    card = read_card(good)
    card_beside_alone(replace(card, input=replace(card.input, colour="BGR")), wrong)
    out = tmp_path / "results/bench.json"
    arguments = ("--against", "torch", "--rounds", "1", "--threads", "1", "--backend", "opencv", "--json", out)
    result = bench("--engine", good, wrong, *arguments)
    assert result.code == 2
    assert "\ntorch: " in result.err
    assert "mine.pth" in result.err
    document = json.loads(out.read_text(encoding="utf-8"))
    assert "mine.pth" in document["contenders"][2]["error"]
    difference = document["contenders"][1]["batches"]["1"]["difference"]
    assert difference["max_abs"]["score"] > 1e-3
    assert difference["score"]["srcc"] < 0.99
    assert f"{difference['max_abs']['score']:.1e}" in result.out
    assert "(opencv)" in result.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ("which engine?", "--engine FILE")),
        (("--engine", "nowhere.onnx"), ("no artefact at nowhere.onnx", "fiqa-export")),
        (("--engine", "{engine}", "--against", "torch,caffe"), ("unknown peer 'caffe'", "openvino")),
        (("--engine", "{engine}", "--batch", "0,x"), ("--batch '0,x'", "--batch 1,8")),
        (("--engine", "{engine}", "--batch", ""), ("after --batch is empty",)),
        (("--engine", "{engine}", "--batch", "1,,8"), ("--batch '1,,8'",)),
        (("--engine", "{engine}", "--batch", "-1"), ("--batch '-1'",)),
        (("--engine", "{engine}", "--batch", "100000"), ("--batch '100000'", "1024")),
        (("--engine", "{engine}", "--backend", "caffe"), ("unknown backend 'caffe'",)),
        (("--engine", "{engine}", "--images", "{empty}"), ("no images under",)),
        (("--engine", "{engine}", "--images", "nowhere"), ("no file or folder nowhere",)),
        (("--engine", "{engine}", "--json", "{engine}/x.json"), ("cannot write to",)),
        (("--engine", "{engine}", "--json", "f", "--html", "./f"), ("--html and --json are the same file",)),
        (("--engine", "{engine}", "--json", "f", "--baseline", "f"), ("--json and --baseline are the same file",)),
        (("--engine", "{engine}", "--json", "{engine}"), ("--json and the artefact are the same file",)),
        (("--engine", "{engine}", "--html", "."), (". is a folder; name a file in it",)),
        (("--engine", "{engine}", "--threads", "99999999999"), ("99999999999 threads", "at most 1024")),
    ],
)
def test_bad_input(
    bench: Invoke, seeded_engine: Path, tmp_path: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    result = bench(*(a.format(engine=seeded_engine, empty=tmp_path) for a in arguments))
    assert result.is_one_line(*parts), result


@pytest.mark.parametrize(("peer", "extra"), [("torch", "export"), ("openvino", "openvino")])
def test_peer_that_is_not_installed(
    bench: Invoke, seeded_engine: Path, monkeypatch: pytest.MonkeyPatch, peer: str, extra: str
) -> None:
    monkeypatch.setattr("fiqa_benchmarks.contenders.peers.find_spec", lambda name: None)
    result = bench("--engine", seeded_engine, "--against", peer)
    assert result.is_one_line(f"peer {peer} is not installed", f"fiqa-edge[{extra}]")


def test_names_with_brackets_are_no_markup() -> None:
    name = "[red]a[/red].onnx"
    assert Text.from_markup(_label(Result(Contender(name, name, "auto")))).plain == f"{name} (None)"


def test_scorer_takes_a_backend_of_ones_own(seeded_engine: Path) -> None:
    with Scorer(seeded_engine, "opencv") as scorer:
        crops = [seeded_image(i, 112, 112) for i in range(3)]
        with_object = Scorer(seeded_engine, scorer.backend)
        np.testing.assert_array_equal(with_object.score(crops), scorer.score(crops))
        scorer.card = replace(scorer.card, max_batch=2)
        assert [feed["input"].shape[0] for feed in scorer.batches(crops)] == [2, 1]


def test_unknown_peer_is_refused_before_anything_is_loaded(seeded_engine: Path) -> None:
    with pytest.raises(InputError, match="unknown peer"):
        contenders([str(seeded_engine)], "auto", ["torch", "tensorflow"])
