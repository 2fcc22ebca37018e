"""``fiqa-score`` on tar and Parquet files: what it says of a picture is what it says of the file."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.one_face import OneFace

NAMES = [f"{index}.png" for index in range(9)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures, and a file in the middle that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, name in enumerate(NAMES):
        cv2.imwrite(str(folder / name), seeded_image(index, 112, 112))
    (folder / "4.png").write_bytes(b"no picture")
    return folder


def as_tar(folder: Path) -> Path:
    path = folder.parent / "s.tar"
    with tarfile.open(path, "w") as tar:
        for name in NAMES:
            tar.add(folder / name, name)
    return path


def as_parquet(folder: Path) -> Path:
    path = folder.parent / "s.parquet"
    data = [(folder / name).read_bytes() for name in NAMES]
    pq.write_table(pa.table({"id": NAMES, "image": [{"bytes": each, "path": None} for each in data]}), path)
    return path


PACK = pytest.mark.parametrize("pack", [as_tar, as_parquet])
Pack = Callable[[Path], Path]


def lines(text: str) -> list[dict[str, Any]]:
    """Lines of JSON with names and messages that do not say where the picture lies."""
    found = []
    for line in map(json.loads, text.splitlines()):
        line["image"] = Path(line["image"]).name
        line["error"] = line["error"] and "refused"
        found.append(line)
    return found


@PACK
@pytest.mark.parametrize("more", [("--aligned",), ("--streams", "1"), ("--streams", "2")])
def test_packed_pictures_have_the_scores_of_files(
    score: Invoke, seeded_engine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: OneFace())
    base = ("--engine", seeded_engine, "--backend", "onnxruntime", "--threads", "2", "--jsonl", "-", *more)
    packed = pack(folder)
    found = score(packed, *base)
    assert found.code == 2 and f"{packed}/4.png is damaged" in found.err
    assert [json.loads(line)["image"] for line in found.out.splitlines()] == [f"{packed}/{name}" for name in NAMES]
    assert lines(found.out) == lines(score(folder, *base).out)


@PACK
def test_lists_shares_and_processes(
    score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path, pack: Pack
) -> None:
    base = ("--aligned", "--engine", seeded_engine, "--backend", "onnxruntime", "--threads", "1", "--jsonl", "-")
    packed = pack(folder)
    whole = score(packed, *base).out.splitlines()
    (tmp_path / "list.txt").write_text(f"{packed}\n{packed}/2.png\n{folder / '1.png'}\n{packed}/gone.png\n")
    listed = score("--list", tmp_path / "list.txt", *base)
    assert [json.loads(line)["image"] for line in listed.out.splitlines()] == [
        *(f"{packed}/{name}" for name in NAMES),
        *(str(folder / "1.png"), f"{packed}/gone.png"),
    ]
    assert f"there is no image gone.png in {packed}" in listed.err
    shares = [score(packed, *base, "--shard", f"{number}/2").out.splitlines() for number in (1, 2)]
    assert [len(share) for share in shares] == [5, 4]
    assert [{line["image"] for line in lines("\n".join(share))} for share in shares] == [{*NAMES[::2]}, {*NAMES[1::2]}]
    assert lines(score(packed, *base, "--workers", "2").out) == lines("\n".join(whole))


@PACK
def test_a_cut_run_goes_on(
    score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack
) -> None:
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: OneFace())
    packed = pack(folder)
    base = (packed, "--engine", seeded_engine, "--backend", "onnxruntime", "--streams", "1", "--parquet")
    score(*base, tmp_path / "whole.out")
    scores, left = Scorer.score, [3]

    def cut(self: Scorer, crops: list[np.ndarray]) -> object:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return scores(self, crops)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", cut)
        assert score(*base, tmp_path / "s.out").code == 130
    part = (tmp_path / "s.out.part").read_bytes()
    assert len(part.splitlines()) == 3
    written = packed.stat().st_mtime_ns
    os.utime(packed, ns=(written, written + 10**9))
    assert score(*base, tmp_path / "s.out", "--resume").is_one_line("0.png has changed since it was scored")
    os.utime(packed, ns=(written, written))
    assert score(*base, tmp_path / "s.out", "--resume").code == 2  # 4.png is refused
    assert (tmp_path / "s.out").read_bytes() == (tmp_path / "whole.out").read_bytes()


def test_what_is_refused_in_a_tar_file_has_a_line(
    score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path
) -> None:
    packed = as_tar(folder)
    packed.write_bytes(packed.read_bytes()[: 512 * 5])
    found = score(packed, "--aligned", "--engine", seeded_engine, "--backend", "onnxruntime", "--jsonl", "-")
    last = json.loads(found.out.splitlines()[-1])
    assert found.code == 2 and last["image"] == str(packed) and "damaged or cut short" in last["error"]


def test_what_cannot_be_used_is_one_line(score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path) -> None:
    base = ("--aligned", "--engine", seeded_engine, "--backend", "onnxruntime")
    (tmp_path / "no.tar").write_bytes(b"no tar")
    assert score(tmp_path / "no.tar", *base).is_one_line("no.tar is not a tar file")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    assert score(tmp_path / "empty.tar", *base).is_one_line("empty.tar holds no pictures")
    packed = as_parquet(folder)
    assert score(packed, *base, "--image-column", "crop").is_one_line("has no column crop", "id, image")
    assert score(packed, *base, "--id-column", "image").is_one_line("--id-column names one of strings")
    assert score(packed, *base, "--parquet", packed).is_one_line("--parquet and PATH are the same file")
    assert score("--self-test", "--engine", seeded_engine, "--id-column", "id").code == 2


def test_overlays_lie_in_folders_named_like_the_file(
    score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path
) -> None:
    packed, base = as_tar(folder), ("--aligned", "--engine", seeded_engine, "--backend", "onnxruntime")
    score(packed, folder / "1.png", *base, "--overlay", tmp_path / "o")
    assert (tmp_path / "o" / "s.tar" / "0.png").is_file() and (tmp_path / "o" / "pictures" / "1.png").is_file()
