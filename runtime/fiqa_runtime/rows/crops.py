"""Scores of ready crops, of which each has one or a reason why not."""

from __future__ import annotations

from collections.abc import Sequence

from fiqa_runtime.errors import ArtefactError, FiqaError, InputError
from fiqa_runtime.images.crop_sampling import Landmarks
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer

OF_ONE_IMAGE = (InputError, ArtefactError)
"""Errors that stop one image and not the rest; an ArtefactError is a score that is not a number."""


def most_at_once(scorer: Scorer) -> int:
    """How many crops the artefact of `scorer` takes together."""
    return 1 if scorer.card.input.sampling else scorer.card.max_batch


def scores_of(
    crops: Sequence[Image], scorer: Scorer, landmarks: Sequence[Landmarks] | None = None
) -> list[float | FiqaError]:
    """The score of each crop, or why it has none. Crops are scored together, and one by one where one is refused."""
    try:
        return list(scorer.score(crops, landmarks).tolist())
    except OF_ONE_IMAGE as error:
        if len(crops) == 1:
            return [error]
    each = [None] * len(crops) if landmarks is None else [[points] for points in landmarks]
    return [scores_of([crop], scorer, points)[0] for crop, points in zip(crops, each, strict=True)]
