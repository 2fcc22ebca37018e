"""Templates: several images of one person that are compared as one, as in IJB-C.

A line of the list is `image template media`: images of one media are the frames of one video. A template's embedding is
the mean over the images of each media, summed over its media and normalised; its quality is that of its worst image.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Floats, Ints, numbered_lines

BLOCK = 4096
"""Lines of the list whose embeddings are held in float64 at once, about."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Which images make up which template; M lines, an image may be in several templates."""

    names: tuple[str, ...]
    """Templates (T), in order of first appearance."""
    images: tuple[str, ...]
    """Images (N), without extension, in order of first appearance."""
    image: Ints
    """(M,): indices into `images`."""
    template: Ints
    """(M,): indices into `names`."""
    media: Ints
    """(M,): number of the media within the data set."""

    def subset(self, names: Sequence[str]) -> Templates:
        """The templates `names` alone; raises InputError where one has no image."""
        place = {name: index for index, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(names)} templates of the pairs have no image, as '{missing[0]}'; "
                "add their lines to the template list"
            )
        new = np.full(len(self.names), -1, np.int64)
        new[[place[name] for name in names]] = np.arange(len(names))
        kept = new[self.template] >= 0
        return Templates(tuple(names), self.images, self.image[kept], new[self.template[kept]], self.media[kept])

    def embeddings(self, vectors: NDArray[np.floating]) -> Floats:
        """Embeddings (T, D) float64 of length 1 from those of the images (N, D).

        They are made some thousand lines at a time. Raises InputError where the sum of a template is zero.
        """
        order = np.lexsort((self.media, self.template))
        template, media = self.template[order], self.media[order]
        starts = np.flatnonzero(np.append(True, (template[1:] != template[:-1]) | (media[1:] != media[:-1])))
        counts = np.diff(np.append(starts, len(order)))
        first_of_template = np.flatnonzero(np.append(True, np.diff(template[starts]) != 0))
        found = np.empty((len(self.names), vectors.shape[1]))
        ends = np.append(first_of_template[1:], len(starts))
        begin = 0
        while begin < len(first_of_template):
            line = starts[first_of_template[begin]]
            end = begin + 1
            while end < len(first_of_template) and starts[first_of_template[end]] - line < BLOCK:
                end += 1
            groups = slice(first_of_template[begin], ends[end - 1])
            last = starts[ends[end - 1]] if ends[end - 1] < len(starts) else len(order)
            rows = vectors[self.image[order[line:last]]].astype(np.float64)
            means = np.add.reduceat(rows, starts[groups] - line, axis=0) / counts[groups, None]
            sums = np.add.reduceat(means, first_of_template[begin:end] - first_of_template[begin], axis=0)
            found[template[starts[first_of_template[begin:end]]]] = sums
            begin = end
        norms = np.sqrt(np.einsum("ij,ij->i", found, found))
        if not (norms > 0).all():
            raise InputError(
                f"the embedding of template '{self.names[int(np.argmin(norms))]}' is zero; embed its images again"
            )
        found /= norms[:, None]
        return found

    def quality(self, quality: Floats, lower_is_better: bool = False) -> Floats:
        """The quality (T,) of each template from those of the images (N,): that of its worst image, which is the
        largest number where lower is better."""
        order = np.argsort(self.template, kind="stable")
        template = self.template[order]
        starts = np.flatnonzero(np.append(True, np.diff(template) != 0))
        worst = np.maximum if lower_is_better else np.minimum
        found = np.empty(len(self.names))
        found[template[starts]] = worst.reduceat(quality[self.image[order]].astype(np.float64), starts)
        return found


def read_templates(path: Path) -> Templates:
    """The list of lines `image template media`; the image's extension is left out.

    Raises InputError for a line of another form and for a file without lines.
    """
    images: dict[str, int] = {}
    templates: dict[str, int] = {}
    medias: dict[str, int] = {}
    columns = array("q")
    for number, line in numbered_lines(path):
        fields = line.split()
        if len(fields) != 3:
            raise InputError(f"{path}, line {number}: write 'image template media', not '{line.strip()[:80]}'")
        name, template, media = fields
        name = without_image_suffix(name)
        columns.append(images.setdefault(name, len(images)))
        columns.append(templates.setdefault(template, len(templates)))
        columns.append(medias.setdefault(media, len(medias)))
    if not columns:
        raise InputError(f"{path} holds no templates; give lines of 'image template media'")
    table = np.array(columns, np.int64).reshape(-1, 3)
    return Templates(tuple(templates), tuple(images), *table.T.copy())


def without_image_suffix(name: str) -> str:
    """`name` without an ending that pictures have; other dots are parts of names."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.lower() in ("jpg", "jpeg", "png", "bmp", "webp") else name
