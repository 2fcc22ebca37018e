"""Runs that are cut: what is done stays, ``--resume`` goes on, and the end is that of a run that was never cut."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.cards import card_beside_alone
from tests.runtime.command.conftest import COUNT


@pytest.fixture
def single(seeded_engine: Path, tmp_path: Path) -> Path:
    """The engine, scoring one crop at a time, so that a run can be cut behind each."""
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = Path(shutil.copy(seeded_engine, folder / seeded_engine.name))
    card_beside_alone(replace(read_card(engine), max_batch=1), engine)
    return engine


def cut_after(monkeypatch: pytest.MonkeyPatch, scores: int, error: BaseException) -> pytest.MonkeyPatch:
    """Let `error` come once so many scores are made."""
    whole, left = Scorer.score, [scores]

    def score(self: Scorer, images: list[Image], *more: object) -> object:
        if not images:
            return whole(self, images)
        if not left[0]:
            raise error
        left[0] -= 1
        return whole(self, images)

    monkeypatch.setattr(Scorer, "score", score)
    return monkeypatch


@pytest.mark.parametrize(("done", "torn"), [(0, 0), (1, 5), (4, 0), (7, 5)])
def test_a_cut_run_ends_as_if_it_was_never_cut(
    score: Invoke,
    single: Path,
    mixed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    done: int,
    torn: int,
) -> None:
    base = (mixed, "--aligned", "--engine", single, "--backend", "onnxruntime")
    whole = score(*base, "--csv", tmp_path / "whole.csv", "--jsonl", tmp_path / "whole.jsonl")
    outputs = ("--csv", tmp_path / "s.csv", "--jsonl", tmp_path / "s.jsonl")
    with monkeypatch.context() as patch:
        cut_after(patch, done, KeyboardInterrupt())
        cut = score(*base, *outputs)
    assert cut.code == 130
    before = done + (done >= 4)  # the refused one lies between
    if before:
        assert f"{before} of {COUNT} images stand in" in cut.err and "--resume goes on" in cut.err
    for name in ("s.csv.part", "s.jsonl.part", "s.csv.journal"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"im\xff'[:torn])
    with monkeypatch.context() as patch:
        cut_after(patch, COUNT - 1 - done, AssertionError("what was done is scored again"))
        resumed = score(*base, *outputs, "--resume")
    assert resumed.code == whole.code == 2 and "4.png" in resumed.err
    for kind in ("csv", "jsonl"):
        assert (tmp_path / f"s.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.journal"))
    told = [line for line in whole.err.splitlines() if line.startswith((f"{COUNT} images", "passed over"))]
    assert told and all(line in resumed.err.splitlines() for line in told)
    assert f"wrote {COUNT + 1} rows to" in resumed.err and f"wrote {COUNT + 1} lines to" in resumed.err


def test_what_is_left_of_a_cut_run_is_not_lost_by_a_run_anew(
    score: Invoke, single: Path, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = (mixed, "--aligned", "--engine", single, "--backend", "onnxruntime", "--csv", tmp_path / "s.csv")
    with monkeypatch.context() as patch:
        cut_after(patch, 3, KeyboardInterrupt())
        score(*base)
    part = (tmp_path / "s.csv.part").read_bytes()
    assert score(*base).is_one_line("s.csv.part is left of a run that was cut; add --resume", "s.csv.journal")
    other = score(*base, "--resume", "--threshold", "0.5")
    assert other.is_one_line("was begun with another engine, other settings or outputs")
    more = score(*base, "--jsonl", tmp_path / "s.jsonl", "--resume")
    assert more.is_one_line("was begun with another engine, other settings or outputs")
    journal = tmp_path / "s.csv.journal"
    whole = journal.read_bytes()
    for damaged in (b"", b"{}\n", b"[1]\n" + whole, whole[:20]):
        journal.write_bytes(damaged)
        assert score(*base, "--resume").is_one_line("s.csv.part has no whole journal")
    journal.unlink()
    assert score(*base, "--resume").is_one_line("s.csv.part has no whole journal")
    journal.write_bytes(whole)
    cv2.imwrite(str(mixed / "1.png"), seeded_image(77, 100, 112))
    assert score(*base, "--resume").is_one_line("1.png has changed since it was scored")
    assert (tmp_path / "s.csv.part").read_bytes() == part


def test_a_last_part_in_which_all_is_refused_does_not_lose_what_was_done(
    score: Invoke, single: Path, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ("--aligned", "--engine", single, "--backend", "onnxruntime", "--jsonl", tmp_path / "s.jsonl")
    with monkeypatch.context() as patch:
        cut_after(patch, 3, KeyboardInterrupt())
        score(mixed, *base)
    assert score(mixed / "4.png", *base, "--resume").code == 2
    outcomes = [json.loads(line)["outcome"] for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert outcomes == ["scored"] * 3 + ["refused"]


def test_resume_needs_an_output_that_grows(score: Invoke, single: Path, mixed: Path, tmp_path: Path) -> None:
    base = (mixed, "--aligned", "--engine", single, "--resume")
    assert score(*base).is_one_line("add one of them")
    assert score(*base, "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json").is_one_line("--resume", "--json")


def test_resume_with_nothing_to_go_on_from_begins(score: Invoke, single: Path, mixed: Path, tmp_path: Path) -> None:
    base = (mixed / "0.png", "--aligned", "--engine", single, "--backend", "onnxruntime")
    assert score(*base, "--jsonl", tmp_path / "s.jsonl", "--resume").code == 0
    assert len((tmp_path / "s.jsonl").read_text().splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_signals(single: Path, mixed: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A real process, stopped once its first lines are there, and gone on with. It cannot end before: its last picture
    is a pipe, for whose bytes it waits."""
    for index in range(COUNT, 80):
        (mixed / f"{index}.png").symlink_to(mixed / f"{index % 4}.png")
    last = tmp_path / "last.png"
    os.mkfifo(last)
    command = [sys.executable, "-m", "fiqa_runtime.cli", mixed, last, "--aligned", "--engine", single]
    command += ["--backend", "onnxruntime", "--threads", "1", "--jsonl", tmp_path / "s.jsonl", "--resume"]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    part = tmp_path / "s.jsonl.part"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode == code, told
    assert number == signal.SIGKILL or "the same command with --resume goes on" in told
    last.unlink()
    shutil.copy(mixed / "0.png", last)
    assert subprocess.run([*map(str, command)], capture_output=True, check=False).returncode == 2  # 4.png is refused
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert len(lines) == len({line["image"] for line in lines}) == 82


