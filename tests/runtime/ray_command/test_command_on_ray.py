"""``fiqa-score --ray``: the rows of one process, and one line for what cannot be done."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.help.commands import Invoke
from tests.runtime.ray_command.conftest import SCORED, arguments

pytest.importorskip("ray.data", reason="--ray needs the extra [ray]")


def test_it_finds_what_one_process_finds(
    score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name in ("json", "numpy", "pyarrow", "fiqa_runtime"):  # what lies where a user stands is not code of ours
        (work / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w'); raise SystemExit('planted')")
    monkeypatch.chdir(work)
    done = score(*arguments(seeded_engine, crops, "../out", "local", "--actors", "2"))
    assert done.ends_in("3.png is damaged, cut short or not an image"), done.err
    assert SCORED in done.err
    assert "passed over in folders: 1 (1 .txt files)" in done.err
    assert "wrote 12 rows to" in done.err
    assert not (tmp_path / "planted").exists()
    assert not (tmp_path / "out.run").exists()
    packed = [crops, crops / "shard.tar", crops / "rows.parquet"]
    plain = score(*packed, "--engine", seeded_engine, *("--aligned", "--backend", "onnxruntime", "--parquet", "one"))
    assert plain.ends_in("3.png is damaged, cut short or not an image"), plain.err
    expected = qualities(work / "one")
    assert len(expected) == 11
    assert qualities(tmp_path / "out") == {name: pytest.approx(score, abs=1e-5) for name, score in expected.items()}


def qualities(path: Path) -> dict[str, float]:
    """By id: the score of each crop that has one."""
    rows = pq.read_table(path, columns=["id", "faces"]).to_pylist()
    return {row["id"]: row["faces"][0]["quality"] for row in rows if row["faces"]}


def test_a_second_run_goes_on_only_when_asked_and_only_with_the_same(
    score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path
) -> None:
    out, notes = tmp_path / "out", tmp_path / "out.run"
    notes.mkdir()
    (notes / "run.json").write_text("{}")
    typed = arguments(seeded_engine, crops, out, "local")
    assert score(*typed).is_one_line(f"{out} is of a run that was cut; add --resume", f"delete {out} and {notes}")
    assert score(*typed, "--resume").is_one_line("was begun with another engine, other settings or images")
    (notes / "run.json").write_text("{")
    assert score(*typed, "--resume").is_one_line("run.json is damaged", f"delete {out} and {notes}")
    (notes / "run.json").unlink()
    notes.rmdir()
    out.mkdir()
    (out / "old.parquet").touch()
    assert score(*typed).is_one_line(f"{out} is there and not of a run that was cut; name a new folder")
    file = out / "old.parquet"
    assert score(*arguments(seeded_engine, crops, file, "local")).is_one_line(f"{file} is there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crops", "out"]


def test_rows_among_the_pictures_are_refused(score: Invoke, seeded_engine: Path, crops: Path) -> None:
    for out in (crops, crops / "out"):
        refused = score(*arguments(seeded_engine, crops, out, "local"))
        assert refused.is_one_line(f"{out} lies in {crops}, which is searched; name a folder elsewhere")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("127.0.0.1:1",), "nothing answers at 127.0.0.1:1"),
        (("here",), "--ray here is not an address; write HOST:PORT, auto or local"),
        (("auto",), "cannot use the Ray cluster 'auto'"),
        (("local", "--csv", "scores.csv"), "--ray makes no use of --csv"),
        (("local", "--workers", "2"), "--ray makes no use of --workers"),
        (("local", "--image-column", "jpg"), "has no column jpg"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path, more: tuple[str, ...], told: str
) -> None:
    assert score(*arguments(seeded_engine, crops, tmp_path / "out", *more)).is_one_line(told)
    assert [path.name for path in tmp_path.iterdir()] == ["crops"]


def test_options_that_belong_together(score: Invoke, seeded_engine: Path, crops: Path) -> None:
    assert score(crops, "--engine", seeded_engine, "--actors", 2).is_one_line("--actors is a part of --ray")
    assert score(crops, "--engine", seeded_engine, "--ray", "local").is_one_line("into a folder; name both")
    assert score("--engine", seeded_engine, "--ray", "local", "--parquet", "o").is_one_line("name both")


def test_too_few_cpus_are_told_before_a_run_that_would_wait_for_ever(
    score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path
) -> None:
    typed = arguments(seeded_engine, crops, tmp_path / "out", "local", "--actors", (os.cpu_count() or 1) + 9)
    assert score(*typed).is_one_line("CPUs, and these actors need", "take fewer actors")
    assert [path.name for path in tmp_path.iterdir()] == ["crops"]
