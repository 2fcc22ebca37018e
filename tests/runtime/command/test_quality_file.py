"""fiqa-score --quality-file: one score per image, bit-exact, in the formats that others read."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_evaluation.data_set.files import read_quality
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke

NUMBERS = np.array([0.1, -3.25e-7, 1234567.9, 1, 16777217, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)


def crop(path: str, quality: float) -> ImageResult:
    return ImageResult(Path(path), 112, 112, quality=quality)


def face(width: float, quality: float) -> Face:
    return Face(np.array([0, 0, width, width], np.float32), np.zeros((5, 2), np.float32), 0.9, quality)


def written(path: Path, results: list[ImageResult]) -> Path:
    file = QualityFile(path, [result.path for result in results])
    for result in results:
        file.add(result)
    file.write()
    return path


def test_cr_fiqa_file_comes_back_bit_by_bit(tmp_path: Path) -> None:
    results = [crop(f"data/set/images/{i}.jpg", number) for i, number in enumerate(NUMBERS.tolist())]
    path = written(tmp_path / "MINE_set.txt", results)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "data/set/images/0.jpg 0.1"
    back = read_quality(path, [str(i) for i in range(len(NUMBERS))])
    np.testing.assert_array_equal(back.astype(np.float32), NUMBERS)


def test_csv(tmp_path: Path) -> None:
    path = written(tmp_path / "s.CSV", [crop("a, b/c d.png", NUMBERS[1]), crop("e.png", NUMBERS[2])])
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == ["a, b/c d.png", "e.png"]
    assert [np.float32(row["quality"]) for row in rows] == NUMBERS[1:3].tolist()


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: fiqa-edge[parquet]")
    results = [crop(f"ü {i}.png", number) for i, number in enumerate(NUMBERS.tolist())]
    table = parquet.read_table(written(tmp_path / "s.parquet", results))
    assert table.column_names == ["path", "quality"]
    assert [str(kind) for kind in table.schema.types] == ["string", "float"]
    assert table["path"].to_pylist()[5] == "ü 5.png"
    np.testing.assert_array_equal(table["quality"].to_numpy(), NUMBERS)
    assert list(tmp_path.iterdir()) == [tmp_path / "s.parquet"]


def test_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DependencyError, match=r"fiqa-edge\[parquet\]"):
        QualityFile(tmp_path / "s.parquet", [])


def test_parquet_holds_no_names_that_are_no_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiqa_runtime.command.quality_file.require_pyarrow", lambda: None)
    with pytest.raises(InputError, match=r"is not UTF-8, which s.parquet cannot hold; use .csv or rename"):
        QualityFile(tmp_path / "s.parquet", [Path("a.png"), Path(os.fsdecode(b"caf\xe9.png"))])


def test_of_several_faces_the_largest_counts(tmp_path: Path) -> None:
    two = ImageResult(Path("two.png"), 9, 9, (face(30, 0.25), face(50, 0.75), face(40, 0.5)))
    none = ImageResult(Path("none.png"), 9, 9, ())
    failed = ImageResult(Path("bad.png"), error=InputError("bad"))
    file = QualityFile(tmp_path / "s.txt", [])
    for result in (two, none, failed):
        file.add(result)
    file.write()
    assert (tmp_path / "s.txt").read_text(encoding="utf-8") == "two.png 0.75\n"
    complaint = file.complaint()
    assert complaint and "1 photos without a face are not in" in str(complaint) and "none.png" in str(complaint)


def test_no_complaint_without_reason(tmp_path: Path) -> None:
    assert QualityFile(tmp_path / "s.txt", []).complaint() is None


def test_command_writes_several_formats_at_once(score: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), seeded_image(0, 112, 112))
    several = [argument for name in ("s.txt", "s.csv") for argument in ("--quality-file", tmp_path / name)]
    result = score(tmp_path / "a.png", "--engine", seeded_engine, "--aligned", *several)
    assert result.code == 0, result.err
    path, value = (tmp_path / "s.txt").read_text(encoding="utf-8").split()
    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == f"path,quality\n{path},{value}\n"


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_command_writes_the_scores_of_the_library(
    score: Invoke, seeded_engine: Path, tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    images = [seeded_image(index, 112, 112) for index in range(3)]
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    (folder / "damaged.png").write_text("no picture")
    file = tmp_path / "out" / f"MINE{suffix}"
    result = score(folder, "--engine", seeded_engine, "--aligned", "--quality-file", file)
    assert result.ends_in("damaged.png", "not an image")
    separator = "," if suffix == ".csv" else " "
    lines = [line.rsplit(separator, 1) for line in file.read_text(encoding="utf-8").splitlines()]
    lines = lines[1:] if suffix == ".csv" else lines
    assert [path for path, _ in lines] == [(folder / f"{index}.png").as_posix() for index in range(3)]
    with Scorer(seeded_engine) as scorer:
        np.testing.assert_allclose([float(value) for _, value in lines], scorer.score(images), rtol=0, atol=1e-6)


def test_photo_without_a_face_is_told_and_the_document_is_still_written(
    score: Invoke, seeded_engine: Path, weights_dir: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), seeded_image(0, 240, 320))
    arguments = ("--quality-file", tmp_path / "s.txt", "--json", tmp_path / "s.json")
    result = score(tmp_path / "wall.png", "--engine", seeded_engine, *arguments)
    assert result.ends_in("1 photos without a face", "wall.png", "--aligned")
    assert (tmp_path / "s.txt").read_text(encoding="utf-8") == ""
    assert (tmp_path / "s.json").exists()


BAD = {
    "no format": (["ok.png", "--quality-file", "s.xlsx"], ["the format of s.xlsx is not known", ".parquet"]),
    "blank": (["a b.png", "--quality-file", "s.txt"], ["'a b.png' has a blank", "use .csv"]),
    "folder": (["ok.png", "--quality-file", "ok.png/s.txt"], ["cannot write to ok.png"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    score: Invoke, seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ok.png", "a b.png"):
        cv2.imwrite(name, seeded_image(0, 112, 112))
    before = sorted(tmp_path.iterdir())
    arguments, parts = BAD[case]
    result = score(*arguments, "--aligned", "--engine", seeded_engine)
    assert result.is_one_line(*parts), result
    assert sorted(tmp_path.iterdir()) == before
