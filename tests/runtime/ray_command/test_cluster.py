"""What stops a run of Ray, in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fiqa_runtime.errors import ArtefactError, FiqaError
from fiqa_runtime.ray_command.cluster import reason_within
from fiqa_runtime.ray_command.score_on_ray import _most_actors


class TaskError(Exception):
    """As Ray wraps what a worker raised."""

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        super().__init__(text)
        self.cause = cause


def chained(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


ours = ArtefactError("/a.onnx is another engine here; copy that one here")


@pytest.mark.parametrize(
    "wrapped", [ours, TaskError("text", ours), chained(TaskError("x"), TaskError("y", chained(ValueError("z"), ours)))]
)
def test_an_error_of_ours_is_found_within_those_of_ray(wrapped: BaseException) -> None:
    assert reason_within(wrapped) is ours


def test_another_error_is_its_last_line() -> None:
    told = reason_within(TaskError("ray::Task()\n  File ...\nOSError: no space\n"))
    assert type(told) is FiqaError
    assert str(told).startswith("Ray ended the run (OSError: no space); ")
    assert "(TaskError)" in str(reason_within(TaskError("")))


@pytest.mark.parametrize(
    ("cpus", "gpus", "threads", "per_actor", "actors"),
    [(4, 0, 1, 0, 2), (10, 0, 4, 0, 2), (2, 0, 1, 0, 1), (100, 4, 1, 0.5, 8), (6, 4, 1, 0.5, 4), (100, 0, 1, 1, 1)],
)
def test_as_many_actors_as_there_is_room_for(
    cpus: float, gpus: float, threads: int, per_actor: float, actors: int
) -> None:
    ray: Any = SimpleNamespace(cluster_resources=lambda: {"CPU": cpus, "GPU": gpus})
    assert _most_actors(ray, threads, per_actor) == actors
