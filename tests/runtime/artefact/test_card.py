"""Cards: round trip, the copy inside the ONNX file, and every way in which one can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fiqa_runtime.artefact.card import METADATA_KEY, Card, card_path, read_card
from fiqa_runtime.artefact.zoo import FOREIGN_ARTEFACTS
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.errors import ArtefactError, CardError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.onnx_bytes.metadata import read_metadata
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture()
def artefact(seeded_engine: Path, tmp_path: Path) -> Path:
    """A private copy of a small exported artefact with its card."""
    copy = tmp_path / seeded_engine.name
    shutil.copy(seeded_engine, copy)
    shutil.copy(card_path(seeded_engine), card_path(copy))
    return copy


def edit(artefact: Path, **changes: object) -> None:
    path = card_path(artefact)
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}))


def test_card_survives_json(artefact: Path) -> None:
    card = read_card(artefact)
    again = Card.from_json(card.to_json(), "test")
    assert again.to_json() == card.to_json()
    assert card.model == "ediffiqa-t"
    assert card.files[artefact.name]
    assert card.parity.passed is True
    assert len(card.canaries) == 4


def test_embedded_card_is_used_without_the_file_beside(artefact: Path) -> None:
    beside = read_card(artefact)
    card_path(artefact).unlink()
    embedded = read_card(artefact)
    assert embedded.canaries == beside.canaries
    assert embedded.input == beside.input
    assert Scorer(artefact).card.model == "ediffiqa-t"


def test_metadata_reader_equals_onnx(artefact: Path) -> None:
    model = onnx.load(artefact)
    assert read_metadata(artefact) == {p.key: p.value for p in model.metadata_props}


def test_card_of_another_file(artefact: Path) -> None:
    with artefact.open("ab") as stream:
        stream.write(b"\x72\x00")  # one more, empty metadata entry: still a valid model
    with pytest.raises(CardError, match=r"SHA-256 differs.*export"):
        read_card(artefact)


def test_renamed_artefact_with_its_card(artefact: Path) -> None:
    renamed = artefact.with_name("other.onnx")
    artefact.rename(renamed)
    card_path(artefact).rename(card_path(renamed))
    with pytest.raises(CardError, match="card of another file"):
        read_card(renamed)


def test_newer_card(artefact: Path) -> None:
    edit(artefact, fiqa_card=99)
    with pytest.raises(CardError, match=r"version 99.*upgrade"):
        read_card(artefact)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fiqa_card": 1}', '{"fiqa_card": 1, "input": {"mean": 3}}'])
def test_damaged_card(artefact: Path, text: str) -> None:
    card_path(artefact).write_text(text)
    with pytest.raises(CardError, match="export"):
        read_card(artefact)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_batch": 0},
        {"max_batch": "x"},
        {"outputs": []},
        {"files": None},
        {"weights": None},
        {"score_map": {"fp32": [], "artefact": []}},
    ],
)
def test_card_with_values_that_cannot_be(artefact: Path, changes: dict[str, object]) -> None:
    edit(artefact, **changes)
    with pytest.raises(CardError, match=r"is damaged \(.*\); export the artefact again"):
        read_card(artefact)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("input.colour", "XYZ"),
        ("input.height", "x"),
        ("input.width", 0),
        ("input.width", 10**30),
        ("input.mean", ["a", 1, 1]),
        ("input.mean", [1, 2]),
        ("input.std", [1, 0, 1]),
        ("input.std", [1, float("nan"), 1]),
        ("input.sampling", {"crops": 10**9, "seed": 20, "landmarks": "input"}),
        ("input.sharpen", True),
        ("max_batch", 10**19),
        ("max_batch", True),
        ("outputs.0.kind", "scores"),
        ("outputs.0.range", [0]),
        ("canaries.0.values", {"score": "x"}),
        ("canaries.0.values", {"score": [float("inf")]}),
        ("canaries.0.height", 10**6),
        ("canary_tolerance", {"score": None}),
        ("parity.range", {"score": "wide"}),
        ("parity.budget", []),
        ("conversion", {"fp32_bytes": 1}),
        ("score_map", {"fp32": [0.5, 0.4], "artefact": [0.4, 0.5]}),
        ("score_map", {"fp32": [0.5, 0.6], "artefact": [0.4]}),
        ("weights.kind", "stolen"),
        ("files", {"ediffiqa-t.fp32.onnx": 1}),
        ("files", {"../ediffiqa-t.fp32.onnx": "0" * 64}),
        ("files", {"/etc/passwd": "0" * 64}),
        ("notes", "one line"),
        ("plan", {"flavour": "tensorrt"}),
    ],
)
def test_card_with_a_value_that_cannot_be(artefact: Path, path: str, value: object) -> None:
    document = json.loads(card_path(artefact).read_text(encoding="utf-8"))
    place(document, path.split("."), value)
    card_path(artefact).write_text(json.dumps(document))
    with pytest.raises(CardError, match=r"is damaged \(.*\); export the artefact again") as caught:
        read_card(artefact)
    assert "\n" not in str(caught.value)


def place(document: Any, path: list[str], value: object) -> None:
    *above, last = path
    for name in above:
        document = document[int(name) if isinstance(document, list) else name]
    document[int(last) if isinstance(document, list) else last] = value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_place_is_read_or_refused(seeded_engine: Path, data: st.DataObject) -> None:
    document = json.loads(card_path(seeded_engine).read_text(encoding="utf-8"))
    paths = list(places(document))
    place(document, data.draw(st.sampled_from(paths)), data.draw(JSON))
    try:
        card = Card.from_json(json.dumps(document), "card")
    except CardError:
        return
    assert Card.from_json(card.to_json(), "again") == card


def places(document: object, above: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """The path to every value of a JSON document."""
    pairs: dict[str, object] = document if isinstance(document, dict) else {}
    if isinstance(document, list):
        pairs = {str(index): value for index, value in enumerate(document)}
    for name, value in pairs.items():
        yield [*above, name]
        yield from places(value, (*above, name))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"fiqa_card": 1, "input": ' + "[" * 100_000, "1" * 5000])
def test_a_card_that_is_nested_or_long_beyond_measure(artefact: Path, text: str) -> None:
    card_path(artefact).write_text(text)
    with pytest.raises(CardError, match="is not a card; export"):
        read_card(artefact)


def test_a_card_that_is_not_utf_8(artefact: Path) -> None:
    card_path(artefact).write_bytes(b'{"fiqa_card": 1, "licence": "\xff"}')
    with pytest.raises(CardError, match="is not a card; export"):
        read_card(artefact)


def test_unknown_fields_of_the_same_version_are_ignored(artefact: Path) -> None:
    edit(artefact, remark="from a later minor release")
    assert read_card(artefact).model == "ediffiqa-t"


def test_no_card_at_all(artefact: Path) -> None:
    card_path(artefact).unlink()
    model = onnx.load(artefact)
    kept = [p for p in model.metadata_props if p.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, artefact)
    with pytest.raises(CardError, match=r"has no card.*fiqa-export"):
        read_card(artefact)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(64), b"<html></html>", bytes(100)])
def test_no_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match="not an ONNX model"):
        read_card(path)


def test_onnx_cut_in_half(artefact: Path) -> None:
    data = artefact.read_bytes()
    artefact.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError):
        read_card(artefact)
    card_path(artefact).unlink()
    with pytest.raises(ArtefactError, match="not an ONNX model"):
        read_card(artefact)


def test_a_known_file_of_others_needs_no_card(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenCV Zoo's ediffiqa_tiny_jun2024.onnx: no card anywhere, other tensor names, a fixed batch of one."""
    expected = Scorer(artefact).score([seeded_image(0, 112, 112), seeded_image(1, 112, 112)])
    card_path(artefact).unlink()
    model = onnx.load(artefact)
    del model.metadata_props[:]
    first, last = model.graph.node[0], model.graph.node[-1]
    first.input[0] = model.graph.input[0].name = "img"
    last.output[0] = model.graph.output[0].name = "505"
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, artefact)
    monkeypatch.setitem(FOREIGN_ARTEFACTS, sha256_file(artefact), next(iter(FOREIGN_ARTEFACTS.values())))
    for backend in ONNX_BACKENDS:
        scorer = Scorer(artefact, backend)
        assert scorer.card.licence == "CC BY 4.0 (OpenCV Zoo)"
        scores = scorer.score([seeded_image(0, 112, 112), seeded_image(1, 112, 112)])
        np.testing.assert_allclose(scores, expected, atol=1e-6)
