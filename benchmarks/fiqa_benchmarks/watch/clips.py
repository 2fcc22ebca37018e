"""Clips made by code: heads that move, come near, blur, cross, leave and return, with what is true of every frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import rng

from fiqa_benchmarks.watch.heads import Head

RATE = 30
"""Frames in a second."""
FINE = 2
"""Heads are drawn on a grid so many times as fine as the frame's."""


@dataclass(frozen=True)
class Look:
    """How a head is shown in a frame."""

    x: float
    """Middle of the head, in widths of the frame."""
    y: float
    """In heights of the frame."""
    size: float
    """Side of the head, in heights of the frame."""
    blur: float = 0.0
    """Standard deviation of a Gaussian, in hundredths of the head."""
    light: float = 1.0
    """What the grey levels are multiplied by."""
    tilt: float = 0.0
    """Degrees."""


Path_ = Callable[[float], Look | None]
"""From the time, 0 to 1 over the clip, to the look; None while the head is away."""


@dataclass(frozen=True)
class Actor:
    """One person of a clip."""

    head: int
    """Which of the heads."""
    path: Path_


@dataclass(frozen=True)
class Clip:
    """What happens in a clip."""

    name: str
    seconds: float
    actors: tuple[Actor, ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.seconds * RATE)


@dataclass(frozen=True, eq=False)
class Truth:
    """Where a person is in a frame."""

    actor: int
    visit: int
    """From 0; another one begins when they return."""
    face: Detection
    """Box and landmarks in pixels of the frame."""


def make_clips(heads: int, seed: int = 0) -> list[Clip]:
    """Every kind of clip with each of `heads` heads in turn, moved in ways that `seed` varies."""
    clips = []
    for head in range(heads):
        random = rng(f"watch:{seed}:{head}")
        other = (head + 1) % heads
        size, high = _between(random, 0.45, 0.6), _between(random, 0.45, 0.55)
        clips += [
            Clip(f"moving-{head}", 3, (Actor(head, _crossing(0.2, 0.8, high, size)),)),
            Clip(f"zooming-{head}", 3, (Actor(head, _zooming(0.25, _between(random, 0.75, 0.9))),)),
            Clip(
                f"blurring-{head}",
                3,
                (Actor(head, _blurring(size, _between(random, 3, 5), _between(random, 0.3, 0.7))),),
            ),
            Clip(f"darkening-{head}", 3, (Actor(head, _darkening(size)),)),
            Clip(f"returning-{head}", 5, (Actor(head, _returning(size)),)),
            Clip(
                f"crossing-{head}",
                4,
                (
                    Actor(head, _crossing(0.15, 0.85, 0.36, 0.5)),
                    Actor(other, _crossing(0.85, 0.15, 0.64, _between(random, 0.5, 0.6))),
                ),
            ),
            Clip(
                f"two-{head}",
                3,
                (Actor(head, _nodding(0.27, size)), Actor(other, _blurring(size, 4, 0.5, 0.73))),
            ),
        ]
    return clips


def crowd(heads: int, count: int = 6, seconds: float = 10) -> Clip:
    """`count` people side by side who come nearer and go back, each in their own time."""
    actors = tuple(Actor(n % heads, _swaying((n + 0.5) / count, n / count)) for n in range(count))
    return Clip(f"crowd-{count}", seconds, actors)


def render(clip: Clip, heads: Sequence[Head], width: int, height: int) -> Iterator[tuple[Image, list[Truth]]]:
    """The frames of `clip`, uint8 BGR (height, width, 3), each with who is where; later actors stand in front."""
    background = _background(width, height)
    visits = [-1] * len(clip.actors)
    there = [False] * len(clip.actors)
    for index in range(clip.frames):
        frame, truths = background.copy(), []
        for number, actor in enumerate(clip.actors):
            look = actor.path(index / max(clip.frames - 1, 1))
            visits[number] += look is not None and not there[number]
            there[number] = look is not None
            if look is not None:
                face = _draw(frame, heads[actor.head], look)
                truths.append(Truth(number, visits[number], face))
        noise = rng(f"noise:{index % 7}").integers(-2, 3, frame.shape[:2], dtype=np.int16)
        yield np.clip(frame + noise[:, :, None], 0, 255).astype(np.uint8), truths


