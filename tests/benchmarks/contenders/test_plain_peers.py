"""Peers that show what our export is worth: the bare torch.onnx export, and the flow of OpenCV Zoo's demo."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import cv2
import fiqa_benchmarks.cli
import fiqa_benchmarks.photos.bench
import numpy as np
import onnx
import pytest
from fiqa_benchmarks.contenders.peers import PEERS, Contender, contenders, open_contender, prepare
from fiqa_benchmarks.contenders.plain_export import PlainSession
from fiqa_benchmarks.photos.bench import bench_pipeline
from fiqa_benchmarks.photos.demo_flow import DemoFlow
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.choice import Choice
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke

PHOTOS = ("dlib/2008_002506.jpg", "skimage/astronaut.png")


@pytest.fixture(scope="module")
def plain(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain export of the seeded network, as a peer prepares it."""
    folder = tmp_path_factory.mktemp("plain")
    return Path(prepare(Contender("p", str(seeded_engine), "onnxruntime-plain"), folder).artefact)


@pytest.fixture(scope="module")
def yunet(weights_dir: Path) -> Path:
    return weights_dir / "face_detection_yunet_2023mar.onnx"


def test_it_is_the_exporters_graph_and_not_ours(plain: Path, seeded_engine: Path) -> None:
    exported, ours = (onnx.load(path).graph.node for path in (plain, seeded_engine))
    assert all(node.metadata_props for node in exported)  # the exporter's notes, which our export takes out
    assert not any(node.metadata_props for node in ours)
    written = plain.stat().st_mtime_ns
    prepare(Contender("p", str(seeded_engine), "opencv-plain"), plain.parent)
    assert plain.stat().st_mtime_ns == written


@pytest.mark.parametrize("backend", ["onnxruntime", "opencv", "openvino"])
def test_it_gives_the_same_scores(plain: Path, seeded_engine: Path, backend: str) -> None:
    crops = [seeded_image(index, 112, 112) for index in range(3)]
    with open_contender(Contender("p", str(plain), f"{backend}-plain"), 1) as peer:
        assert isinstance(peer.backend, PlainSession) == (backend == "onnxruntime")
        np.testing.assert_allclose(peer.score(crops), Scorer(seeded_engine, "opencv").score(crops), atol=1e-6, rtol=0)


def test_plain_peers_are_known_and_need_torch(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"onnxruntime-plain", "opencv-plain", "openvino-plain"} < set(PEERS)
    (first, peer) = contenders([str(seeded_engine)], "opencv", ["onnxruntime-plain"], "fast")
    assert (first.cpu_precision, peer.cpu_precision) == ("fast", "exact")
    monkeypatch.setattr(
        "fiqa_benchmarks.contenders.peers.find_spec", lambda name: None if name == "torch" else object()
    )
    with pytest.raises(Exception, match=r"peer opencv-plain is not installed; pip install 'fiqa-edge\[export\]'"):
        contenders([str(seeded_engine)], "opencv", ["opencv-plain"])


