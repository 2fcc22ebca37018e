"""Does the curve move? fp32 against the int8 file that fiqa-export searches for, from the checkpoint to the page."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from fiqa_export.pipeline import Options, export
from fiqa_export.verdict.recipe import INT8
from fiqa_runtime.artefact.card import read_card

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, cut_embedding, face, write_bin

PLAN = """
title = "fp32 against int8"
[[sets]]
name = "bin"
source = "lfw.bin"
[[recognisers]]
name = "own"
network = "ediffiqa-embedding.onnx"
preset = "arcface"
[[qualities]]
engine = "ediffiqa-t.fp32.onnx"
[[qualities]]
engine = "ediffiqa-t.int8.onnx"
[discard]
fmr = [0.1]
bootstrap = 200
[run]
backend = "onnxruntime"
threads = 1
"""


@pytest.mark.long
def test_what_an_exported_int8_engine_costs(evaluate: Invoke, tmp_path: Path) -> None:
    """Crops of drawn persons calibrate, others are compared; the search takes minutes."""
    fp32 = export("ediffiqa-t", "standin", tmp_path).path
    (tmp_path / "crops").mkdir()
    for place in range(40):
        cv2.imwrite(str(tmp_path / f"crops/{place}.png"), face(100 + place, place % 4))
    int8 = export("ediffiqa-t", "standin", tmp_path, Options(INT8, calib=str(tmp_path / "crops"))).path
    assert read_card(int8).precision == "int8" and int8.stat().st_size < fp32.stat().st_size / 2
    cut_embedding(fp32, tmp_path)
    write_bin(tmp_path / "lfw.bin", bin_content(30, 4))
    (tmp_path / "plan.toml").write_text(PLAN)
    result = evaluate("run", tmp_path / "plan.toml", "--json", tmp_path / "found.json")
    assert result.code == 0, result.err
    document = json.loads((tmp_path / "found.json").read_text("utf-8"))
    (row,) = document["precision"]
    areas = {curve["name"]: curve["pauc"]["0.3"] for curve in document["discard"][0]["edc"]}
    assert row["difference"] == pytest.approx(areas["ediffiqa-t.int8"] - areas["ediffiqa-t.fp32"], abs=1e-12)
    assert row["low"] <= row["difference"] <= row["high"] and row["moved"] == (not row["low"] <= 0 <= row["high"])
    said = f"ediffiqa-t.int8 in place of ediffiqa-t.fp32: the curve moves measurably in {int(row['moved'])} of 1"
    assert said in " ".join(result.out.split())
