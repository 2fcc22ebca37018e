"""Clips with known truth, what is judged on them, and the parts of ``fiqa-bench --watch`` that need no weights."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_benchmarks.watch.clips import Actor, Clip, Look, crowd, make_clips, render, write_clip
from fiqa_benchmarks.watch.heads import Head, heads_of
from fiqa_benchmarks.watch.judge import Verdict, Way, frame_qualities, judge
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import intersection_over_union
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.live import Economy, Frames

from tests.help.commands import Invoke
from tests.help.live.clips import TrueFaces, sample_heads, short_clip
from tests.help.live.moving_faces import Sharpness
from tests.help.samples.mtcnn_engines import astronaut, export_mtcnn

ALL = Way("all", 640, 1, Economy(refresh=0))


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    return sample_heads()


def clip_of(name: str, heads: list[Head]) -> Clip:
    return next(clip for clip in make_clips(len(heads)) if clip.name == f"{name}-0")


def test_every_kind_of_clip_is_there_and_the_same_each_time() -> None:
    names = {clip.name.rpartition("-")[0] for clip in make_clips(2)}
    assert names == {"moving", "zooming", "blurring", "darkening", "returning", "crossing", "two"}
    first, again, other = (make_clips(1, seed)[1].actors[0].path(0.5) for seed in (0, 0, 1))
    assert first == again != other


def test_the_truth_lies_on_the_head(heads: list[Head]) -> None:
    """The face of the head, moved as the truth says, is what the frame shows."""
    still = Clip("still", 0.1, (Actor(0, lambda _: Look(0.4, 0.5, 0.8)),))
    frame, truths = next(iter(render(still, heads, 640, 360)))
    (truth,) = truths
    head = heads[0]
    scale = 0.8 * 360 / len(head.picture)
    np.testing.assert_allclose(truth.face.box[2:], head.box[2:] * scale, rtol=1e-5)
    sharp = FaceQuality(Sharpness(), TrueFaces([truths]))
    ours = sharp.crop(frame, truth.face.landmarks).astype(float)
    theirs = sharp.crop(head.picture, head.landmarks).astype(float)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_who_returns_is_another_visit(heads: list[Head]) -> None:
    visits = [{truth.visit for truth in truths} for _, truths in render(clip_of("returning", heads), heads, 160, 90)]
    assert visits[0] == {0} and visits[-1] == {1} and visits[len(visits) // 2] == set()
    assert len(crowd(2, 6).actors) == 6


@pytest.mark.parametrize("name", ["moving", "crossing", "returning", "two"])
def test_true_faces_are_followed_without_a_switch(heads: list[Head], name: str, tmp_path: Path) -> None:
    path, verdict = tmp_path / "clip.avi", Verdict()
    truths = write_clip(clip_of(name, heads), heads, path, 480, 270)
    score = Sharpness()
    by_frame = frame_qualities(path, truths, FaceQuality(score, TrueFaces(truths)))
    judge(path, truths, by_frame, by_frame, ALL, FaceQuality(score, TrueFaces(truths)), verdict)
    assert verdict.switches == verdict.missed == verdict.split == verdict.wrong_finals == 0
    assert verdict.tracks == verdict.finals == verdict.visits == len(by_frame)
    assert verdict.losses == [0.0] * verdict.visits


def test_the_economy_spares_faces_and_loses_little(heads: list[Head], tmp_path: Path) -> None:
    path, verdict = tmp_path / "clip.avi", Verdict()
    truths = write_clip(clip_of("blurring", heads), heads, path, 480, 270)
    score = Sharpness()
    by_frame = frame_qualities(path, truths, FaceQuality(score, TrueFaces(truths)))
    spare = Way("spare", 640, 1, Economy())
    judge(path, truths, by_frame, by_frame, spare, FaceQuality(score, TrueFaces(truths)), verdict)
    assert verdict.scored < 0.8 * verdict.faces
    assert max(verdict.losses) < 0.03 * max(by_frame[0, 0].values())


def test_a_real_detector_finds_the_best_shot(tmp_path: Path, scorer: Any) -> None:
    """MTCNN with its published weights on frames that OpenCV decodes."""
    finder = MtcnnDetector(export_mtcnn(tmp_path / "engines"), threads=1)
    (head,) = heads_of([astronaut()], finder)
    path, verdict = tmp_path / "clip.avi", Verdict()
    actor = Actor(0, lambda t: Look(0.4 + 0.2 * t, 0.5, 0.8, blur=6 * abs(t - 0.5)))
    truths = write_clip(Clip("one", 0.4, (actor,)), [head], path, 320, 240)
    quality = FaceQuality(scorer, finder)
    every = frame_qualities(path, truths, quality)
    judge(path, truths, every, every, ALL, quality, verdict)
    assert verdict.tracks == verdict.finals == verdict.visits == 1 and verdict.losses == [0.0]


def test_photos_without_a_large_face_make_no_heads(tmp_path: Path) -> None:
    truths = short_clip(tmp_path / "clip.avi", 0.1)
    with pytest.raises(InputError, match="none of the photos shows a face of 80 pixels"):
        heads_of([], TrueFaces(truths))


def test_a_codec_that_is_missing(heads: list[Head], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"this OpenCV cannot write clip\.xyz with ZZZZ"):
        write_clip(clip_of("moving", heads), heads, tmp_path / "clip.xyz", 64, 48, "ZZZZ")


def test_a_written_clip_is_read_frame_by_frame(tmp_path: Path) -> None:
    truths = short_clip(tmp_path / "clip.avi", 0.2)
    assert len(list(Frames(tmp_path / "clip.avi"))) == len(truths) == 6


def test_truth_moves_with_the_head(heads: list[Head]) -> None:
    boxes = [truths[0].face.box for _, truths in render(clip_of("moving", heads), heads, 160, 90)]
    overlaps = [float(intersection_over_union(a, b[None])[0]) for a, b in pairwise(boxes)]
    assert min(overlaps) > 0.8 and boxes[-1][0] > boxes[0][0] + 60


def test_options_of_the_run(bench: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    engine = ("--engine", seeded_engine, "--watch")
    assert bench(*engine, "--batch", "8").is_one_line("--watch makes no use of --batch")
    assert bench(*engine, "--pipeline").is_one_line("do not go together")
    other = Path(shutil.copytree(seeded_engine.parent, tmp_path / "other")) / seeded_engine.name
    assert bench(*engine, other).is_one_line("--watch takes one engine")
    assert bench(*engine, "--detector", "none.onnx").is_one_line("there is no detector none.onnx")