def test_auto_becomes_the_backend_that_it_is_here(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def decided(*question: object) -> Choice:
        asked.append(question[3:])
        return Choice("opencv", "test")

    monkeypatch.setattr("fiqa_benchmarks.contenders.peers.decide", decided)
    ready = prepare(Contender("x", str(seeded_engine), "auto", cpu_precision="fast", device="cuda"), Path(), 3)
    assert ready.backend == "opencv"
    assert asked == [(3, "fast", "cuda")]


def test_the_demos_flow_finds_and_scores_the_same_faces(
    plain: Path, seeded_engine: Path, yunet: Path, images_dir: Path
) -> None:
    with Scorer(seeded_engine, "onnxruntime") as scorer:
        ours = FaceQuality(scorer, Detector(yunet), "lmeds")
        demo = DemoFlow(yunet, plain, scorer.card.input)
        for name in PHOTOS:
            photo = read_image(images_dir / name)
            faces = ours.assess(photo)
            rows, scores = demo.assess(photo)
            assert len(faces) == len(rows) > 0
            np.testing.assert_allclose([face.quality for face in faces], scores, rtol=0, atol=1e-3)
            np.testing.assert_allclose([face.box for face in faces], rows[:, :4], rtol=0, atol=1e-3)
        assert len(demo.assess(np.zeros((64, 64, 3), np.uint8))[0]) == 0


def test_pipeline_command(
    bench: Invoke,
    seeded_engine: Path,
    plain: Path,
    yunet: Path,
    images_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fiqa_benchmarks.contenders.peers.export_plain", lambda card, weights, folder: plain)
    (tmp_path / "photos").mkdir()
    for name in PHOTOS:
        cv2.imwrite(str(tmp_path / "photos" / Path(name).with_suffix(".png").name), read_image(images_dir / name))
    options = ("--images", tmp_path / "photos", "--detector", yunet, "--rounds", "1", "--threads", "1")
    result = bench("--engine", seeded_engine, "--pipeline", *options, "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)["pipeline"]
    assert (found["photos"], found["faces"], found["demo_faces"]) == (2, 4, 4)
    assert found["box_difference"] < 1e-3
    assert found["score_difference"] < 1e-3
    assert found["ratio"]["median"] > 0
    assert set(found["timings"]) == {"fiqa-edge", "opencv-demo"}
    assert "2 photos, 4 faces" in result.err


def test_opencv_keeps_to_the_threads_that_a_container_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", given.append)
    for limit in (3, None):
        monkeypatch.setattr(fiqa_benchmarks.photos.bench, "thread_limit", lambda limit=limit: limit)
        fiqa_benchmarks.photos.bench._assess([SimpleNamespace(assess=len)], [], None)
    assert given == [3, -1]


@pytest.mark.parametrize(("typed", "detection"), [("auto", "auto"), ("opencv", "opencv")])
def test_faces_are_found_as_fiqa_score_finds_them(
    seeded_engine: Path, monkeypatch: pytest.MonkeyPatch, typed: str, detection: str
) -> None:
    """`auto` for the network says nothing about detection, whatever it turns out to be."""
    detector = Mock(side_effect=InputError("seen"))
    fakes = {
        "Detector": detector,
        "open_contender": lambda contender, threads: Scorer(seeded_engine, "opencv"),
        "prepare": lambda contender, folder, threads: replace(contender, backend="x"),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(fiqa_benchmarks.photos.bench, name, fake)
    with pytest.raises(InputError, match="seen"):
        bench_pipeline(Contender("x", str(seeded_engine), typed), [np.zeros((64, 64, 3), np.uint8)], Path("yunet"))
    assert detector.call_args.kwargs["backend"] == detection


def test_pipeline_refusals(
    bench: Invoke, seeded_engine: Path, yunet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench("--engine", seeded_engine, "--pipeline").is_one_line("no photos to time", "--images")
    pipeline = ("--engine", seeded_engine, "--pipeline", "--images", yunet.parent)
    for option in (("--html", "r.html"), ("--against", "opencv"), ("--batch", "8"), ("--roofline",)):
        assert bench(*pipeline, *option).is_one_line(f"--pipeline makes no use of {option[0]}"), option
    (tmp_path / "other.onnx").touch()
    assert bench(*pipeline, "--engine", tmp_path / "other.onnx").is_one_line("--pipeline times one engine")
    assert bench("--engine", seeded_engine, "--detector", yunet).is_one_line("--detector is a part of --pipeline")
    scorer = Scorer(seeded_engine, "opencv")
    framing: Callable[..., Scorer] = lambda contender, threads: scorer  # noqa: E731
    object.__setattr__(scorer.card.input, "framing", "ffhq")
    monkeypatch.setattr("fiqa_benchmarks.photos.bench.open_contender", framing)
    monkeypatch.setattr("fiqa_benchmarks.photos.bench.prepare", lambda contender, folder, threads: contender)
    with pytest.raises(InputError, match="not ediffiqa-t"):
        bench_pipeline(Contender("x", str(seeded_engine), "opencv"), [np.zeros((64, 64, 3), np.uint8)], yunet)
