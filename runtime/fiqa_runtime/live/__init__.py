"""Cameras and video: the best picture of each person in a stream, from Python.

from fiqa_runtime import Detector, FaceQuality, Scorer
from fiqa_runtime.live import BestShots, Frames

with Scorer("engines/ediffiqa-t.fp32.onnx") as scorer:
    shots = BestShots(FaceQuality(scorer, Detector(longest=640)), threshold=0.5)
    for event in shots.watch(Frames(0)):            # 0 is the first camera
        if event.kind == "best":
            print(event.track, event.time, event.quality)
"""

from __future__ import annotations

from fiqa_runtime.live.best_shots import BestShots
from fiqa_runtime.live.economy import Economy
from fiqa_runtime.live.events import Event, Floors, Shot
from fiqa_runtime.live.frame import Frame
from fiqa_runtime.live.frames import Frames
from fiqa_runtime.live.meter import Meter, Speed
from fiqa_runtime.live.people import Person, Tally
from fiqa_runtime.live.reader import Counts
from fiqa_runtime.live.source import Source, find_source
from fiqa_runtime.live.stages import watch_staged
from fiqa_runtime.live.tracker import IouTracker, Track, Tracker

__all__ = [
    "BestShots",
    "Counts",
    "Economy",
    "Event",
    "Floors",
    "Frame",
    "Frames",
    "IouTracker",
    "Meter",
    "Person",
    "Shot",
    "Source",
    "Speed",
    "Tally",
    "Track",
    "Tracker",
    "find_source",
    "watch_staged",
]