def test_shares_and_lists(score: Invoke, single: Path, mixed: Path, tmp_path: Path) -> None:
    base = ("--aligned", "--engine", single, "--backend", "onnxruntime")
    names = [str(path) for path in sorted(mixed.glob("[0-3].png"))]
    (tmp_path / "list.txt").write_text("\n".join([*names, names[0], str(tmp_path / "gone.png")]))
    found = score(*base, "--list", tmp_path / "list.txt", "--jsonl", "-")
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert [line["image"] for line in lines] == [*names, str(tmp_path / "gone.png")]
    assert found.code == 2 and lines[-1]["outcome"] == "refused"
    shares = [score(mixed, *base, "--shard", f"{number}/16", "--csv", "-") for number in range(1, 17)]
    assert {share.code for share in shares} == {0, 2}  # 4.png is refused in its share
    rows = [row for share in shares for row in share.out.splitlines()[1:]]
    assert len(rows) == COUNT + 1
    assert score(mixed, *base, "--shard", "17/16").is_one_line("--shard 17/16 is not a share")


def test_workers_give_what_one_process_gives(score: Invoke, single: Path, mixed: Path, tmp_path: Path) -> None:
    base = (mixed, "--aligned", "--engine", single, "--backend", "onnxruntime", "--jsonl")
    score(*base, tmp_path / "one.jsonl")
    found = score(*base, tmp_path / "two.jsonl", "--workers", "2")
    assert found.code == 2 and "4.png" in found.err
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    mixed_up = score(*base, tmp_path / "any.jsonl", "--workers", "2", "--unordered")
    assert mixed_up.code == found.code
    assert sorted((tmp_path / "any.jsonl").read_bytes().splitlines()) == sorted(
        (tmp_path / "two.jsonl").read_bytes().splitlines()
    )
    assert score(*base, "-", "--unordered").is_one_line("--unordered is a part of --workers")
    assert score(*base, "-", "--workers", "2", "--overlay", tmp_path / "o").is_one_line("--workers", "--overlay")
