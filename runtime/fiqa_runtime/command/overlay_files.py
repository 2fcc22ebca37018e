"""Annotated copies of scored images on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2

from fiqa_runtime.command.results import ImageResult, Stream
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.drawing import beside, draw_faces, map_picture, with_scale
from fiqa_runtime.faces.face_quality import FaceCropper
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import write_bytes, writing

_FACE = re.compile(r"\.face\d+\.png$")


def picture_places(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """The `target` of :func:`write_pictures` by file. It lies below `folder` as the file lies below the common folder.

    Raises InputError where a picture would take the place of one of `files`.
    """
    full = {file: file.parent.resolve() / file.name for file in files}
    root = Path(os.path.commonpath([path.parent for path in full.values()]))
    places = _distinct({file: folder / path.relative_to(root) for file, path in full.items()})
    inputs = {str(file.resolve()) for file in files}
    with_faces = {_FACE.sub("", name) for name in inputs if _FACE.search(name)}
    for place in places.values():
        if str(_whole(place).resolve()) in inputs or str(place.resolve()) in with_faces:
            raise InputError(
                f"pictures in {folder} would overwrite images to score, as {_whole(place)}; name another folder"
            )
    return places


def _distinct(places: Mapping[Path, Path]) -> dict[Path, Path]:
    """`places` with ``.png`` appended where a picture would take the place of another one, as `a.jpg.png` that of
    `a.jpg`."""
    distinct: dict[Path, Path] = {}
    bases: set[str] = set()
    wholes: set[str] = set()
    named_as_faces: set[str] = set()
    for file, place in places.items():
        while True:
            base, whole = str(place), str(_whole(place))
            face_of = _FACE.sub("", whole)
            if whole not in wholes and not bases & {base, face_of} and base not in named_as_faces:
                break
            place = Path(f"{place}.png")
        distinct[file] = place
        bases.add(base)
        wholes.add(whole)
        if face_of != whole:
            named_as_faces.add(face_of)
    return distinct


def with_pictures(
    stream: Stream, places: Mapping[Path, Path], scorer: Scorer, crop: FaceCropper | None, written: list[Path]
) -> Iterator[tuple[ImageResult, Image | None]]:
    """Pass results on and write their pictures at their `places`; `written` gets the path of each."""
    for result, photo in stream:
        if photo is not None:
            written += write_pictures(places[result.path], photo, result, scorer, crop)
        yield result, photo


def write_pictures(
    target: Path, photo: Image, result: ImageResult, scorer: Scorer, crop: FaceCropper | None
) -> list[Path]:
    """Write what `result` looks like as PNG: at `target`, with ``.png`` appended where it has another suffix. Returns
    the paths written.

    A photo gets boxes, landmarks and scores. Where the network gives maps, each face's crop stands with its map in
    ``<target>.face<N>.png`` (`crop` makes them); a ready crop has its map beside it.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if result.faces is None:
        return [_write(_whole(target), _with_map(photo, scorer))]
    written = [_write(_whole(target), draw_faces(photo, result.faces, result.threshold))]
    if scorer.has_map and crop is not None:
        for number, face in enumerate(result.faces):
            map_of_face = _with_map(crop(photo, face.landmarks), scorer)
            written.append(_write(Path(f"{target}.face{number}.png"), map_of_face))
    return written


def _whole(target: Path) -> Path:
    """Where the picture of the whole image goes."""
    return target if target.suffix.lower() == ".png" else Path(f"{target}.png")


def _with_map(crop: Image, scorer: Scorer) -> Image:
    return with_scale(beside(crop, map_picture(scorer.map([crop])[0]))) if scorer.has_map else crop


def _write(path: Path, picture: Image) -> Path:
    # imencode, since imwrite does not take every path and does not say why it failed
    write_bytes(path, cv2.imencode(".png", picture)[1].tobytes())
    return path
