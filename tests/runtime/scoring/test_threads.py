"""Threads and streams: what a container leaves, how streams share it, and that results stay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system import host
from fiqa_runtime.system.host import thread_limit

from tests.help.commands import Invoke


@pytest.mark.parametrize(("cores", "expected"), [(64.0, None), (8.0, None), (2.0, 2), (1.5, 1), (0.25, 1)])
def test_threads_follow_the_container(monkeypatch: pytest.MonkeyPatch, cores: float, expected: int | None) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(host, "usable_cores", lambda groups: cores)
    assert thread_limit() == expected


@pytest.mark.parametrize(("streams", "threads", "each"), [(2, 4, 2), (4, 2, 1), (2, None, 3), (1, None, 6)])
def test_streams_share_the_threads(
    monkeypatch: pytest.MonkeyPatch, streams: int, threads: int | None, each: int
) -> None:
    monkeypatch.setattr(host, "usable_cores", lambda groups: 6.5)
    assert host.threads_per_stream(streams, threads) == each


@pytest.mark.parametrize(("options", "expected"), [(("--threads", "3"), 3), ((), 1)])
def test_opencv_keeps_to_the_threads(
    score: Invoke,
    seeded_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    expected: int,
) -> None:
    given: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", given.append)
    monkeypatch.setattr(host, "thread_limit", lambda: 1)
    cv2.imwrite(str(tmp_path / "crop.png"), seeded_image(0, 112, 112))
    engine = ("--engine", seeded_engine, "--backend", "onnxruntime")
    assert score(tmp_path / "crop.png", *engine, "--aligned", *options).code == 0
    assert given == [expected]


@pytest.mark.parametrize("options", [("--overlap",), ("--streams", "2")])
def test_overlap_and_streams_give_the_same_document(
    score: Invoke, seeded_engine: Path, images_dir: Path, weights_dir: Path, options: tuple[str, ...]
) -> None:
    yunet = weights_dir / "face_detection_yunet_2023mar.onnx"
    command = (images_dir / "dlib", "--engine", seeded_engine, "--detector", yunet, "--backend", "onnxruntime")
    plain, fast = (json.loads(score(*command, *more, "--json", "-").out) for more in ((), options))
    assert [image["path"] for image in fast["images"]] == [image["path"] for image in plain["images"]]
    for ours, theirs in zip(fast["images"], plain["images"], strict=True):
        for a, b in zip(ours["faces"], theirs["faces"], strict=True):
            assert a["quality"] == pytest.approx(b["quality"], abs=1e-6)
            assert a["box"] == pytest.approx(b["box"], abs=1e-3)


Seen = list[int | None]


@pytest.mark.parametrize("threads", [None, 3])
def test_the_scorer_hands_threads_on(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch, threads: int | None) -> None:
    seen: Seen = []
    opened: Callable[..., object] = lambda name, path, card, threads, precision: seen.append(threads)  # noqa: E731
    monkeypatch.setattr("fiqa_runtime.scoring.scorer.open_backend", opened)
    monkeypatch.setattr("fiqa_runtime.scoring.scorer.thread_limit", lambda: 1)
    Scorer(seeded_engine, "opencv", threads)
    assert seen == [threads or 1]
