"""Draws each face of a photo with its score: green where it is good enough, red where it is not.

    python examples/overlay.py engines/ediffiqa-t.fp32.onnx photo.jpg annotated.png 0.5

The last number is the threshold. This shows how to draw what you like; `fiqa-score --overlay` needs no program.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
from fiqa_runtime import Detector, FaceQuality, Scorer, read_image

GREEN, RED = (80, 170, 40), (50, 50, 220)
"""BGR."""


def main(engine: str, photo: str, target: str, threshold: str) -> None:
    """Write the annotated copy of `photo` to `target`."""
    image = read_image(Path(photo))
    with Scorer(engine) as scorer:
        faces = FaceQuality(scorer, Detector()).assess(image)
    for face in faces:
        colour = GREEN if face.quality >= float(threshold) else RED
        x, y, width, height = (int(value) for value in face.box.round())
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, 2)
        cv2.putText(image, f"{face.quality:.2f}", (x, max(y - 6, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2)
    cv2.imwrite(target, image)
    print(f"{len(faces)} faces in {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
