"""One scorer, detector or pipeline for many threads and processes: bit for bit what one thread gets."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fiqa_export.pipeline import export
from fiqa_runtime import ArtefactError, Detector, FaceQuality, FiqaError, InputError, LeftOutError, Scorer
from fiqa_runtime.artefact.card import read_card, with_files, write_card
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.images.seeded import seeded_image
from onnx import TensorProto, helper

THREADS = 4
CROPS = [np.clip(seeded_image(0, 112, 112).astype(int) + 9 * step, 0, 255).astype(np.uint8) for step in range(8)]
PHOTOS = [seeded_image(index, 160, 200) for index in range(4)]


def installed(backend: str) -> str:
    pytest.importorskip(ONNX_BACKENDS[backend], reason=f"pip install 'fiqa-edge[{backend}]'")
    return backend


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(count)))


@pytest.fixture(scope="module")
def yunet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YuNet under seeded weights: what it finds means nothing, and is the same every time."""
    return export("yunet-s", "seeded", tmp_path_factory.mktemp("yunet")).path


@pytest.fixture(params=ONNX_BACKENDS)
def scorer(request: pytest.FixtureRequest, seeded_engine: Path) -> Iterator[Scorer]:
    with Scorer(seeded_engine, installed(request.param), threads=1) as opened:
        yield opened


def test_scores_of_many_threads_are_those_of_one(scorer: Scorer) -> None:
    alone = [scorer.score([crop])[0] for crop in CROPS]
    assert len(set(alone)) == len(CROPS)
    together = at_once(lambda i: scorer.score([CROPS[i % 8]])[0], 200)
    np.testing.assert_array_equal(together, [alone[i % 8] for i in range(200)])


def test_scores_within_an_event_loop(scorer: Scorer) -> None:
    async def all_at_once() -> list[Any]:
        return list(await asyncio.gather(*(asyncio.to_thread(scorer.score, [crop]) for crop in CROPS)))

    np.testing.assert_array_equal(np.ravel(asyncio.run(all_at_once())), [scorer.score([crop])[0] for crop in CROPS])


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_one_pipeline_in_many_threads(backend: str, seeded_engine: Path, yunet: Path) -> None:
    detector = Detector(yunet, 0.3, top_k=6, backend=installed(backend), threads=1)
    with Scorer(seeded_engine, backend, threads=1) as scorer:
        quality = FaceQuality(scorer, detector)
        alone = [found(quality, photo) for photo in PHOTOS]
        assert any(faces.size for faces in alone)
        for index, faces in enumerate(at_once(lambda i: found(quality, PHOTOS[i % 4]), 24)):
            np.testing.assert_array_equal(faces, alone[index % 4])


def found(quality: FaceQuality, photo: np.ndarray) -> np.ndarray:
    try:
        faces = quality.assess(photo)
    except LeftOutError as error:
        faces = error.faces
    return np.array([[*face.box, *face.landmarks.ravel(), face.confidence, face.quality] for face in faces])


def test_a_closed_scorer_says_so(scorer: Scorer) -> None:
    scorer.close()
    scorer.close()
    with pytest.raises(InputError, match=r"is closed; open it again$"):
        scorer.score(CROPS[:1])


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_what_a_runtime_refuses_while_it_runs_is_one_line(backend: str, seeded_engine: Path, tmp_path: Path) -> None:
    """A file whose only node needs another batch than the one that comes."""
    path = tmp_path / seeded_engine.name
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in SHAPES.items()]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [3, 112 * 112])
    node = helper.make_node("Reshape", ["input", "shape"], ["score"])
    graph = helper.make_graph([node], "graph", values[:1], values[1:], [shape])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    write_card(with_files(read_card(seeded_engine), tmp_path, [path.name]), path)
    with pytest.raises(FiqaError) as caught, Scorer(path, installed(backend), threads=1) as scorer:
        scorer.score(CROPS[:2])
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


SHAPES: dict[str, list[str | int]] = {"input": ["batch", 3, 112, 112], "score": [3, 112 * 112]}


def test_a_pickled_scorer_is_the_same_scorer(scorer: Scorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fewer = scorer.with_max_batch(2)
    monkeypatch.chdir(tmp_path)
    for one in (scorer, fewer):
        with pickle.loads(pickle.dumps(one)) as copy:
            assert (copy.backend.name, copy.card) == (one.backend.name, one.card)
            np.testing.assert_array_equal(copy.score(CROPS), one.score(CROPS))
    with pytest.raises(InputError, match="pickle what opens it"):
        pickle.dumps(Scorer(scorer.path, scorer.backend))


def test_pipelines_and_their_errors_can_be_pickled(scorer: Scorer, yunet: Path) -> None:
    detector = Detector(yunet, 0.3, top_k=6, backend=scorer.backend.name)
    quality = FaceQuality(scorer, detector, "lmeds")
    copy = pickle.loads(pickle.dumps(quality))
    assert copy.settings == quality.settings
    assert copy.detector.engine == detector.engine
    for photo in PHOTOS[:2]:
        np.testing.assert_array_equal(found(copy, photo), found(quality, photo))
    error = pickle.loads(pickle.dumps(LeftOutError([], [InputError("one"), InputError("two")])))
    assert (str(error), error.faces) == ("2 of 2 faces cannot be scored: one", [])


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_processes_get_the_scorer_itself(seeded_engine: Path, start: str) -> None:
    with Scorer(seeded_engine, "onnxruntime", threads=1) as scorer:
        context = multiprocessing.get_context(start)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            scores = [pool.submit(scorer.score, [crop]) for crop in CROPS[:4]]
            assert [score.result()[0] for score in scores] == [scorer.score([crop])[0] for crop in CROPS[:4]]


def test_an_artefact_error_keeps_its_kind() -> None:
    assert isinstance(pickle.loads(pickle.dumps(ArtefactError("line"))), ArtefactError)
