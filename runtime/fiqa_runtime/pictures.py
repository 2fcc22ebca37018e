"""Annotated copies of scored images on disk."""

from __future__ import annotations

from pathlib import Path

import cv2

from fiqa_runtime.errors import InputError
from fiqa_runtime.overlay import beside, draw_faces, map_picture
from fiqa_runtime.pipeline import FaceCropper
from fiqa_runtime.preprocess import Image
from fiqa_runtime.results import ImageResult
from fiqa_runtime.scorer import Scorer


def write_pictures(target: Path, photo: Image, result: ImageResult, scorer: Scorer, crop: FaceCropper | None) -> None:
    """Write what `result` looks like as PNG: at `target`, with ``.png`` appended where it has another suffix.

    A photo gets boxes, landmarks and scores. Where the network gives maps, each face's crop stands with its map in
    ``<target>.face<N>.png`` (`crop` makes them); a ready crop has its map beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    name = str(target) if target.suffix.lower() == ".png" else f"{target}.png"
    if result.faces is None:
        _write(name, _with_map(photo, scorer))
        return
    _write(name, draw_faces(photo, result.faces))
    if scorer.has_map and crop is not None:
        for number, face in enumerate(result.faces):
            _write(f"{target}.face{number}.png", _with_map(crop(photo, face.landmarks), scorer))


def _with_map(crop: Image, scorer: Scorer) -> Image:
    return beside(crop, map_picture(scorer.map([crop])[0])) if scorer.has_map else crop


def _write(path: str, picture: Image) -> None:
    # imencode and a plain write: imwrite neither takes every path nor says why it failed
    encoded = cv2.imencode(".png", picture)[1]
    try:
        Path(path).write_bytes(encoded.tobytes())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose a folder you may write to") from error
