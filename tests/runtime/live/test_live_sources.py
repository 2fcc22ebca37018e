"""Sources that do not wait: real cameras on the loopback interface, and scripted ones for what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.live import Counts, Frames
from fiqa_runtime.live import reader as reader_module
from fiqa_runtime.live.reader import Patience, Reader

from tests.help.limits import HANGS
from tests.help.live.video_server import camera, rtsp_camera

PICTURES = [np.full((48, 64, 3), 20 * n, np.uint8) for n in range(10)]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is made anew at once."""
    monkeypatch.setattr(reader_module, "FIRST_WAIT", 0.01)


def test_a_camera_over_http(soon: None) -> None:
    with camera(PICTURES) as one, Frames(one.url, give_up=0) as stream:
        found = list(stream)
        assert stream.source.live and one.connections >= 1
    assert found and stream.counts.read == len(found)
    times = [frame.time for frame in found]
    assert times[0] == 0 and times == sorted(set(times))
    levels = [float(frame.image.mean()) for frame in found]
    assert levels == sorted(levels), "the newest frame, never an older one"
    assert found[-1].index + 1 == len(found) + stream.counts.dropped


def test_a_camera_that_ends_is_connected_to_anew(soon: None) -> None:
    told: list[str] = []
    with camera(PICTURES) as one, Frames(one.url, give_up=HANGS, tell=told.append) as stream:
        for frame in stream:
            if one.connections >= 3 and frame.index > 20:
                break
    assert stream.counts.reconnects >= 2
    assert told[0] == f"{one.url} has ended or is lost; connecting anew in 0.0 s"


def test_a_camera_that_falls_silent_is_told_and_given_up(soon: None) -> None:
    told: list[str] = []
    with camera(PICTURES, hangs=True) as one:
        one.falls_silent = True
        stream = Frames(one.url, stall=0.3, give_up=1.0, tell=told.append)
        with pytest.raises(InputError, match=r"has sent no frame for \d+ s; check the camera and the network"):
            list(stream)
    assert stream.counts.stalls >= 1 and any("has sent nothing for" in line for line in told)


def test_an_address_where_nobody_answers() -> None:
    with pytest.raises(InputError, match=r"nothing is sent from rtsp://127.0.0.1:9/x; check the address"):
        Frames("rtsp://me:secret@127.0.0.1:9/x", stall=2)


def test_a_camera_over_rtsp() -> None:
    with rtsp_camera() as url, Frames(url, give_up=0) as stream:
        found = list(islice(stream, 5))
    assert [frame.size for frame in found] == [(320, 240)] * 5
    assert all((frame.image > 200).any() and frame.image.mean() < 50 for frame in found), "a white ball on black"


class Scripted:
    """A capture whose steps are given: a picture, None for one that cannot be decoded, or a signal to wait for."""

    rate, promised = 0.0, 0

    def __init__(self, steps: Sequence[Image | threading.Event | None]) -> None:
        self.steps = iter(steps)
        self.closed = False
        self._picture: Image | None = None

    def grab(self) -> bool:
        for step in self.steps:
            if isinstance(step, threading.Event):
                step.wait(HANGS)
                continue
            self._picture = step
            return True
        return False

    def retrieve(self) -> Image | None:
        return self._picture

    def time(self) -> float:
        return 0.0

    def close(self) -> None:
        self.closed = True


def read(
    captures: Sequence[Scripted], newest: bool = True, stall: float = HANGS, give_up: float = 0
) -> tuple[Reader, Counts, list[str]]:
    waiting, counts, told = iter(captures), Counts(), list[str]()

    def open_next() -> Scripted:
        for capture in waiting:
            return capture
        raise InputError("nothing is sent")

    return Reader(open_next, "the camera", counts, Patience(stall, give_up, newest), told.append), counts, told


def until(true: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(HANGS * 100):
        if true():
            return
        waiting.wait(0.01)
    raise AssertionError("it never came true")


def test_only_the_newest_frame_waits() -> None:
    gate = threading.Event()
    reader, counts, _ = read([Scripted([*PICTURES, gate])])
    until(lambda: counts.dropped == 9)
    arrival = reader.take()
    assert arrival is not None and arrival.index == 9
    gate.set()
    assert reader.take() is None


def test_raw_frames_wait_and_none_is_dropped() -> None:
    reader, counts, _ = read([Scripted(PICTURES)], newest=False)
    taken = [reader.take() for _ in range(11)]
    assert [arrival.index for arrival in taken if arrival] == list(range(10))
    assert taken[10] is None and counts.dropped == 0


def test_a_picture_that_cannot_be_decoded_is_counted() -> None:
    reader, counts, _ = read([Scripted([None, PICTURES[1], None])], newest=False)
    arrival = reader.take()
    assert arrival is not None and arrival.index == 1 and reader.take() is None
    assert counts.unreadable == 2


def test_a_read_that_hangs_is_left_alone_and_another_takes_over() -> None:
    gate = threading.Event()
    hanging = Scripted([PICTURES[0], gate, PICTURES[1]])
    reader, counts, told = read([hanging, Scripted([PICTURES[2], gate])], stall=0.2, give_up=HANGS)
    first, second = reader.take(), reader.take()
    assert first is not None and second is not None
    np.testing.assert_array_equal(second.image, PICTURES[2])
    assert counts.stalls == 1 and counts.reconnects == 1 and "connecting anew" in told[0]
    reader.stop()
    gate.set()
    until(lambda: hanging.closed)
    assert reader.take() is None


def test_stdin_that_is_silent_is_told_and_waited_for() -> None:
    gate = threading.Event()
    reader, counts, told = read([Scripted([gate, PICTURES[0]])], newest=False, stall=0.05)
    threading.Timer(0.5, gate.set).start()
    assert reader.take() is not None
    assert counts.stalls >= 1 and told[0].endswith("waiting") and counts.reconnects == 0


def test_a_stream_may_be_stopped_while_it_waits() -> None:
    gate = threading.Event()
    reader, _, _ = read([Scripted([gate])])
    threading.Timer(0.1, reader.stop).start()
    assert reader.take() is None
    gate.set()


def test_a_live_stream_ends_after_its_duration_though_nothing_comes() -> None:
    with camera([seeded_image(0, 48, 64)] * 2, hangs=True) as one:
        threading.Timer(1.0, one.go_on.set).start()  # a read that waits for the camera would hold up the end
        assert len(list(Frames(one.url, duration=0.5, give_up=HANGS))) <= 2
