"""The best picture of each person in a video, from a loop of one's own: no thread is started.

    python examples/best_shot.py engines/ediffiqa-t.fp32.onnx clip.mp4 shots/

`fiqa-watch clip.mp4 --best-shot shots/` needs no program; this shows where your own work goes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime import Detector, FaceQuality, Scorer
from fiqa_runtime.live import BestShots, Event, Frame


def keep(events: list[Event], folder: Path) -> None:
    """Write the picture of each best event."""
    for event in events:
        if event.kind == "best" and event.picture is not None:
            path = folder / f"person-{event.track}.png"
            cv2.imwrite(str(path), event.picture)
            print(f"{path}  quality {event.quality:.4f} at {event.time:.2f} s")


def main(engine: str, video: str, target: str) -> None:
    """Write the best picture of each person in `video` to the folder `target`."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    capture = cv2.VideoCapture(video)
    rate = capture.get(cv2.CAP_PROP_FPS) or 30
    with Scorer(engine) as scorer:
        shots = BestShots(FaceQuality(scorer, Detector(longest=640)))
        index = 0
        while True:
            there, image = capture.read()
            if not there:
                break
            keep(shots.step(Frame(index, index / rate, np.asarray(image, np.uint8))), folder)
            index += 1
        keep(shots.finish(), folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
