"""Photo -> faces with their quality: detect, align, score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.errors import FiqaError, InputError, UnsupportedError
from fiqa_runtime.faces.detection import Detection, FaceFinder, finder_settings
from fiqa_runtime.images.align import Method
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.photo import Photo, as_image
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.parallel import work_ahead_where_faster

FaceCropper = Callable[[Image, NDArray[np.floating]], Image]
"""Photo and five landmarks -> the uint8 BGR crop that the network scores."""


class HasInput(Protocol):
    """A card, as far as the pipeline reads it."""

    @property
    def input(self) -> InputSpec: ...


class CropScorer(Protocol):
    """:class:`fiqa_runtime.scoring.scorer.Scorer`, or anything else that scores crops."""

    @property
    def card(self) -> HasInput: ...

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo. Coordinates are pixels of the photo, as in a detection."""

    box: NDArray[np.float32]
    """x, y of the top left corner, width, height."""
    landmarks: NDArray[np.float32]
    """(5, 2) x, y: right eye, left eye, nose tip, right mouth corner, left mouth corner of the subject."""
    confidence: float
    """The detector's score, 0..1."""
    quality: float
    """The network's score; higher is better, the range is the network's."""
    crop: Image | None = field(default=None, repr=False)
    """What the network scored, uint8 BGR (H, W, 3); None where it was not kept."""

    def as_dict(self) -> dict[str, Any]:
        """The face as plain data for JSON, without its crop: box, landmarks, confidence, quality."""
        return {
            "quality": self.quality,
            "confidence": self.confidence,
            "box": self.box.tolist(),
            "landmarks": self.landmarks.tolist(),
        }


@dataclass(frozen=True)
class Found:
    """The faces of a photo before they are scored."""

    faces: list[Detection]
    """Highest confidence first."""
    crops: list[Image]
    """Of each face, as the network wants it."""
    refused: list[InputError] = field(default_factory=list)
    """Why more faces cannot be cut out."""


class LeftOutError(InputError):
    """Some faces of a photo cannot be scored; `faces` are the others."""

    def __init__(self, faces: list[Face], refused: Sequence[InputError]) -> None:
        super().__init__(f"{len(refused)} of {len(faces) + len(refused)} faces cannot be scored: {refused[0]}")
        self.faces = faces
        self._refused = refused

    def __reduce__(self) -> tuple[type[LeftOutError], tuple[object, ...]]:
        return LeftOutError, (self.faces, self._refused)


def without_refused(faces: list[Face], refused: Sequence[InputError]) -> list[Face]:
    """`faces` where nothing was `refused`; else raises LeftOutError, or InputError where there are no other faces."""
    if not refused:
        return faces
    raise LeftOutError(faces, refused) if faces else refused[0]


def _raise(error: FiqaError) -> list[Face]:
    raise error


class _InPlace:
    """Results of a stream, of which any may raise; those behind it still come, as they would not from a generator."""

    def __init__(
        self, finishes: Iterator[Callable[[], list[Face]]], on_error: Callable[[FiqaError], None] | None
    ) -> None:
        self._finishes, self._on_error = finishes, on_error

    def __iter__(self) -> _InPlace:
        return self

    def __next__(self) -> list[Face]:
        finish = next(self._finishes)
        try:
            return finish()
        except FiqaError as error:
            if self._on_error is None:
                raise
            self._on_error(error)
            return error.faces if isinstance(error, LeftOutError) else []


class FaceQuality:
    """Finds and scores the faces of whole photos.

        with Scorer("engines/ediffiqa-t.fp32.onnx") as scorer:
            faces = FaceQuality(scorer, Detector()).assess(image)       # uint8 BGR (H, W, 3) -> list[Face]

    `detector` finds the faces: a :class:`fiqa_runtime.faces.detector.Detector`, or a FaceFinder of your own.
    `align` says how faces are brought to the ArcFace template; `lmeds` is for parity with OpenCV's demo.
    Raises UnsupportedError where the scorer's network wants a crop that five landmarks do not give.
    """

    def __init__(self, scorer: CropScorer, detector: FaceFinder, align: Method = "least-squares") -> None:
        cut = frame_of(scorer.card.input).cut
        if cut is None:
            framing = scorer.card.input.framing
            raise UnsupportedError(f"five landmarks do not give this network's {framing} crop; use PortraitQuality")
        self._cut = cut
        self.scorer = scorer
        self.detector = detector
        self.align: Method = align

    def __reduce__(self) -> tuple[type[FaceQuality], tuple[object, ...]]:
        return FaceQuality, (self.scorer, self.detector, self.align)

    @property
    def settings(self) -> dict[str, Any]:
        """What a result must say about how its faces were found and cut out."""
        return {**finder_settings(self.detector), "align": self.align}

    def assess(self, photo: Photo) -> list[Face]:
        """The faces of a photo, highest detector confidence first, scored in one call.

        `photo` is uint8 BGR (H, W, 3) as OpenCV gives it, the path of a file, or a Pillow picture. An empty list where
        there is no face. Raises InputError where the photo cannot be used or no face can be cut out, LeftOutError,
        which holds the others, where some cannot, and what detector and scorer raise.
        """
        return self.begin(as_image(photo))()

    def assess_all(
        self, images: Iterable[Photo | None], on_error: Callable[[FiqaError], None] | None = None
    ) -> Iterator[list[Face]]:
        """:meth:`assess` of a stream of photos or frames, in order.

        It finds the faces of the next one while scoring, unless the first hundred show that to be slower.
        A photo that cannot be used, as the None that OpenCV gives for a frame that is missing, stops nothing:
        `on_error` is told why, and its result is the faces that could be scored, mostly none. Without `on_error` that
        is raised in the place of the result, and ``next`` goes on with the photo behind it. For people who move see
        :mod:`fiqa_runtime.live`.
        """
        return _InPlace(work_ahead_where_faster(self._begun, images), on_error)

    def _begun(self, photo: Photo | None) -> Callable[[], list[Face]]:
        try:
            if photo is None:
                raise InputError("a frame is missing: the source gave None; is the camera still connected?")
            return self.begin(as_image(photo))
        except FiqaError as error:
            return partial(_raise, error)

    def begin(self, image: Image) -> Callable[[], list[Face]]:
        """The first half of :meth:`assess`, which finds the faces; what it returns is the second, which scores them.

        The halves may run in different threads: one photo's second half beside the next one's first.
        """
        return partial(self.rate, self.find(image))

    def find(self, image: Image) -> Found:
        """The faces of a uint8 BGR photo, cut out and not yet scored."""
        found = Found([], [])
        for face in self.detector.detect(image):
            try:
                found.crops.append(self.crop(image, face.landmarks))
                found.faces.append(face)
            except InputError as error:
                found.refused.append(error)
        return found

    def rate(self, found: Found) -> list[Face]:
        """The scores of the faces that were found; raises what :meth:`assess` raises."""
        scores = self.scorer.score(found.crops).tolist() if found.crops else []
        faces = [
            Face(face.box, face.landmarks, face.confidence, score, crop)
            for face, score, crop in zip(found.faces, scores, found.crops, strict=True)
        ]
        return without_refused(faces, found.refused)

    def crop(self, image: Image, landmarks: NDArray[np.floating]) -> Image:
        """The uint8 BGR crop of one face that the network scores: 112 x 112, or 256 x 256 of whole heads."""
        return self._cut(image, landmarks, self.align)
