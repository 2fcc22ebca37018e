"""Ways to score photos are measured where that pays, on photos from all over the list, and once on a machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.choice import Choice
from fiqa_runtime.scoring.trial import Trial
from fiqa_runtime.tuning import measuring
from fiqa_runtime.tuning.measuring import Score, candidates, decide_setup
from fiqa_runtime.tuning.setup import Decision, Setup, Timing

ORT = Setup("onnxruntime", "onnxruntime")
FILES = [Path(f"{index}.jpg") for index in range(1000)]
TRIALS = (
    Trial("onnxruntime", True, "", 2.0),
    Trial("openvino", True, "", 3.9),
    Trial("opencv", True, "", 4.1),
    Trial("other", False, "", 0.1),
)


class Workshop:
    """Opens setups that take as long as `seconds` says, with a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: dict[Setup, float] = {}
        self.opened: list[Setup] = []
        self.scored: set[Path] = set()
        self.broken: set[Setup] = set()
        self.now = 0.0
        monkeypatch.setattr("fiqa_runtime.tuning.measuring.time.perf_counter", lambda: self.now)
        monkeypatch.setattr(measuring, "time_interleaved", self.time)

    def open(self, setup: Setup, stack: ExitStack) -> Score:
        if setup in self.broken:
            raise InputError("cannot be opened")
        self.opened.append(setup)

        def score(paths: Sequence[Path]) -> None:
            self.scored |= set(paths)
            self.now += len(paths) * self.seconds.get(setup, 1.0)

        return score

    def time(self, runs: Mapping[Setup, Callable[[], object]], photos: int) -> list[Timing]:
        found = []
        for setup, run in runs.items():
            before = self.now
            run()
            found.append(Timing(setup, 1e3 * (self.now - before) / photos))
        return found

    def decide(self, files: Sequence[Path], streams: int | None = None, always: bool = False) -> Decision:
        among = candidates(ORT, None, 2, streams, False)
        return decide_setup(files, among, {"artefact": "a"}, self.open, always)


@pytest.fixture()
def workshop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workshop:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Workshop(monkeypatch)


def test_a_long_run_is_measured_once(workshop: Workshop) -> None:
    workshop.seconds = {ORT: 1.0, Setup("onnxruntime", "onnxruntime", 2): 0.6}
    found = workshop.decide(FILES)
    assert found.setup == Setup("onnxruntime", "onnxruntime", 2)
    assert len(found.timings) == 3
    assert {FILES[0], FILES[-1]} < workshop.scored, "the sample lies all over the list"
    workshop.opened.clear()
    again = workshop.decide(FILES[:1])
    assert again.setup == found.setup and again.note.startswith("remembered in")
    assert not workshop.opened


def test_a_short_run_is_not_measured(workshop: Workshop) -> None:
    found = workshop.decide(FILES[:100])
    assert (found.setup, found.timings) == (ORT, ())
    assert "so few photos" in found.why
    assert not workshop.opened, "a single photo does not wait for that"
    assert workshop.decide(FILES[:100], streams=2).setup == Setup("onnxruntime", "onnxruntime", 2), "as asked"
    assert workshop.decide(FILES[:100], always=True).timings, "someone wants to know"


def test_photos_that_cannot_be_timed_are_not_measured(workshop: Workshop) -> None:
    workshop.seconds = {ORT: 0.0}
    assert workshop.decide(FILES).setup == ORT


def test_what_loses_is_left_out_and_said(workshop: Workshop) -> None:
    workshop.seconds = {ORT: 1.0, Setup("onnxruntime", "onnxruntime", 2): 1.3}
    found = workshop.decide(FILES, streams=2)
    assert found.setup == ORT
    assert "--streams 2 is left out: 1300.00 ms a photo with it, 1000.00 without" in found.why
    assert found.left_out


def test_one_stream_is_one_photo_after_the_other(workshop: Workshop) -> None:
    assert workshop.decide(FILES, streams=1) == Decision(ORT, "as asked")
    assert not workshop.opened


def test_a_way_that_cannot_be_opened_is_none(workshop: Workshop) -> None:
    workshop.broken = {Setup("onnxruntime", "onnxruntime", 2)}
    assert [timing.setup.streams for timing in workshop.decide(FILES).timings] == [1, 1]
    workshop.broken = {ORT}
    with pytest.raises(InputError, match="cannot be opened"):
        decide_setup(FILES, candidates(ORT, None, 2, None, False), {"artefact": "b"}, workshop.open)


def test_a_damaged_memory_is_measured_again(workshop: Workshop, tmp_path: Path) -> None:
    workshop.decide(FILES)
    (file,) = (tmp_path / "fiqa-edge/photos").iterdir()
    for text in ("", "{}", file.read_text().replace('"milliseconds"', '"seconds"')):
        file.write_text(text)
        workshop.opened.clear()
        assert workshop.decide(FILES).setup == ORT
        assert workshop.opened


def test_a_memory_without_the_way_that_is_asked_for_is_measured_again(workshop: Workshop, tmp_path: Path) -> None:
    two = Setup("onnxruntime", "onnxruntime", 2)
    assert workshop.decide(FILES, streams=2).setup == two
    (file,) = (tmp_path / "fiqa-edge/photos").iterdir()
    document = json.loads(file.read_text())
    document["answer"] = [timing for timing in document["answer"] if timing["setup"]["streams"] == 1]
    file.write_text(json.dumps(document))
    workshop.opened.clear()
    assert workshop.decide(FILES, streams=2).setup == two
    assert workshop.opened


def test_a_way_that_is_asked_for_and_cannot_be_opened_is_an_error(workshop: Workshop) -> None:
    workshop.broken = {Setup("onnxruntime", "onnxruntime", 2)}
    with pytest.raises(InputError, match="cannot be opened"):
        workshop.decide(FILES, streams=2)


def test_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "available", lambda device="cpu": ["onnxruntime", "openvino", "opencv"])
    auto = candidates(ORT, Choice("onnxruntime", "fastest", TRIALS), 2, None, False)
    assert auto.pairs[0] == ORT, "what runs where nothing is measured"
    assert {(pair.detector, pair.scorer) for pair in auto.pairs} == {
        (found, scored) for found in ("onnxruntime", "opencv") for scored in ("onnxruntime", "openvino")
    }
    assert auto.ways == ((1, True), (2, False))
    assert candidates(ORT, None, 1, None, False).ways == ((1, True),)
    assert candidates(ORT, Choice("onnxruntime", "named"), 4, None, False).pairs == (ORT,)
    assert candidates(ORT, None, 4, 3, False).ways == ((3, False),)
    assert candidates(ORT, None, 4, None, True).ways == ((1, True),)
