"""Rows in, rows out: what they say of every picture, and that any process says the same."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fiqa_runtime import FaceQuality, Scorer, read_image
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import decode_image
from fiqa_runtime.rows import FaceRows, row_schema
from fiqa_runtime.rows import face_rows as module

from tests.help.gpu.fake_devices import CUDA, have_everything
from tests.help.samples.one_face import OneFace
from tests.runtime.rows.conftest import encoded


class NoFace:
    def detect(self, image: Image) -> list[Detection]:
        return []


class SecondIsAPoint:
    """Finds two faces, of which the second has no extent."""

    def detect(self, image: Image) -> list[Detection]:
        face = OneFace().detect(image)[0]
        return [face, Detection(face.box, np.full((5, 2), 7, np.float32), 0.8)]


def test_photos_have_what_face_quality_finds(photo_rows: FaceRows, pictures: Any, scorer: Scorer) -> None:
    found = photo_rows(pictures)
    assert found.schema.equals(row_schema())
    assert found["id"].to_pylist() == pictures["id"].to_pylist()
    quality = FaceQuality(scorer, OneFace())
    for given, row in zip(pictures.to_pylist()[:9], found.to_pylist()[:9], strict=True):
        image = decode_image(given["bytes"], "it") if given["bytes"] else read_image(given["path"])
        assert row["error"] is None
        assert row["faces"] == pa.array([face.as_dict() for face in quality.assess(image)], FACE).to_pylist()
    errors = found["error"].to_pylist()[9:]
    assert found["faces"].to_pylist()[9:] == [[], [], []]
    for error, part in zip(
        errors, ("damaged is damaged", "there is no image", "neither bytes nor a path"), strict=True
    ):
        assert part in error


FACE = row_schema().field("faces").type.value_type


def test_rows_on_another_device(
    seeded_engine: Path, photo_rows: FaceRows, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = have_everything(monkeypatch)
    rows = pickle.loads(pickle.dumps(FaceRows(seeded_engine, "onnxruntime", OneFace(), device="cuda")))
    found, expected = rows(pictures)["faces"].to_pylist(), photo_rows(pictures)["faces"].to_pylist()
    for there, here in zip(found[:9], expected[:9], strict=True):
        assert there[0]["quality"] == pytest.approx(here[0]["quality"], abs=1e-5)
    assert {session["providers"][0] for session in asked if len(session["providers"]) > 1} == {CUDA}
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        FaceRows(seeded_engine, "onnxruntime", OneFace(), device="gpu")


def test_crops_are_faces_without_a_place(crop_rows: FaceRows, pictures: Any, scorer: Scorer) -> None:
    found = crop_rows(pictures).to_pylist()
    read = [decode_image(row["bytes"], "it") for row in pictures.to_pylist()[:8]]
    read.append(read_image(pictures["path"][8].as_py()))
    scores = scorer.score(read).tolist()
    for row, score in zip(found[:9], scores, strict=True):
        (face,) = row["faces"]
        assert face.pop("quality") == pytest.approx(score, abs=1e-5) and row["error"] is None
        assert face == {"box": None, "landmarks": None, "confidence": None}
    assert [row["faces"] for row in found[9:]] == [[], [], []] and all(row["error"] for row in found[9:])


def test_no_face_is_not_an_error_and_a_refused_one_is_named(seeded_engine: Path) -> None:
    one = pa.table({"id": ["a"], "bytes": [encoded(3)]})
    assert FaceRows(seeded_engine, "onnxruntime", NoFace())(one).to_pylist() == [
        {"id": "a", "faces": [], "error": None}
    ]
    (row,) = FaceRows(seeded_engine, "onnxruntime", SecondIsAPoint())(one).to_pylist()
    assert len(row["faces"]) == 1 and "1 of 2 faces cannot be scored" in row["error"]


@pytest.mark.parametrize("kind", ["photos", "crops"])
def test_a_pool_of_processes_says_the_same_bit_for_bit(
    kind: str, photo_rows: FaceRows, crop_rows: FaceRows, pictures: Any
) -> None:
    rows = photo_rows if kind == "photos" else crop_rows
    batches = pictures.to_batches(max_chunksize=3)
    here = list(rows.in_arrow(batches))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        there = list(pool.map(rows, batches))
    assert [batch.num_rows for batch in here] == [3, 3, 3, 3]
    assert pa.Table.from_batches(here).equals(pa.Table.from_batches(there))


def test_frames_of_pandas_as_spark_hands_them_over(photo_rows: FaceRows, pictures: Any) -> None:
    batches = pictures.to_batches(max_chunksize=5)
    frames = [pd.DataFrame(batch.to_pylist(), columns=pictures.column_names) for batch in batches]
    found = list(photo_rows.in_pandas(iter(frames)))
    assert [len(frame) for frame in found] == [5, 5, 2]
    back = [pa.Table.from_pandas(frame, row_schema(), preserve_index=False) for frame in found]
    assert (
        pa.concat_tables(back)
        .replace_schema_metadata()
        .equals(pa.Table.from_batches(list(photo_rows.in_arrow(batches))))
    )
    (empty,) = photo_rows.in_pandas([pd.DataFrame({"id": [], "bytes": []}, dtype=object)])
    assert list(empty.columns) == ["id", "faces", "error"] and not len(empty)
    with pytest.raises(InputError, match="give each column values of one type"):
        list(photo_rows.in_pandas([pd.DataFrame({"id": ["a", 3], "bytes": [b"", b""]}, dtype=object)]))


def test_the_engine_is_opened_once_for_all_rows_of_a_process(
    seeded_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[object]()

    def counting(*arguments: Any, **more: Any) -> Scorer:
        opened.append(arguments)
        return Scorer(*arguments, **more)

    monkeypatch.setattr(module, "Scorer", counting)
    module._opened.cache_clear()
    travelling = pickle.dumps(FaceRows(seeded_engine, "onnxruntime", OneFace()))
    assert not opened
    for seed in range(3):
        pickle.loads(travelling)(pa.table({"id": ["a"], "bytes": [encoded(seed)]}))
    assert len(opened) == 1


def test_auto_is_decided_once_and_travels_by_name(seeded_engine: Path) -> None:
    rows = FaceRows(seeded_engine, "auto", aligned=True)
    assert "auto" not in repr(rows) and repr(pickle.loads(pickle.dumps(rows))) == repr(rows)


def test_another_engine_where_the_rows_arrive_is_refused(seeded_engine: Path, tmp_path: Path) -> None:
    engine = Path(shutil.copy(seeded_engine, tmp_path / seeded_engine.name))
    rows = FaceRows(engine, "onnxruntime", aligned=True)
    engine.write_bytes(engine.read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match="is another engine here"):
        rows(pa.table({"id": ["a"], "bytes": [encoded(1)]}))


def test_no_rows_are_no_rows(photo_rows: FaceRows) -> None:
    schema = pa.schema([("id", pa.string()), ("path", pa.string())])
    assert photo_rows(schema.empty_table()).equals(row_schema().empty_table())
    batch = photo_rows(pa.RecordBatch.from_pylist([], schema))
    assert isinstance(batch, pa.RecordBatch) and batch.num_rows == 0


WRONG: Sequence[tuple[object, str]] = [
    ([{"id": "a"}], "not as list"),
    (pa.table({"path": ["a"]}), "name one of them id"),
    (pa.table({"id": ["a"], "image": [b""]}), "needs bytes .* or path"),
    (pa.table({"id": [1], "path": ["a"]}), "column id is int64; make it strings"),
    (pa.table({"id": ["a"], "bytes": ["text"]}), "column bytes is string; make it the bytes"),
    (pa.table({"id": ["a"], "path": [b"a"]}), "column path is binary; make it strings"),
    (pa.table({"id": ["a", "b", "a"], "path": ["a", "b", "c"]}), "the id a comes twice"),
    (pa.table({"id": ["a", None], "path": ["a", "b"]}), "row 1 has no id"),
    (pa.table([["a"], ["b"], ["c"]], names=["id", "path", "path"]), "2 columns path"),
]


@pytest.mark.parametrize(("table", "message"), WRONG)
def test_what_is_not_rows_is_one_line(photo_rows: FaceRows, table: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        photo_rows(table)
    assert "\n" not in str(told.value)


def test_what_cannot_give_rows_is_told_before_they_travel(seeded_engine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no artefact at"):
        FaceRows(tmp_path / "gone.onnx")
    with pytest.raises(InputError, match="ready crops need no detector"):
        FaceRows(seeded_engine, "onnxruntime", OneFace(), aligned=True)
