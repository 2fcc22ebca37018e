"""Scoring in several processes: each opens the engine for itself and takes the next few files when it is free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from fiqa_runtime.command.batch import Assessor, score_crops, score_photos
from fiqa_runtime.command.results import ImageResult, Stream
from fiqa_runtime.command.settings import EngineSettings, FaceSettings, Workers, assessor_for
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.runs.processes import map_in_processes
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.host import limit_opencv

AT_ONCE = 16
"""Files that a process takes at a time: enough that handing them over costs nothing."""


class _Here:
    """What one worker process has open."""

    pictures: Pictures
    scorer: Scorer
    assessor: Assessor | None = None


def score_in_processes(
    files: Sequence[Path], workers: Workers, engine: EngineSettings, faces: FaceSettings | None, pictures: Pictures
) -> Stream:
    """Results of `files`, read by `pictures`, without their pixels; `faces` is None for ready crops.

    `engine` names the backend and the threads of each of the `workers`. Raises InputError where a process dies.
    """
    chunks = [files[start : start + AT_ONCE] for start in range(0, len(files), AT_ONCE)]
    for results in map_in_processes(_score, chunks, workers.number, _open, (engine, faces, pictures), workers.ordered):
        yield from ((result, None) for result in results)


def _open(engine: EngineSettings, faces: FaceSettings | None, pictures: Pictures) -> None:
    _Here.pictures = pictures
    limit_opencv(engine.threads)
    _Here.scorer = engine.open()
    if faces is not None:
        detector = faces.open_detector(engine, _Here.scorer)
        stack = ExitStack()  # of the process, which closes what it holds when it ends
        _Here.assessor = assessor_for(_Here.scorer, detector, faces.align, engine, stack)


def _score(files: Sequence[Path]) -> list[ImageResult]:
    return [result for result, _ in _stream(files)]


def _stream(files: Sequence[Path]) -> Iterator[tuple[ImageResult, object]]:
    if _Here.assessor is None:
        return iter(score_crops(files, _Here.scorer, pictures=_Here.pictures))
    return iter(score_photos(files, _Here.assessor, pictures=_Here.pictures))
