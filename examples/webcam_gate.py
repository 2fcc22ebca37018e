"""A gate: says of each person in front of a camera once that their face is good enough.

    python examples/webcam_gate.py engines/ediffiqa-t.fp32.onnx 0 0.5

0 is the first camera; a video file or an rtsp:// address will do too. The last number is the threshold.
"""

from __future__ import annotations

import sys

from fiqa_runtime import Detector, FaceQuality, Scorer
from fiqa_runtime.live import BestShots, Frames


def main(engine: str, source: str, threshold: str) -> None:
    """Print a line for each person as soon as their quality reaches `threshold`."""
    with Scorer(engine) as scorer:
        quality = FaceQuality(scorer, Detector(longest=640))
        for event in BestShots(quality, threshold=float(threshold), emit_after=0).watch(Frames(source)):
            if event.kind == "best":
                print(f"person {event.track} may pass, quality {event.quality:.3f} after {event.time:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
