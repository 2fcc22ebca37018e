"""``--parquet``: a row for each image, whole after any cut."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fiqa_runtime.rows import parquet_output
from fiqa_runtime.rows.parquet_output import file_schema
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.one_face import OneFace
from tests.runtime.command.conftest import COUNT


def test_rows_are_the_lines_of_json(
    score: Invoke, seeded_engine: Path, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiqa_runtime.command.settings.Detector", lambda path, **settings: OneFace())
    base = (mixed, "--engine", seeded_engine, "--backend", "onnxruntime", "--threshold", "0.5")
    found = score(*base, "--jsonl", tmp_path / "s.jsonl", "--parquet", tmp_path / "s.parquet")
    assert found.code == 2 and f"wrote {COUNT + 1} rows to {tmp_path / 's.parquet'}" in found.err
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.schema.equals(file_schema())
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    for line, row in zip(lines, table.to_pylist(), strict=True):
        assert (row["id"], row["outcome"], row["error"]) == (line["image"], line["outcome"], line["error"])
        assert row["faces"] == pa.array([line.get("faces", [])], table.schema.field("faces").type)[0].as_py()
    assert {row["outcome"] for row in table.to_pylist()} == {"scored", "refused", "passed over"}
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.journal"))


def test_crops_are_faces_without_a_place(score: Invoke, seeded_engine: Path, mixed: Path, tmp_path: Path) -> None:
    base = (mixed / "1.png", "--aligned", "--engine", seeded_engine, "--backend", "onnxruntime", "--csv", "-")
    found = score(*base, "--parquet", tmp_path / "s.parquet")
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    (face,) = row["faces"]
    assert np.float32(face.pop("quality")) == np.float32(found.out.splitlines()[1].split(",")[2])
    assert face == {"box": None, "landmarks": None, "confidence": None, "accepted": None}


@pytest.mark.parametrize("done", [1, 6])
def test_a_cut_run_ends_as_if_it_was_never_cut(
    score: Invoke, seeded_engine: Path, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr("fiqa_runtime.command.settings.Detector", lambda path, **settings: OneFace())
    monkeypatch.setattr(parquet_output, "IN_A_GROUP", 4)
    monkeypatch.setattr(parquet_output, "AT_ONCE", 2)
    base = (mixed, "--engine", seeded_engine, "--backend", "onnxruntime", "--streams", "1", "--parquet")
    score(*base, tmp_path / "whole.parquet")
    assert pq.ParquetFile(tmp_path / "whole.parquet").num_row_groups == 3
    whole, left = Scorer.score, [done]

    def cut(self: Scorer, mixed: Sequence[np.ndarray]) -> object:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= bool(mixed)
        return whole(self, mixed)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", cut)
        told = score(*base, tmp_path / "s.parquet")
    assert told.code == 130 and "--resume goes on" in told.err
    assert len((tmp_path / "s.parquet.part").read_text().splitlines()) == done + (done > 4)
    assert score(*base, tmp_path / "s.parquet").is_one_line("s.parquet.part is left of a run that was cut")
    with (tmp_path / "s.parquet.part").open("ab") as file:
        file.write(b'{"id": "to')
    assert score(*base, tmp_path / "s.parquet", "--resume").code == 2  # 4.png is refused
    assert (tmp_path / "s.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.journal"))


def test_a_file_that_cannot_be_made_is_made_by_the_next_run(
    score: Invoke, seeded_engine: Path, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(lines: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    outputs = ("--csv", tmp_path / "s.csv", "--parquet", tmp_path / "s.parquet")
    base = (mixed / "1.png", "--aligned", "--engine", seeded_engine, "--backend", "onnxruntime", *outputs)
    with monkeypatch.context() as patch:
        patch.setattr("fiqa_runtime.command.score_command.to_parquet", full)
        found = score(*base)
    assert found.ends_in(f"cannot write {tmp_path / 's.parquet'}: No space left") and "--resume goes on" in found.err
    assert not (tmp_path / "s.csv").exists() and not (tmp_path / "s.parquet").exists()
    assert score(*base, "--resume").code == 0
    assert pq.read_table(tmp_path / "s.parquet").num_rows == 1 and (tmp_path / "s.csv").exists()
    assert len(list(tmp_path.glob("s.*"))) == 2


def test_what_parquet_cannot_be_is_told_first(score: Invoke, seeded_engine: Path, mixed: Path, tmp_path: Path) -> None:
    base = (mixed, "--aligned", "--engine", seeded_engine, "--backend", "onnxruntime", "--parquet")
    assert score(*base, "-").is_one_line("--parquet cannot be written to stdout")
    os.mkfifo(tmp_path / "pipe")
    assert score(*base, tmp_path / "pipe").is_one_line("is a pipe or a device")
    (mixed / os.fsdecode(b"\xff.png")).write_bytes((mixed / "1.png").read_bytes())
    assert score(*base, tmp_path / "s.parquet").is_one_line("is not UTF-8, which s.parquet cannot hold")
    assert not list(tmp_path.glob("s.*"))
