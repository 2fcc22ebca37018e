"""The table of precisions in docs/evidence, from cards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from fiqa_benchmarks.readme_tables.precision import HEADER, app, row
from fiqa_export.verdict.parity import Parity
from fiqa_export.verdict.recipe import FP16, INT8
from fiqa_export.verdict.same_faces import Faces
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.facts import FaceAgreement, Fp16Conversion, Int8Conversion, Verdict, Weights
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.agreement import agree
from onnx import TensorProto, helper
from typer.testing import CliRunner

from tests.help.samples.cards import int8_conversion

NAMES, ALIGNMENT = HEADER.splitlines()
SCORES = [float(i) for i in range(20)]
SWAPPED = [0.0, 2.0, 1.0, *SCORES[3:]]
"""At 10 % rejection images 1 and 2 change sides."""


def card(model: str, parity: Parity, conversion: Fp16Conversion | Int8Conversion) -> Card:
    spec = MODELS[model]
    return Card(
        model,
        "int8" if isinstance(conversion, Int8Conversion) else "fp16",
        "onnx",
        spec.input,
        spec.outputs,
        spec.licence,
        spec.source,
        max_batch=1,
        weights=Weights("official"),
        parity=parity.for_card(),
        conversion=conversion,
    )


QUALITY = card(
    "ediffiqa-t",
    Parity(20, FP16.budget, {"score": 0.002}, {"score": 4.0}, {}, agree(SCORES, SCORES), ()),
    Fp16Conversion(4_000_000, 10, {"a": "why", "b": "why"}, 8, 4),
)
MAP = card(
    "ifqa",
    Parity(
        20,
        INT8.budget,
        {"score": 0.1, "map": 0.3},
        {"score": 1.0, "map": 1.0},
        {"map": 0.98765},
        agree(SCORES, SWAPPED),
        ("map: correlation 0.9877 is below 0.99",),
    ),
    int8_conversion(mac_share=0.934, images=216),
)
DETECTOR = card(
    "yunet-s",
    Parity(
        1008,
        INT8.budget_for("official"),
        {"cls_8": 0.25, "obj_8": 0.125},
        {"cls_8": 1.0, "obj_8": 1.0},
        {"cls_8": 0.97, "obj_8": float("nan")},
        None,
        (),
        Faces(found=36, lost=0, new=0, iou=0.9712, score=0.0119),
    ),
    int8_conversion(mac_share=0.16, images=84),
)


def cells(line: str) -> dict[str, str]:
    """By the name of the column."""
    names, values = (text.replace("\\|", "!").strip("|").split("|") for text in (NAMES, line))
    assert len(names) == len(values) == ALIGNMENT.count("|") - 1
    return {name.strip(): value.strip() for name, value in zip(names, values, strict=True)}


def test_row_of_a_quality_network_in_fp16() -> None:
    assert cells(row(QUALITY, 2_040_000)) == {
        "network": "ediffiqa-t fp16",
        "weights": "official",
        "MB": "2.0 (51%)",
        "int8 MACs": "-",
        "images": "- / 20",
        "SRCC": "1.00000",
        "flips": "0.0%",
        "r": "-",
        "max !d!": "5.0e-04 (score)",
        "faces": "-",
        "fp32 nodes": "2 of 10",
        "verdict": "pass",
    }


def test_row_of_a_network_with_score_and_map_in_int8() -> None:
    found = cells(row(MAP, 1_000_000))
    assert found["int8 MACs"] == "93%"
    assert found["images"] == "216 / 20"
    assert found["SRCC"] == f"{agree(SCORES, SWAPPED).srcc:.5f}" != "1.00000"
    assert found["flips"] == "10.0%"
    assert found["r"] == "0.9877"
    assert found["max !d!"] == "3.0e-01 (map)"
    assert found["verdict"] == "fail"


def test_row_of_a_trained_detector() -> None:
    found = cells(row(DETECTOR, 120_000))
    assert found["MB"] == "0.1 (3%)"
    assert found["SRCC"] == found["flips"] == "-"
    assert found["r"] == "0.9700"
    assert found["faces"] == "36, IoU 0.97, !d! 0.012"


def test_changed_faces_are_counted() -> None:
    parity = replace(DETECTOR.parity, faces=FaceAgreement(36, lost=2, new=1, iou=0.9, score=0.0))
    assert cells(row(replace(DETECTOR, parity=parity), 1))["faces"] == "36, 2 lost, 1 new, IoU 0.90, !d! 0.000"


@pytest.mark.parametrize("card", [replace(QUALITY, parity=Verdict()), replace(QUALITY, conversion=None)])
def test_card_without_verdict_or_of_fp32(card: Card) -> None:
    with pytest.raises(InputError, match="ediffiqa-t fp16 holds no verdict; export it"):
        row(card, 1)


def test_command_counts_every_file_of_an_artefact(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [value], [value])
    artefact, data = tmp_path / "a.onnx", tmp_path / "a.onnx.data"
    onnx.save(helper.make_model(graph), artefact)
    data.write_bytes(bytes(2_000_000))
    write_card(with_files(QUALITY, tmp_path, [artefact.name, data.name]), artefact)
    assert isinstance(CliRunner().invoke(app, ["no.onnx"]).exception, InputError)
    answer = CliRunner().invoke(app, [str(artefact)])
    assert answer.exit_code == 0
    names, _, line = answer.stdout.splitlines()
    assert names == NAMES
    assert cells(line)["MB"] == "2.0 (50%)"
