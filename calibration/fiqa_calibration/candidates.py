"""Images that a calibration set may be chosen from: where they are, and whether a network can use them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.files import sha256_file

ASPECT = 1.1
"""How much wider or taller than the network's input, in proportion, a crop may be where the network resizes crops."""
FIRST_SEEDED = 1000
"""Index of the first seeded image to measure with. Canaries, the parity check and batch-norm calibration use lower
ones."""


class FacelessError(InputError):
    """A photo shows no face to cut out."""


@dataclass(frozen=True)
class Candidate:
    """An image that may be chosen, read again each time it is needed."""

    name: str
    """What people call it: a path inside its folder, or how it was made."""
    read: Callable[[], Image]
    """uint8 BGR (H, W, 3); raises InputError where it cannot be read, FacelessError where it shows no face."""
    digest: Callable[[], str]
    """Hex SHA-256 of the file, or of the pixels where there is none."""


def folder_candidates(folder: Path, read: Callable[[Path], Image] = read_image) -> list[Candidate]:
    """Every image under `folder`, sorted by path; `read` turns a path into what the network gets (a crop).

    Raises InputError where there is no such folder or no image in it.
    """

    def candidate(path: Path) -> Candidate:
        name = path.relative_to(folder).as_posix() if path != folder else path.name
        return Candidate(name, lambda: read(path), lambda: sha256_file(path))

    return [candidate(path) for path in find_images([folder])]


def seeded_candidates(height: int, width: int, count: int) -> list[Candidate]:
    """`count` seeded images of height x width: they exercise the toolchain and say little about faces."""

    def candidate(index: int) -> Candidate:
        def read() -> Image:
            return seeded_image(index, height, width)

        name = f"seeded:0:{index}:{height}x{width}"
        return Candidate(name, read, lambda: hashlib.sha256(read().tobytes()).hexdigest())

    return [candidate(FIRST_SEEDED + i) for i in range(count)]


def fits(image: Image, spec: InputSpec) -> bool:
    """Whether uint8 (H, W, 3) `image` is a crop for the network.

    Alignment to the ArcFace template gives exactly the network's size, so an image of another size is not such a crop.
    Crops of other framings, which the network resizes, need only have nearly the shape of its input.
    """
    height, width = (int(side) for side in image.shape[:2])
    if spec.height is None or spec.width is None:
        return True
    exact = (height, width) == (spec.height, spec.width)
    if spec.sampling is not None:
        return exact or (height > spec.height and width > spec.width)
    if _is_exact(spec):
        return exact
    return abs(math.log(width / height * spec.height / spec.width)) <= math.log(ASPECT)


def wanted_size(spec: InputSpec) -> str:
    """What :func:`fits` asks for, in words."""
    if spec.height is None or spec.width is None:
        return "photos of any size"
    size = f"{spec.width} x {spec.height}"
    if spec.sampling is not None:
        return f"pictures of {size} pixels or larger in both directions"
    return f"crops of {size} pixels" if _is_exact(spec) else f"face crops in the shape of {size}"


def wanted(spec: InputSpec) -> str:
    """What a folder of images for the network may hold, in words."""
    return f"photos with a face, or {wanted_size(spec)}" if frame_of(spec).cut else wanted_size(spec)


def _is_exact(spec: InputSpec) -> bool:
    return spec.resize == "none" or frame_of(spec).on_template
