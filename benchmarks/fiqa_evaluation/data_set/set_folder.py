"""The folder of a prepared data set, in the layout of CR-FIQA's scripts.

| file                  | content                                                                              |
|-----------------------|--------------------------------------------------------------------------------------|
| `images/<name>.jpg`   | aligned crops                                                                        |
| `image_path_list.txt` | paths of the images, relative to the folder above the set                            |
| `pair_list.txt`       | `name_a name_b 1` (same person) or `0`; names of templates where there are templates |
| `persons.txt`         | `name person`; ours, absent in folders that others prepared                          |
| `templates.txt`       | `image template media`, where the pairs are of templates                             |
| `manifest.json`       | where it came from, what was left out, SHA-256 of every image; ours                  |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.system.documents import parse_json, read_text
from fiqa_runtime.system.files import sha256_file

IMAGES, PATHS, PAIRS, PERSONS, TEMPLATES, MANIFEST = (
    *("images", "image_path_list.txt", "pair_list.txt", "persons.txt", "templates.txt", "manifest.json"),
)
ORDINARY, EXCHANGED = "ordinary", "exchanged"
"""Order of the colours in the image files: as everywhere, or with red and blue exchanged as CR-FIQA's scripts save."""


@dataclass(frozen=True)
class SetFolder:
    """A prepared data set on disk."""

    path: Path
    names: tuple[str, ...]
    """Images (N), relative to `images/` and without suffix, in the order of the list."""
    exchanged: bool
    """Whether red and blue are exchanged in the image files."""
    manifest: Mapping[str, Any]
    """Empty for a folder that others prepared."""

    @property
    def name(self) -> str:
        """The data set's name: that of its folder."""
        return self.path.name

    @property
    def pairs(self) -> Path:
        return self.path / PAIRS

    @property
    def templates(self) -> Path | None:
        """The template list, where pairs are of templates."""
        return self._if_there(TEMPLATES)

    @property
    def persons(self) -> Path | None:
        """Who is on which image."""
        return self._if_there(PERSONS)

    def file(self, name: str) -> Path:
        """The image file of `name`."""
        return self.path / IMAGES / f"{name}.jpg"

    def read(self, name: str) -> Image:
        """The crop `name`, uint8 BGR (H, W, 3), in the ordinary order of colours whatever the file's is."""
        image = read_image(self.file(name))
        return np.ascontiguousarray(image[:, :, ::-1]) if self.exchanged else image

    def digest(self, name: str) -> str | None:
        """SHA-256 of the image file of `name`; None where there is none."""
        try:
            return sha256_file(self.file(name))
        except OSError:
            return None

    def quality_file(self, method: str) -> Path:
        """Where CR-FIQA's evaluation looks for the scores of a method."""
        return self.path / f"{method}_{self.name}.txt"

    def _if_there(self, name: str) -> Path | None:
        return self.path / name if (self.path / name).is_file() else None


def open_set(path: Path, exchanged: bool | None = None) -> SetFolder:
    """The data set in the folder `path`.

    `exchanged` says how the colours of a folder without manifest are; None: ordinary. Raises InputError where the
    folder holds no data set, or the manifest says otherwise than `exchanged`.
    """
    path = path.absolute()
    if not (path / PATHS).is_file():
        raise InputError(f"{path} is not a prepared data set (it has no {PATHS}); make one with fiqa-eval prepare")
    manifest = _manifest(path / MANIFEST)
    said = manifest.get("colour")
    if said is not None and exchanged is not None and exchanged != (said == EXCHANGED):
        raise InputError(f"the manifest of {path} says that its colours are {said}; leave --colour-as-published out")
    lines = _lines(path / PATHS)
    beginning = f"{path.name}/{IMAGES}/"
    wrong = [line for line in lines if not line.startswith(beginning) or not line.endswith(".jpg")]
    if wrong or not lines:
        got = f"not '{wrong[0][:80]}'" if wrong else "but it is empty"
        raise InputError(f"{path / PATHS}: write paths as {beginning}NAME.jpg, {got}; prepare the data set again")
    names = tuple(line.removeprefix(beginning).removesuffix(".jpg") for line in lines)
    return SetFolder(path, names, said == EXCHANGED if said is not None else bool(exchanged), manifest)


def path_lines(name: str, images: Sequence[str]) -> str:
    """The text of `image_path_list.txt` of the set `name`."""
    return "".join(f"{name}/{IMAGES}/{image}.jpg\n" for image in images)


def _lines(path: Path) -> list[str]:
    try:
        return read_text(path).split("\n")[:-1] if path.stat().st_size else []
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise InputError(f"{path} is not text; prepare the data set again") from error


def _manifest(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); prepare the data set again") from error
    if not isinstance(found, dict) or found.get("colour") not in (ORDINARY, EXCHANGED):
        raise InputError(f"{path} is not a manifest of a data set; prepare the data set again")
    return found


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """A manifest as it is kept."""
    return json.dumps(manifest, indent=1) + "\n"
