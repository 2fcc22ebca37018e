"""The profile of both flows from photo to scored faces."""

from __future__ import annotations

from pathlib import Path

import pytest
from fiqa_benchmarks.readme_tables.photos import (
    ALIGNMENT,
    DECODING,
    DETECTION,
    NETWORK,
    SCORING,
    TENSORS,
    TOGETHER,
    app,
    profile,
)
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.terminal.console import run

from tests.help.commands import invoker

STEPS = (TENSORS, NETWORK, DECODING, ALIGNMENT, SCORING)


@pytest.mark.long
def test_steps_add_up(seeded_engine: Path, weights_dir: Path, images_dir: Path) -> None:
    photos = [read_image(images_dir / "yakhyo/image1.jpg"), read_image(images_dir / "skimage/astronaut.png")]
    found = profile(seeded_engine, weights_dir / "face_detection_yunet_2023mar.onnx", photos, rounds=3)
    assert found.faces == 2
    assert set(found.ours) == {*STEPS, TOGETHER}
    assert set(found.demo) == {DETECTION, ALIGNMENT, SCORING, TOGETHER}
    for flow in (found.ours, found.demo):
        assert sum(flow.values()) - flow[TOGETHER] == pytest.approx(flow[TOGETHER], rel=0.4)
    assert found.rate() == pytest.approx(2 * 2 * 221_687_296 / (found.ours[SCORING] / 1e3))
    rows = [line.split(" | ")[0] for line in found.table().splitlines()]
    assert rows[2:] == [f"| {name}" for name in (*STEPS[:3], DETECTION, *STEPS[3:], TOGETHER)]
    assert found.table().splitlines()[2].endswith(" |  |")


@pytest.mark.long
def test_command(
    seeded_engine: Path,
    weights_dir: Path,
    images_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(weights_dir))
    command = invoker(lambda: run(app), capsys, monkeypatch)
    result = command("--engine", seeded_engine, "--images", images_dir / "yakhyo/image1.jpg", "--rounds", "1")
    assert result.code == 0, result.err
    assert "1 photos, 1 faces of 0.443 Gop each: scoring reaches" in result.out
    assert command("--engine", seeded_engine, "--images", tmp_path / "none").code == 2
    assert command("--engine", "no.onnx", "--images", images_dir).is_one_line("no artefact at", "fiqa-export")


def test_no_photos(seeded_engine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos to time"):
        profile(seeded_engine, tmp_path, [])
