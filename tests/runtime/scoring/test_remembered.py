"""What the user cache says of backends is held against the canaries before it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.backends import ONNX_BACKENDS, open_backend
from fiqa_runtime.backends.base import Arrays, Backend, Inputs
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring import choice, scorer
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.trial import Trial

CROP = seeded_image(0, 112, 112)


class Wrong:
    """A backend whose scores are all one too high."""

    def __init__(self, right: Backend) -> None:
        self.name, self.info, self.right = right.name, right.info, right

    def run(self, inputs: Inputs) -> Arrays:
        return {name: array + 1 for name, array in self.right.run(inputs).items()}

    def close(self) -> None:
        self.right.close()


@pytest.fixture()
def opencv_is_wrong(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """OpenCV is the fastest and gives wrong scores, as its trial finds. Gives the names of the backends tried."""
    tried: list[str] = []

    def open_one(name: str, *arguments: Any) -> Backend:
        right = open_backend(name, *arguments)
        return Wrong(right) if name == "opencv" else right

    def tell(backend: str, *question: object) -> Trial:
        tried.append(backend)
        return Trial(backend, backend != "opencv", "self-test", [2.0, 3.0, 1.0][list(ONNX_BACKENDS).index(backend)])

    monkeypatch.setattr(scorer, "open_backend", open_one)
    monkeypatch.setattr(choice, "try_backend", tell)
    return tried


def poison(folder: Path, name: str) -> None:
    """Let what the cache says of OpenCV be that the backend `name` passed, as the fastest."""
    (file,) = (file for file in folder.glob("fiqa-edge/backends/*") if '"backend": "opencv"' in file.read_text())
    document = json.loads(file.read_text(encoding="utf-8"))
    document["answer"] |= {"backend": name, "passed": True}
    file.write_text(json.dumps(document))


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_wrong_memory_is_found_out_and_replaced(seeded_engine: Path, opencv_is_wrong: list[str], cache: Path) -> None:
    first = Scorer(seeded_engine)
    right = first.score([CROP])
    assert sorted(opencv_is_wrong) == sorted(ONNX_BACKENDS)
    poison(cache, "opencv")
    opencv_is_wrong.clear()
    again = Scorer(seeded_engine)
    assert again.backend.name == first.backend.name == "onnxruntime"
    np.testing.assert_array_equal(again.score([CROP]), right)
    assert opencv_is_wrong == ["opencv"]
    opencv_is_wrong.clear()
    assert Scorer(seeded_engine).backend.name == "onnxruntime"
    assert not opencv_is_wrong, "the memory is right again"


def test_a_memory_of_another_backend_is_not_an_answer(
    seeded_engine: Path, opencv_is_wrong: list[str], cache: Path
) -> None:
    Scorer(seeded_engine)
    poison(cache, "elsewhere")
    opencv_is_wrong.clear()
    assert Scorer(seeded_engine).backend.name == "onnxruntime"
    assert opencv_is_wrong == ["opencv"]


def test_a_backend_that_came_later_is_tried_alone(
    seeded_engine: Path, opencv_is_wrong: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "available", lambda: ["openvino", "opencv"])
    assert Scorer(seeded_engine).backend.name == "openvino"
    monkeypatch.setattr(choice, "available", lambda: [*ONNX_BACKENDS])
    opencv_is_wrong.clear()
    assert Scorer(seeded_engine).backend.name == "onnxruntime"
    assert opencv_is_wrong == ["onnxruntime"]
