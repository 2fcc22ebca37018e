"""Ray Data: every row once, whatever is lost on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.rows import FaceRows, row_schema
from fiqa_runtime.rows.ray import score_dataset

from tests.help.samples.one_face import OneFace
from tests.runtime.rows.conftest import by_id


class DiesOnce:
    """Finds one face, except that the first process that looks for one is no more."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def detect(self, image: Image) -> list[Detection]:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return OneFace().detect(image)
        return die_in_a_child()


def die_in_a_child() -> list[Detection]:
    os.kill(os.getpid(), 9)
    return []


def test_actors_say_what_one_process_says(ray: Any, photo_rows: FaceRows, pictures: Any, tmp_path: Path) -> None:
    dataset = ray.data.from_arrow([pictures.slice(start, 4) for start in range(0, 12, 4)])
    score_dataset(dataset, photo_rows, actors=2).write_parquet(str(tmp_path))
    found = pq.read_table(tmp_path, schema=row_schema())
    assert by_id(found).equals(by_id(photo_rows(pictures)))
    assert found["error"].null_count == 9


def test_an_actor_that_is_lost_loses_no_row(
    ray: Any, seeded_engine: Path, pictures: Any, photo_rows: FaceRows, tmp_path: Path
) -> None:
    rows = FaceRows(seeded_engine, "onnxruntime", DiesOnce(tmp_path / "died"))
    dataset = ray.data.from_arrow([pictures.slice(start, 2) for start in range(0, 12, 2)])
    found = pa.concat_tables(ray.get(score_dataset(dataset, rows, actors=1).to_arrow_refs()))
    assert (tmp_path / "died").exists()
    assert by_id(found.cast(row_schema())).equals(by_id(photo_rows(pictures)))


def test_what_would_wait_for_ever_or_fail_late_is_told_first(ray: Any, photo_rows: FaceRows, pictures: Any) -> None:
    dataset = ray.data.from_arrow(pictures)
    with pytest.raises(InputError, match=r"has 4 CPUs, and these actors need 5 \(2 for reading and writing\)"):
        score_dataset(dataset, photo_rows, actors=3)
    with pytest.raises(InputError, match=r"has 0 GPUs, and these actors need 0\.5"):
        score_dataset(dataset, photo_rows, actors=1, gpus_per_actor=0.5)
    with pytest.raises(InputError, match="0 actors score nothing"):
        score_dataset(dataset, photo_rows, actors=0)
    with pytest.raises(InputError, match="the table has the columns id; it needs bytes"):
        score_dataset(ray.data.from_arrow(pictures.select(["id"])), photo_rows, actors=1)
