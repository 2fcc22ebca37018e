"""Pairs, embeddings, scores, templates and persons from their files, fitted to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from fiqa_runtime.errors import InputError

from fiqa_evaluation.data_set.embedding_files import read_vectors
from fiqa_evaluation.data_set.files import (
    Floats,
    Ints,
    PairList,
    method_name,
    read_pairs,
    read_quality,
)
from fiqa_evaluation.data_set.identities import identities_of_pairs, read_persons
from fiqa_evaluation.data_set.templates import read_templates
from fiqa_evaluation.discard.comparisons import Comparisons, Metric, pair_distances


@dataclass(frozen=True)
class Files:
    """The files of one evaluation."""

    pairs: Path
    embeddings: Path
    scores: Mapping[str, Path]
    """Quality files by method."""
    templates: Path | None = None
    """Where pairs are of templates: the list of `image template media`."""
    persons: Path | None = None
    """Who is on which image; None: as far as the genuine pairs tell."""
    metric: Metric = "cosine"
    lower: frozenset[str] = frozenset()
    """Methods of which low scores are good."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """What is in them."""

    comparisons: Comparisons
    names: tuple[str, ...]
    """Images or templates (N) of the pairs."""
    identity: Ints | None
    """(N,): person on each image or template; None where nobody asked."""
    qualities: dict[str, Floats]
    """By method, (N,)."""
    images: int
    templates: int
    """0 where pairs are of images."""

    def counts(self) -> dict[str, int]:
        """Numbers of images, templates and pairs."""
        genuine = int(self.comparisons.genuine.sum())
        impostor = len(self.comparisons.genuine) - genuine
        of = {"templates": self.templates} if self.templates else {}
        return {"images": self.images, **of, "genuine": genuine, "impostor": impostor}


def load(files: Files, persons: bool = True) -> Loaded:
    """Read everything; `persons` says whether who is on each image is wanted, which takes seconds for millions of
    genuine pairs. Raises InputError where a file is missing or damaged, or two do not fit each other."""
    listed = read_pairs(files.pairs)
    if files.templates is not None:
        return _load_templates(files, listed, persons)
    qualities = {name: read_quality(file, listed.names) for name, file in files.scores.items()}
    vectors = read_vectors(files.embeddings, listed.names)
    distance = pair_distances(vectors, listed.pairs, files.metric)
    identity = _identity(files, listed) if persons else None
    comparisons = Comparisons(listed.pairs, listed.genuine, distance)
    return Loaded(comparisons, listed.names, identity, qualities, len(listed.names), 0)


def _load_templates(files: Files, listed: PairList, persons: bool) -> Loaded:
    if files.templates is None:
        raise InputError("there is no template list; name it with --templates")
    templates = read_templates(files.templates).subset(listed.names)
    read = {name: read_quality(file, templates.images) for name, file in files.scores.items()}
    qualities = {name: templates.quality(quality, name in files.lower) for name, quality in read.items()}
    vectors = templates.embeddings(read_vectors(files.embeddings, templates.images))
    distance = pair_distances(vectors, listed.pairs, files.metric)
    identity = identities_of_pairs(len(listed.names), listed.pairs, listed.genuine) if persons else None
    comparisons = Comparisons(listed.pairs, listed.genuine, distance, of_templates=True)
    return Loaded(comparisons, listed.names, identity, qualities, len(templates.images), len(listed.names))


def _identity(files: Files, listed: PairList) -> Ints:
    if files.persons is not None:
        return read_persons(files.persons, listed.names)
    return identities_of_pairs(len(listed.names), listed.pairs, listed.genuine)


def check_metric(name: str) -> Metric:
    """`name` if it is a metric; raises InputError otherwise."""
    if name not in get_args(Metric):
        raise InputError(f"unknown metric '{name}'; --metric takes {' or '.join(get_args(Metric))}")
    return cast(Metric, name)


def named_scores(files: Sequence[Path], dataset: str) -> dict[str, Path]:
    """Quality files by the name of their method, or by path where two would have the same name."""
    distinct = list(dict.fromkeys(files))
    names = [method_name(file, dataset) for file in distinct]
    if len(set(names)) < len(names):
        names = list(map(str, distinct))
    return dict(zip(names, distinct, strict=True))