def write_clip(
    clip: Clip, heads: Sequence[Head], path: Path, width: int, height: int, codec: str = "MJPG"
) -> list[list[Truth]]:
    """Write `clip` as a video; returns what is true of each frame. Raises InputError where OpenCV cannot write it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), RATE, (width, height))
    if not writer.isOpened():
        raise InputError(f"this OpenCV cannot write {path.name} with {codec}; install a wheel with FFmpeg")
    truths = []
    for frame, truth in render(clip, heads, width, height):
        writer.write(frame)
        truths.append(truth)
    writer.release()
    return truths


def _between(random: np.random.Generator, low: float, high: float) -> float:
    return float(random.uniform(low, high))


def _crossing(begin: float, end: float, y: float, size: float) -> Path_:
    return lambda t: Look(
        begin + (end - begin) * t, y, size, blur=0.8 + 0.8 * math.cos(9 * t), tilt=6 * math.sin(7 * t)
    )


def _zooming(small: float, large: float) -> Path_:
    return lambda t: Look(0.5, 0.5, small + (large - small) * math.sin(math.pi * t) ** 2, tilt=4 * math.sin(9 * t))


def _blurring(size: float, most: float, sharpest: float, x: float = 0.5) -> Path_:
    return lambda t: Look(x + 0.02 * math.sin(8 * t), 0.5, size, blur=most * min(2 * abs(t - sharpest), 1))


def _darkening(size: float) -> Path_:
    return lambda t: Look(0.45 + 0.1 * t, 0.5, size, light=1 - 0.8 * t, tilt=5 * math.sin(6 * t))


def _returning(size: float) -> Path_:
    def path(t: float) -> Look | None:
        if 0.3 < t < 0.7:
            return None
        inside = t / 0.3 if t <= 0.3 else (1 - t) / 0.3
        return Look(0.25 + 0.3 * inside, 0.5, size, blur=2 * (1 - inside))

    return path


def _nodding(x: float, size: float) -> Path_:
    return lambda t: Look(
        x, 0.5 + 0.06 * math.sin(10 * t), size, blur=1 + math.sin(10 * t + 1), tilt=8 * math.sin(5 * t)
    )


def _swaying(x: float, phase: float) -> Path_:
    def path(t: float) -> Look:
        turn = 2 * math.pi * (3 * t + phase)
        return Look(x, 0.5 + 0.03 * math.sin(turn), 0.24 + 0.05 * math.sin(turn), blur=1.5 + 1.5 * math.cos(turn + 1))

    return path


def _background(width: int, height: int) -> Image:
    """A wall with soft patches, the same each time."""
    patches = rng("watch:background").uniform(90, 160, (9, 16, 3)).astype(np.float32)
    return np.asarray(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _draw(frame: Image, head: Head, look: Look) -> Detection:
    """Put `head` into `frame` as `look` says, with soft edges; returns its face there.

    It is drawn on a grid twice as fine and averaged, so that a movement by a part of a pixel changes no sharpness.
    """
    height, width = frame.shape[:2]
    side = max(look.size * height, 8.0)
    picture, begin = head.picture, len(head.picture)
    while len(picture) > 3 * side:
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    left, top = look.x * width - side / 2, look.y * height - side / 2
    corner = math.floor(left) - 1, math.floor(top) - 1
    middle = (begin - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), look.tilt, side / begin)
    matrix[:, 2] += look.x * width - corner[0] - middle, look.y * height - corner[1] - middle
    cells = math.ceil(side) + 3
    fine = np.hstack([matrix[:, :2] * (FINE * begin / len(picture)), matrix[:, 2:] * FINE + (FINE - 1) / 2])
    shown = cv2.warpAffine(picture, fine, (cells * FINE, cells * FINE), flags=cv2.INTER_CUBIC)
    alpha = cv2.warpAffine(_mask(len(picture)), fine, (cells * FINE, cells * FINE))
    deviation = look.blur * side / 100 * FINE
    if deviation > 0.5:
        shown = cv2.GaussianBlur(shown, (0, 0), deviation)
    size = cells, cells
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA).astype(np.float32) * look.light
    _blend(frame, small, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[:, :, None], corner)
    points = np.vstack([head.landmarks, head.box[:2] + head.box[2:] / 2])
    points = points @ matrix[:, :2].T + matrix[:, 2] + corner
    box_size = head.box[2:] * side / begin
    box = np.concatenate([points[5] - box_size / 2, box_size]).astype(np.float32)
    return Detection(box, points[:5].astype(np.float32), 0.95)


def _mask(side: int) -> np.ndarray:
    """1 in the middle of the square, 0 at its edges, soft between."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return np.clip((1 - np.sqrt(line[None] ** 2 + (line[:, None] * 0.95) ** 2)) / 0.2, 0, 1).astype(np.float32)


def _blend(frame: Image, shown: np.ndarray, alpha: np.ndarray, corner: tuple[int, int]) -> None:
    height, width = frame.shape[:2]
    x, y = max(corner[0], 0), max(corner[1], 0)
    right, bottom = min(corner[0] + shown.shape[1], width), min(corner[1] + shown.shape[0], height)
    if x >= right or y >= bottom:
        return
    part = slice(y - corner[1], bottom - corner[1]), slice(x - corner[0], right - corner[0])
    under = frame[y:bottom, x:right]
    frame[y:bottom, x:right] = np.clip(under * (1 - alpha[part]) + shown[part] * alpha[part], 0, 255).astype(np.uint8)
