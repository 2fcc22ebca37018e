"""Pairs of images that face recognition compares, and how far apart the embeddings of each pair are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Floats, Ints

Metric = Literal["cosine", "euclidean"]

CHUNK_BYTES = 1 << 20
"""Bytes of embeddings, as float64, that :func:`pair_distances` holds at once."""


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Compared pairs of images; built once, then shared by every quality score and both protocols."""

    pairs: Ints
    """(P, 2): indices of the two images of each pair, in the order of the pair list."""
    genuine: NDArray[np.bool_]
    """(P,): whether both images show the same person."""
    distance: Floats
    """(P,): distance of the two embeddings, finite; small distances mean similar faces."""
    of_templates: bool = False
    """Whether templates are compared, and not images."""

    def __post_init__(self) -> None:
        count = len(self.pairs)
        if self.pairs.shape != (count, 2) or self.genuine.shape != (count,) or self.distance.shape != (count,):
            raise InputError("pairs, genuine flags and distances differ in number; give one of each per pair")
        if count and self.pairs.min() < 0:
            raise InputError("the pairs name images by a negative number; count images from 0")
        if not np.isfinite(self.distance).all():
            where = int(np.flatnonzero(~np.isfinite(self.distance))[0])
            raise InputError(f"the distance of pair {where} (counted from 0) is not a number; repair its embeddings")
        if not self.genuine.any():
            raise InputError("the pair list has no genuine pair (last column 1); error rates need both kinds")
        if self.genuine.all():
            raise InputError("the pair list has no impostor pair (last column 0); error rates need both kinds")

    def __repr__(self) -> str:
        genuine = int(self.genuine.sum())
        return f"<Comparisons {genuine} genuine, {len(self.genuine) - genuine} impostor>"

    @cached_property
    def order(self) -> Ints:
        """The pairs by ascending distance. Distances are sorted only once, for all curves."""
        return np.argsort(self.distance, kind="stable")

    @cached_property
    def genuines(self) -> Floats:
        """The distances of the genuine pairs, ascending."""
        return np.asarray(self.distance[self.order[self.genuine[self.order]]])

    @cached_property
    def impostors(self) -> Floats:
        """The distances of the impostor pairs, ascending."""
        return np.asarray(self.distance[self.order[~self.genuine[self.order]]])


def pair_distances(embeddings: NDArray[np.floating], pairs: Ints, metric: Metric = "cosine") -> Floats:
    """Distances (P,) float64 of `pairs` (P, 2) of rows of `embeddings` (N, D), which need not be normalised.

    `cosine` is the angle divided by pi, 0..1; `euclidean` is the squared distance of the normalised rows, 0..4. At most
    1 MiB of vectors is processed at a time. Raises InputError where a row is zero or not finite, or an index is out of
    range.
    """
    if embeddings.ndim != 2 or not embeddings.size:
        raise InputError(f"embeddings of shape {embeddings.shape} cannot be compared; give one vector per image (N, D)")
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(embeddings):
        raise InputError(f"the pairs name images outside the {len(embeddings)} embeddings; give an embedding to each")
    norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    if not (np.isfinite(norms) & (norms > 0)).all():
        where = int(np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))[0])
        raise InputError(f"embedding {where} (counted from 0) is zero or not finite; extract it again")
    distance = np.empty(len(pairs))
    step = max(1, CHUNK_BYTES // (8 * embeddings.shape[1]))
    order = np.argsort(pairs[:, 0], kind="stable")  # so that a row is read once for its many pairs
    for start in range(0, len(pairs), step):
        places = order[start : start + step]
        left, right = pairs[places].T
        a, b = (embeddings.take(rows, axis=0).astype(np.float64, copy=False) for rows in (left, right))
        if metric == "cosine":
            cosine = np.einsum("ij,ij->i", a, b) / (norms[left] * norms[right])
            distance[places] = np.arccos(np.clip(cosine, -1, 1)) / np.pi
        else:
            a = a / norms[left, None] - b / norms[right, None]
            distance[places] = np.einsum("ij,ij->i", a, a)
    return distance
