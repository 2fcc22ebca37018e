"""What the user cache says of backends is held against the canaries before it is believed."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


def poison(file: str, names: Sequence[str]) -> None:
    """Let the cache say that OpenCV passed, and alone."""
    document = json.loads(Path(file).read_text(encoding="utf-8"))
    trials = {trial["backend"]: trial for trial in document["trials"]}
    document["trials"] = [{**trials.get(name, trials["opencv"]), "backend": name, "passed": True} for name in names]
    Path(file).write_text(json.dumps(document))


def cached_file(opened: Scorer) -> str:
    assert opened.choice
    return opened.choice.note.removeprefix("measured now, remembered in ")


def test_a_wrong_memory_is_found_out_and_replaced(seeded_engine: Path, opencv_is_wrong: list[str]) -> None:
    first = Scorer(seeded_engine)
    right = first.score([CROP])
    poison(cached_file(first), ["opencv", "onnxruntime", "openvino"])
    opencv_is_wrong.clear()
    again = Scorer(seeded_engine)
    assert again.backend.name == first.backend.name == "onnxruntime"
    np.testing.assert_array_equal(again.score([CROP]), right)
    assert sorted(opencv_is_wrong) == sorted(ONNX_BACKENDS)
    opencv_is_wrong.clear()
    assert Scorer(seeded_engine).backend.name == "onnxruntime"
    assert not opencv_is_wrong, "the memory is right again"


@pytest.mark.parametrize("names", [["opencv"], ["opencv", "onnxruntime", "elsewhere"], []])
def test_a_memory_of_other_backends_is_not_an_answer(
    seeded_engine: Path, opencv_is_wrong: list[str], names: list[str]
) -> None:
    poison(cached_file(Scorer(seeded_engine)), names)
    opencv_is_wrong.clear()
    assert Scorer(seeded_engine).backend.name == "onnxruntime"
    assert sorted(opencv_is_wrong) == sorted(ONNX_BACKENDS)
