"""``fiqa-watch`` as typed, on a real video file."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.live import Frames
from fiqa_runtime.watch_command import pictures as pictures_module
from fiqa_runtime.watch_command.pixels import draw_people

from tests.help.commands import Invoke
from tests.help.live.clips import HEIGHT, WIDTH
from tests.help.live.video_server import camera


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_two_people_to_lines_pictures_video_and_a_document(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    shots, lines, video, document = (tmp_path / name for name in ("shots", "e.jsonl", "out.avi", "d.json"))
    result = watch(clip, "--best-shot", shots, "--jsonl", lines, "--overlay", video, "--json", document)
    assert result.code == 0, result.err
    told = events(lines.read_text("utf-8"))
    kinds = Counter((line["event"], line["track"]) for line in told if line["event"] != "better")
    assert kinds == Counter({(kind, n): 1 for kind in ("started", "best", "ended") for n in (0, 1)})
    for best in (line for line in told if line["event"] == "best"):
        assert Path(best["file"]) == shots / f"clip-{best['track']:05}.jpg"
        assert len(best["box"]) == 4 and len(best["landmarks"]) == 5 and best["quality"] is not None
        picture = read_image(best["file"])
        assert min(picture.shape[:2]) > max(best["box"][2:])
    assert len(list(shots.iterdir())) == 2
    frames = list(Frames(video))
    assert [frame.size for frame in frames] == [(WIDTH, HEIGHT)] * 30
    written = json.loads(document.read_text("utf-8"))
    assert written["frames"]["read"] == 30 and written["work"]["shown"] == 2 and written["lost"] == {}
    assert written["speed"]["frames"] == 30
    assert len(result.out.splitlines()) == 3 and result.out.startswith("track")
    assert "30 frames at" in result.err and f"wrote 2 pictures to {shots}" in result.err


def test_lines_on_stdout_are_all_that_is_there(watch: Invoke, clip: Path) -> None:
    result = watch(clip, "--jsonl", "-", "--per-track", 2, "-q")
    told = events(result.out)
    assert result.code == 0 and result.err == "" and told[0]["event"] == "started" and told[-1]["event"] == "ended"
    assert all(line["file"] is None for line in told)


def test_lines_are_added_to_a_file_that_is_there(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    lines = tmp_path / "e.jsonl"
    lines.write_text('{"event": "older"}\n', "utf-8")
    watch(clip, "--jsonl", lines)
    told = events(lines.read_text("utf-8"))
    assert told[0] == {"event": "older"} and len(told) > 6


def test_several_pictures_of_a_person(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    result = watch(clip, "--best-shot", tmp_path / "s", "--per-track", 2, "--jsonl", "-", "--emit-after", 0.9)
    best = [line for line in events(result.out) if line["event"] == "best"]
    assert [len(line.get("others", ())) for line in best] == [1, 1]
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert names == ["clip-00000-2.jpg", "clip-00000.jpg", "clip-00001-2.jpg", "clip-00001.jpg"]
    assert {Path(line["others"][0]["file"]).name for line in best} == {names[0], names[2]}


def test_a_threshold_that_nobody_reaches(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    result = watch(clip, "--threshold", 1000, "--best-shot", tmp_path / "s", "--jsonl", "-")
    assert result.code == 0 and {line["event"] for line in events(result.out)} == {"started", "ended"}
    assert list((tmp_path / "s").iterdir()) == []


def test_a_live_camera_names_its_pictures_by_the_time(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    images = [frame.image for frame in Frames(clip)]
    with camera(images) as one:
        result = watch(one.url, "--reconnect", 0, "--best-shot", tmp_path / "s")
    assert result.code == 0, result.err
    names = [path.name for path in (tmp_path / "s").iterdir()]
    assert names and all(re.fullmatch(r"\d{8}T\d{6}Z-\d{5}\.jpg", name) for name in names)


def test_a_full_folder_does_not_stop_the_stream(
    watch: Invoke, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise InputError(f"cannot write {path}: No space left on device; choose a folder you may write to")

    monkeypatch.setattr(pictures_module, "write_bytes", full)
    result = watch(clip, "--best-shot", tmp_path / "s", "--jsonl", "-")
    assert result.code == 0
    best = [line for line in events(result.out) if line["event"] == "best"]
    assert len(best) == 2 and all(line["file"] is None for line in best)
    assert result.err.count("lost a picture: cannot write") == 1
    assert "the stream goes on" in result.err and "lost: 2 pictures" in result.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_lines_that_cannot_be_written_do_not_stop_the_stream(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    result = watch(clip, "--jsonl", "/dev/full", "--best-shot", tmp_path / "s")
    assert result.code == 0 and len(list((tmp_path / "s").iterdir())) == 2
    assert "lost a line: No space left on device" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.mp4",), "there is no file missing.mp4"),
        (("CLIP", "--jsonl", "-", "--json", "-"), "cannot both be written to stdout"),
        (("CLIP", "--overlay", "out.txt"), "is not a video by its name"),
        (("CLIP", "--overlay", "CLIP"), "are the same file"),
        (("CLIP", "--threshold", "high"), "--threshold high is not a number"),
        (("CLIP", "--duration", "0"), "--duration is 0; give a number above 0"),
        (("CLIP", "--max-fps", "-3"), "--max-fps is -3"),
        (("CLIP", "--reconnect", "-1"), "--reconnect is -1; give seconds"),
        (("CLIP", "--webhook", "ftp://x"), "is not an address"),
        (("CLIP", "--metrics", "nine"), "is not a port"),
        (("CLIP", "--per-track", "2"), "makes no use of --per-track"),
        (("CLIP", "--best-shot", "CLIP"), "cannot write to"),
        (("-",), "need their size"),
    ],
)
def test_bad_input_is_one_line(watch: Invoke, clip: Path, arguments: tuple[str, ...], words: str) -> None:
    result = watch(*(str(clip) if part == "CLIP" else part for part in arguments))
    assert result.is_one_line(words), result.err


def test_a_person_who_asks_is_told_more(watch: Invoke, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiqa_runtime.watch_command.watch.HEALTH", 0)
    result = watch(clip, "--metrics", 0, "-v")
    assert result.code == 0 and re.search(r"metrics on port \d+, /metrics", result.err)
    assert "faces found by true-faces" in result.err and "1 frames at" in result.err


def test_q_in_the_window_ends_the_stream(
    watch: Invoke, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 3 else -1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    result = watch(clip, "--show", "--jsonl", "-")
    told = [line["event"] for line in events(result.out)]
    assert result.code == 0 and len(shown) < 30 and told.count("best") == told.count("ended") == 2


def test_a_window_without_a_screen(watch: Invoke, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert watch(clip, "--show").is_one_line("--show needs a screen")


def test_a_network_that_gives_no_quality(watch: Invoke, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiqa_runtime.scoring.scorer.Scorer.has_score", False)
    assert watch(clip).is_one_line("gives no quality scores")


def test_a_video_without_a_frame(watch: Invoke, clip: Path, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "none.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.release()
    result = watch(tmp_path / "none.avi")
    assert result.code == 2 and result.err.strip().splitlines()[-1].startswith("error: ")


def test_boxes_are_drawn_in_the_colour_of_what_is_known(clip: Path) -> None:
    from fiqa_runtime.live import Person

    box = np.array([40, 60, 50, 50], np.float64)
    image = np.zeros((200, 200, 3), np.uint8)
    for person, colour in (
        (Person(1, box, False, 0.5, True), (90, 230, 70)),
        (Person(1, box, False, None, False), (60, 200, 255)),
        (Person(1, box, True, 0.5, True), (150, 150, 150)),
    ):
        drawn = draw_people(image, [person])
        np.testing.assert_allclose(drawn[90, 40], colour, atol=30)
        assert not image.any()
