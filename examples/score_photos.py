"""Scores every face of some photos, from Python.

    python examples/score_photos.py engines/ediffiqa-t.fp32.onnx photo.jpg group.jpg

Prints a line for each face: photo, quality (higher is better), box. Needs `fiqa-edge[headless]`; the face detector's
file is fetched once, 232 KB.
"""

from __future__ import annotations

import sys

from fiqa_runtime import Detector, FaceQuality, FiqaError, Scorer


def main(engine: str, *photos: str) -> None:
    """Print the faces of `photos`; a photo that cannot be used is told and does not end the run."""
    with Scorer(engine) as scorer:
        quality = FaceQuality(scorer, Detector())
        for photo in photos:
            try:
                faces = quality.assess(photo)
            except FiqaError as error:
                print(f"{photo}: {error}", file=sys.stderr)
                continue
            for face in faces:
                x, y, width, height = face.box.round().astype(int)
                print(f"{photo}  {face.quality:.4f}  {x},{y} {width} x {height}")


if __name__ == "__main__":
    main(*sys.argv[1:])
