"""`fiqa-score` scores photos in the way that is fastest here, says which, and never in a way that loses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring import choice
from fiqa_runtime.scoring.trial import Trial
from fiqa_runtime.tuning import measuring
from fiqa_runtime.tuning.setup import Setup, Timing

from tests.help.commands import Invoke

LANDMARKS = np.array([[40, 40], [80, 42], [60, 60], [45, 80], [76, 81]], np.float32)
FACE = Detection(np.array([30, 20, 60, 70], np.float32), LANDMARKS, 0.9)


class OneFace:
    """A detector that finds one face in every photo."""

    def __init__(self, *arguments: object, backend: str = "auto", **settings: object) -> None:
        self.engine = "onnxruntime" if backend == "auto" else backend

    def detect(self, image: np.ndarray) -> list[Detection]:
        return [FACE]


@pytest.fixture()
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for index, path in enumerate(paths):
        cv2.imwrite(str(path), seeded_image(index, 150, 150))
    return paths


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[Setup, float]:
    """Milliseconds of each way here; those that are not named take 10. Two cores, three backends that are right."""
    milliseconds: dict[Setup, float] = {}

    def time(runs: Mapping[Setup, Callable[[], object]], photos: int) -> list[Timing]:
        for run in runs.values():
            run()
        return [Timing(setup, milliseconds.get(setup, 10.0)) for setup in runs]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "time_interleaved", time)
    monkeypatch.setattr("fiqa_runtime.command.photo_setup.usable_cores", lambda groups: 2.0)
    monkeypatch.setattr("fiqa_runtime.command.settings.Detector", OneFace)
    monkeypatch.setattr(choice, "try_backend", lambda name, *rest: Trial(name, True, "right", 2.0, "float32"))
    return milliseconds


def explained(score: Invoke, engine: Path, photos: list[Path], *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(score(*photos, "--engine", engine, *more, "--explain", "--json", "-").out)
    return found


def test_the_pair_and_the_way_are_chosen_together(
    score: Invoke, seeded_engine: Path, photos: list[Path], machine: dict[Setup, float], tmp_path: Path
) -> None:
    machine[Setup("opencv", "openvino")] = 8.0
    machine[Setup("opencv", "openvino", 2)] = 6.0
    found = explained(score, seeded_engine, photos)
    assert found["photos"]["setup"] == {"detector": "opencv", "scorer": "openvino", "streams": 2, "overlap": False}
    assert len(found["photos"]["timings"]) == 8
    lines = score(*photos, "--engine", seeded_engine, "--explain").out
    assert "photos: faces by opencv, scores by openvino, 2 photos at once: the fastest of 8 ways" in lines

    measured = score(*photos, "--engine", seeded_engine, "-v", "--csv", tmp_path / "measured.csv")
    assert "remembered in" in measured.err and "faces found by OneFace in opencv" in measured.err
    plain = ("--backend", "openvino", "--streams", "1", "--csv", tmp_path / "plain.csv")
    assert score(*photos, "--engine", seeded_engine, *plain).code == 0
    ours, others = (list(csv.DictReader((tmp_path / name).open())) for name in ("measured.csv", "plain.csv"))
    assert [row["path"] for row in ours] == [str(photo) for photo in photos] == [row["path"] for row in others]
    scores, other_scores = ([float(row["quality"]) for row in rows] for rows in (ours, others))
    np.testing.assert_allclose(scores, other_scores, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "slower"),
    [
        ("--overlap", Setup("onnxruntime", "onnxruntime", 1, True)),
        ("--streams 2", Setup("onnxruntime", "onnxruntime", 2)),
    ],
)
def test_an_option_that_loses_is_left_out_with_a_line(
    score: Invoke, seeded_engine: Path, photos: list[Path], machine: dict[Setup, float], option: str, slower: Setup
) -> None:
    machine[slower] = 12.0
    arguments = (*photos, "--engine", seeded_engine, "--backend", "onnxruntime", *option.split())
    assert f"{option} is left out: 12.00 ms a photo with it, 10.00 without" in score(*arguments, "--explain").out
    scored = score(*arguments)
    assert scored.code == 0
    assert f"{option} is left out: 12.00 ms a photo with it, 10.00 without" in scored.err


def test_a_named_backend_is_kept(score: Invoke, seeded_engine: Path, photos: list[Path]) -> None:
    found = explained(score, seeded_engine, photos, "--backend", "opencv")
    setups = [timing["setup"] for timing in found["photos"]["timings"]]
    assert {(setup["detector"], setup["scorer"]) for setup in setups} == {("opencv", "opencv")}


def test_few_photos_are_scored_at_once(score: Invoke, seeded_engine: Path, photos: list[Path]) -> None:
    told = score(*photos, "--engine", seeded_engine, "-v").err
    assert "one photo at a time: measuring others would take long beside so few photos" in told


def test_few_photos_wait_for_one_library_alone(
    score: Invoke, seeded_engine: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = {"onnxruntime": 200.0, "openvino": 400.0, "opencv": 50.0}
    speed = {"onnxruntime": 2.0, "openvino": 1.0, "opencv": 3.0}
    monkeypatch.setattr(
        choice, "try_backend", lambda name, *rest: Trial(name, True, "right", speed[name], opening=opening[name])
    )
    told = score(*photos, "--engine", seeded_engine, "-v").err
    assert "photos: faces by opencv, scores by opencv, one photo at a time: opening anything else would take" in told
    asked = score(*photos, "--engine", seeded_engine, "-v", "--streams", "2").err
    assert "2 photos at once: as asked" in asked
    explained_lines = score(*photos, "--engine", seeded_engine, "--explain").out
    assert explained_lines.startswith("backend openvino on cpu: the fastest of 3"), "that is asked for longer runs"


def test_another_backend_is_held_against_the_canaries_before_it_is_used(
    score: Invoke,
    seeded_engine: Path,
    photos: list[Path],
    machine: dict[Setup, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine[Setup("onnxruntime", "openvino")] = 5.0
    explained(score, seeded_engine, photos)

    class Failed:
        passed = False

    monkeypatch.setattr("fiqa_runtime.command.score_command.self_test", lambda scorer: Failed())
    result = score(*photos, "--engine", seeded_engine)
    assert result.code == VerdictError.exit_code
    assert "in openvino; choose another --backend" in result.err


@pytest.mark.parametrize(("cores", "most_bytes", "tried"), [(2, 1 << 30, 2), (64, 1 << 30, 8), (64, 1 << 20, None)])
def test_copies_of_the_network_fit_into_memory(
    score: Invoke,
    seeded_engine: Path,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    most_bytes: int,
    tried: int | None,
) -> None:
    monkeypatch.setattr("fiqa_runtime.command.photo_setup.usable_cores", lambda groups: float(cores))
    monkeypatch.setattr("fiqa_runtime.command.photo_setup.MOST_BYTES", most_bytes)
    setups = [timing["setup"] for timing in explained(score, seeded_engine, photos)["photos"]["timings"]]
    assert {setup["streams"] for setup in setups} == {1, tried or 1}
    pairs = {(setup["detector"], setup["scorer"]) for setup in setups}
    assert len(pairs) == (6 if tried else 1), "each pair has its own copy"
