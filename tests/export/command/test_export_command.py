"""fiqa-export as typed: the artefact, its verdict, and every kind of bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import onnx
import pytest
from fiqa_export.command.list_command import commercial_use
from fiqa_export.pipeline import Exported, Options
from fiqa_export.verdict.parity import Parity
from fiqa_export.verdict.recipe import FP32, INT8, RECIPES
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.facts import Budget, Int8Conversion
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test

from tests.help.commands import Invoke
from tests.help.places import ROOT
from tests.help.samples.cards import int8_conversion


def test_export(export: Invoke, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), seeded_image(77, 112, 112))
    (images / "torn.png").write_bytes(b"no picture")
    (images / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    places = ("--out", out, "--images", images, "--target", "none", "--json", "-")
    result = export("ediffiqa-t", "--weights", "seeded:3", *places)
    assert result.code == 0, result.err
    whole = json.loads(result.out)
    assert [Path(each["path"]).name for each in whole["passed_over"]] == ["notes.txt"]
    assert "passed over in --images: 1 (" in result.err
    document = whole["artefacts"][0]
    assert document["weights"]["seed"] == 3
    assert document["parity"]["passed"] is True
    assert document["parity"]["images"] == 32 + 36
    assert document["parity"]["left_out"] == ["torn.png"]
    assert "1 pictures of --images cannot be used (torn.png)" in result.err
    assert document["parity"]["max_abs"]["score"] < 1e-6
    assert sorted(p.name for p in out.iterdir()) == ["ediffiqa-t.fp32.onnx", "ediffiqa-t.fp32.onnx.json"]
    model = onnx.load(out / "ediffiqa-t.fp32.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["input"]
    assert [o.name for o in model.graph.output] == ["score"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert self_test(Scorer(out / "ediffiqa-t.fp32.onnx")).passed


def test_all_walks_the_registry(export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ediffiqa-t", "yunet-n")
    monkeypatch.setattr("fiqa_export.cli.GROUPS", {"all": names})
    arguments = ("all", "--target", "none", "--out", tmp_path, "--json", "-")
    result = export(*arguments, "--weights", "seeded")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert [(a["model"], a["parity"]["passed"]) for a in document["artefacts"]] == [(name, True) for name in names]
    assert document["failed"] == {}
    for name in names:
        assert f"{name} fp32" in result.err
        assert f"licence of {name}: {MODELS[name].licence}" in result.err
        assert f"weights of {name}: seeded weights, seed 0" in result.err
    some = export(*arguments, "--weights", "standin")
    assert some.code == 2
    document = json.loads(some.out)
    assert [a["model"] for a in document["artefacts"]] == ["ediffiqa-t"]
    assert list(document["failed"]) == ["yunet-n"]
    assert "name a file or one of official" in some.err


def test_artefact_names_no_path_of_this_machine(seeded_engine: Path) -> None:
    content = seeded_engine.read_bytes()
    for place in (ROOT, Path(sys.prefix), Path.home()):
        assert place == Path(place.anchor) or str(place).encode() not in content, "a home may be /, which is everywhere"


def test_failed_verdict_leaves_nothing(export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = replace(FP32, budget=Budget(srcc=1.0, flips=0.0, max_abs={"score": 1e-12}))
    monkeypatch.setitem(RECIPES, "fp32", strict)
    arguments = ("ediffiqa-t", "--weights", "seeded", "--target", "none", "--out", tmp_path)
    failed = export(*arguments)
    assert failed.code == 3
    assert "max |d|" in failed.err
    assert list(tmp_path.iterdir()) == []
    kept = export(*arguments, "--keep-failed")
    assert kept.code == 3
    assert read_card(tmp_path / "ediffiqa-t.fp32.onnx").parity.passed is False


def test_list(export: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = export("--list")
    assert result.code == 0
    for name, spec in MODELS.items():
        assert name in result.out
        row = next(line for line in result.out.splitlines() if line.split()[:1] == [name])
        assert commercial_use(spec.licence) in row.split() and "…" not in row
        assert all(alias in result.out for alias in spec.aliases)
    assert "none stated" in export("--list", "ediffiqa-s").out
    assert "score, map" in export("--list", "ifqa").out
    assert "12 heads" in export("--list", "yunet_s").out
    assert all(f"mtcnn-{stage}" in export("--list", "mtcnn").out for stage in "pro")
    assert [row["name"] for row in json.loads(export("ifqa++", "--list", "--json", "-").out)["models"]] == ["ifqa-plus"]
    assert export("--list", "ifqb").is_one_line("did you mean 'ifqa'")
    rows = json.loads(export("--list", "--json", "-").out)["models"]
    assert [row["name"] for row in rows] == list(MODELS)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["which network?"]),
        (["edifiqa-t"], ["unknown model 'edifiqa-t'", "'ediffiqa-t'"]),
        (["ediffiqa-t", "--weights", "nowhere.pth"], ["nowhere.pth", "seeded"]),
        (["ediffiqa-t", "--weights", "seeded:x"], ["seeded:x"]),
        (["ediffiqa-t", "--weights", "seeded", "--images", "nowhere"], ["nowhere"]),
        (["ediffiqa-t", "--weights", "seeded", "--out", "file/out"], ["file/out", "choose a folder"]),
        (
            ["ediffiqa-t", "--weights", "seeded", "--int8"],
            ["--calib FOLDER with at least 32 photos or aligned crops", "--calib RANGES.json", "--calib seeded"],
        ),
        (["ediffiqa-t", "--weights", "seeded", "--calib", "seeded"], ["--int8"]),
        (["ediffiqa-t", "--weights", "seeded", "--fp16", "--int8", "--calib", "seeded"], ["once for each"]),
        (["ediffiqa-t", "--min-srcc", "0.9"], ["--min-srcc and --max-flips", "add --fp16 or --int8"]),
        (["ediffiqa-t", "--max-flips", "0"], ["--min-srcc and --max-flips", "add --fp16 or --int8"]),
        (["ediffiqa-t", "--fp16", "--min-srcc", "0"], ["--min-srcc 0 ", "above 0, at most 1"]),
        (["ediffiqa-t", "--fp16", "--min-srcc", "1.01"], ["--min-srcc 1.01 ", "above 0, at most 1"]),
        (["ediffiqa-t", "--fp16", "--min-srcc", "nan"], ["--min-srcc nan ", "above 0, at most 1"]),
        (["ediffiqa-t", "--fp16", "--max-flips", "-0.1"], ["--max-flips -0.1 ", "from 0 to below 1"]),
        (["ediffiqa-t", "--fp16", "--max-flips", "1"], ["--max-flips 1 ", "from 0 to below 1"]),
        (["yunet-n", "--fp16", "--max-flips", "0.1"], ["yunet-n gives no score", "leave out"]),
        (["some.onnx", "--max-flips", "0"], ["exported already"]),
        (["nosuch", "--fp16", "--list"], ["--list makes no use of --fp16"]),
        (["--list", "--doctor"], ["--list makes no use of --doctor"]),
        (["--doctor", "--target", "none", "--out", "x"], ["--doctor makes no use of --out"]),
        (["ediffiqa-t", "--weights", "seeded", "--json", "file/x.json"], ["cannot write to file"]),
        (["ediffiqa-t", "--weights", "seeded", "--json", "."], [". is a folder; name a file"]),
        (
            ["yunet-s", "--out", ".", "--json", "./yunet-s.fp32.onnx.json"],
            ["--json and an output of the export are the"],
        ),
        (["yunet-s", "--int8", "--out", ".", "--json", "yunet-s.ranges.json"], ["--json and an output of the export"]),
        (["yunet-s", "--weights", "file", "--json", "file"], ["--json and --weights are the same file"]),
        (["yunet-s", "--weights", "~nobody-here/x.pth"], ["names the home of an unknown user; write the whole path"]),
        (["cr-fiqa-s"], ["32572backbone.pth", "drive.google.com", "weights/32572backbone.pth", "--weights seeded"]),
    ],
)
def test_bad_input(
    export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FIQA_WEIGHTS_DIR", raising=False)
    (tmp_path / "file").touch()
    result = export(*arguments)
    assert result.is_one_line(*parts), result
    assert not list(tmp_path.rglob("*.onnx*"))


@pytest.mark.parametrize(
    ("arguments", "seeded", "trained"),
    [
        ([], (0.995, 0.01), (0.998, 0.01)),
        (["--min-srcc", "0.98"], (0.98, 0.01), (0.98, 0.01)),
        (["--max-flips", "0.05"], (0.995, 0.05), (0.998, 0.05)),
        (["--min-srcc", "1", "--max-flips", "0"], (1.0, 0.0), (1.0, 0.0)),
    ],
)
def test_budget_of_the_user(
    export: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    seeded: tuple[float, float],
    trained: tuple[float, float],
) -> None:
    asked: list[Options] = []
    monkeypatch.setattr(
        "fiqa_export.command.export_command.export_all",
        lambda names, weights, out, options, *rest: asked.append(options),
    )
    result = export("ediffiqa-t", "--int8", "--calib", "seeded", "--out", tmp_path, *arguments)
    assert result.code == 0, result.err
    for kind, expected in (("seeded", seeded), ("official", trained)):
        budget = asked[0].recipe.budget_for(kind)
        assert (budget.srcc, budget.flips) == expected
        assert budget.correlation == INT8.budget.correlation


def test_int8_without_calibration_is_refused_in_python_too() -> None:
    with pytest.raises(InputError, match="--int8 and --calib go together"):
        Options(INT8)


@pytest.mark.parametrize(
    ("conversion", "lines"),
    [
        (None, []),
        (int8_conversion(None, {"unreadable": 0, "faceless": 0}), []),
        (int8_conversion(None, None), []),
        (
            int8_conversion("the set is narrow", {"unreadable": 1, "misfits": 0, "faceless": 2, "duplicates": 3}),
            [
                "ediffiqa-t: the set is narrow",
                "ediffiqa-t: 6 calibration images left out: "
                "1 unreadable, 2 of another size and without a face, 3 near-copies of others",
            ],
        ),
    ],
)
def test_calibration_is_told(
    export: Invoke,
    tmp_path: Path,
    seeded_engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    conversion: Int8Conversion | None,
    lines: list[str],
) -> None:
    card = replace(read_card(seeded_engine), conversion=conversion)
    parity = Parity(1, INT8.budget, {"score": 0.0}, {"score": 1.0}, {}, None, ())
    done = Exported(seeded_engine, card, parity, 0.0)
    monkeypatch.setattr("fiqa_export.command.export_command.export", lambda *_: done)
    out = tmp_path / "[bold]"
    result = export("ediffiqa-t", "--int8", "--calib", "seeded", "--target", "none", "--out", out)
    assert result.code == 0, result.err
    assert f"to {out}\n" in result.err
    assert [line for line in result.err.splitlines() if line.startswith("ediffiqa-t: ")] == lines


def test_missing_package_names_the_extra(export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else object())
    result = export("ediffiqa-t", "--weights", "seeded", "--out", tmp_path)
    assert result.is_one_line("onnxscript", "pip install 'fiqa-edge[export]'")


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_torch_are_told_to_sleep_before_it_is_loaded(before: str | None, after: str) -> None:
    code = (
        "import os, sys, fiqa_export.cli as cli\n"
        "cli.run = lambda app: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\n"
        "cli.main()"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {} if before is None else {"OMP_WAIT_POLICY": before}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.split() == [after, "False"]


@pytest.mark.long
def test_killed_exports_leave_nothing_wrong(tmp_path: Path) -> None:
    """kill -9 at ten moments spread over an export: what stands there afterwards is right or refused."""
    command = [sys.executable, "-m", "fiqa_export.cli", "ediffiqa-t", "--weights", "seeded", "--out", str(tmp_path)]
    command += ["--target", "none"]
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    duration = time.monotonic() - start
    artefact = tmp_path / "ediffiqa-t.fp32.onnx"
    moments = random.Random(0)
    for attempt in range(10):
        seed = f"seeded:{attempt + 1}"
        process = subprocess.Popen([*command[:5], seed, *command[6:]], stderr=subprocess.DEVNULL)
        time.sleep(duration * moments.uniform(0.4, 1.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        try:
            scorer = Scorer(artefact)
        except FiqaError:
            continue
        assert self_test(scorer).passed
