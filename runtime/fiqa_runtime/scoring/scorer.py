"""One artefact in one backend: it takes crops, and gives scores and maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card, is_tied, read_card
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.score_map import check_threshold
from fiqa_runtime.artefact.spec import CpuPrecision, CropSampling, InputSpec, output_of
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.base import Backend, Inputs
from fiqa_runtime.backends.devices import CPU, device_for
from fiqa_runtime.errors import ArtefactError, CardError, InputError, VerdictError
from fiqa_runtime.images.crop_sampling import (
    LANDMARKS,
    Landmarks,
    all_visible,
    check_landmarks,
    crop_offsets,
    crop_stream,
    cut,
    landmark_vector,
    visible_landmarks,
)
from fiqa_runtime.images.preprocess import Image, check_image, network_input
from fiqa_runtime.scoring.canaries import differences, tolerance
from fiqa_runtime.scoring.choice import Choice, decide
from fiqa_runtime.system.host import thread_limit


class Scorer:
    """Scores face crops with one exported artefact.

        with Scorer("engines/ediffiqa-t.fp32.onnx") as scorer:
            scores = scorer.score(crops)        # uint8 BGR crops -> float32 (N,)

    Crops are uint8 BGR (H, W, 3), framed as ``card.input.framing`` says; another size is resized as the network's
    official script does it. Higher scores are better.

    `backend`: `auto` is the fastest installed backend that gives the canaries' values here. Finding it takes seconds,
    or a minute for the largest networks, and is remembered in the user cache (:mod:`fiqa_runtime.scoring.choice`). A
    name means that backend and no other. A loaded :class:`fiqa_runtime.backends.base.Backend` of your own is used as
    it is.
    Any number of threads may use one scorer.

    `threads`: None leaves the number to the backend, within what a container grants.
    `cpu_precision`: `exact` is float32 arithmetic; `fast` allows bfloat16 and float16 where they keep the ranking of
    degraded faces on this machine (:mod:`fiqa_runtime.scoring.fast`).

    `device`: one of :data:`fiqa_runtime.backends.devices.DEVICES`; None is the processor, and for a plan its GPU. Only
    backends that serve the device are taken, and none that would compute elsewhere instead. On another device than the
    processor the canaries are scored before anything else, the first time in a process of its own.

    `images`: how many are to be scored, where that is known; None is many. For up to ten, `auto` takes the time to open
    a backend into account, so their scores may differ from those of many in the last digits that backends agree in.

    `card` describes a file of others, which has none; its backend is loaded by whoever knows it.

    Canaries are scored while it is built where nothing else shows that this file gives the card's values: where no hash
    ties the card to it (files of older versions), and where the user cache says which backend is right.

    Raises InputError, ArtefactError (CardError), DependencyError, UnsupportedError or VerdictError when it cannot be
    built, see :mod:`fiqa_runtime.errors`.
    """

    choice: Choice | None = None
    """Why this backend; None for one of your own."""

    def __init__(
        self,
        artefact: str | Path,
        backend: str | Backend = "auto",
        threads: int | None = None,
        cpu_precision: CpuPrecision = "exact",
        card: Card | None = None,
        device: str | None = None,
        images: int | None = None,
    ) -> None:
        self.path = find_artefact(artefact)
        self.card = read_card(self.path) if card is None else card
        self.device = device_for(self.card, device)
        self.cpu_precision: CpuPrecision = cpu_precision
        self._threads = threads
        self._images = images
        self.backend = self._open(backend) if isinstance(backend, str) else backend
        if self.choice and self.choice.remembered and self._missed_canaries(1):
            self.backend.close()
            Path(self.choice.remembered).unlink(missing_ok=True)
            self.backend = self._open(str(backend))
        if card is None and not is_tied(self.card, self.path) and (missed := self._missed_canaries()):
            raise VerdictError(
                f"{self.path} does not give the values on the card inside it ({missed}), and no hash ties the two; "
                "export it again"
            )

    def _open(self, backend: str) -> Backend:
        threads, path = self._threads or thread_limit(), self.path.resolve()
        device, images = self.device, self._images
        self.choice = decide(backend, path, self.card, threads, self.cpu_precision, device, images)
        return open_backend(self.choice.backend, path, self.card, threads, self.cpu_precision, device)

    @property
    def canary_limits(self) -> dict[str, float]:
        """By output: how far from the canaries it may be, which is what the card allows, and as far again as `fast`
        was when it was judged here. Raises CardError where the card does not say."""
        moved = self.choice.moved if self.choice else {}
        return {name: limit + moved.get(name, 0.0) for name, limit in tolerance(self.card).items()}

    def _missed_canaries(self, first: int | None = None) -> str:
        """Which output is how far from the canaries, or from the `first` ones; empty where all are near enough."""
        limits = self.canary_limits
        found = differences(replace(self.card, canaries=self.card.canaries[:first]), self.outputs)
        missed = (f"{name} is off by {found[name]:.3g}" for name, limit in limits.items() if not found[name] <= limit)
        return ", ".join(missed)

    def __repr__(self) -> str:
        place = "" if self.device == CPU else f", {self.device}"
        return f"<Scorer {self.card.model} {self.card.precision} on {self.backend.name}{place}>"

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the backend."""
        self.backend.close()

    def with_input(self, spec: InputSpec) -> Scorer:
        """The same loaded backend, fed as `spec` says."""
        return self._with_card(replace(self.card, input=spec))

    def with_max_batch(self, n: int) -> Scorer:
        """The same loaded backend, fed at most `n` crops at a time."""
        return self._with_card(replace(self.card, max_batch=n))

    def _with_card(self, card: Card) -> Scorer:
        scorer = object.__new__(type(self))  # a copy would open the artefact anew, as a pickled one is
        vars(scorer).update(vars(self) | {"card": card})
        return scorer

    def __reduce__(self) -> tuple[Callable[..., Scorer], tuple[object, ...]]:
        """A pickled scorer is its path and settings: the artefact is opened anew where it arrives, in the same backend.

        Raises InputError for a scorer on a backend of your own, whose way to be opened is not known.
        """
        if self.choice is None:
            raise InputError(f"{self!r} runs on a backend of your own; pickle what opens it")
        settings = (str(self.path.absolute()), self.backend.name, self._threads, self.cpu_precision)
        return _reopened, (*settings, self.device, self.card)

    @property
    def has_score(self) -> bool:
        """Whether the network gives quality scores."""
        return output_of("score", self.card.outputs) is not None

    @property
    def has_map(self) -> bool:
        """Whether the network gives per-pixel quality."""
        return output_of("map", self.card.outputs) is not None

    def score(self, crops: Sequence[Image], landmarks: Sequence[Landmarks] | None = None) -> NDArray[np.float32]:
        """uint8 BGR crops -> float32 (N,), higher is better.

        Networks that score a picture by several crops of it (``card.input.sampling``) take whole pictures, each with
        its `landmarks` (L, 2), x first, in pixels, L usually 68. Without landmarks, each one counts as visible in every
        crop. Raises InputError for unusable crops and landmarks, ArtefactError where a score is not finite.
        """
        if landmarks is not None:
            self._check_landmarks(len(crops), landmarks)
        if not len(crops):
            return np.empty(0, np.float32)
        if self.card.input.sampling is not None:
            scores = self._score_pictures(crops, self.card.input.sampling, landmarks)
        else:
            scores = self._output("score", "quality scores", crops).reshape(len(crops))
        if not all(map(math.isfinite, scores.tolist())):
            raise ArtefactError(f"{self.path.name} gave a score that is not a number; run fiqa-score --self-test on it")
        return scores

    def threshold(self, fp32: float) -> float:
        """This artefact's threshold for one chosen on float32 scores: it rejects the same share of the parity set.

        Raises InputError where the network gives no score, for a threshold that is not finite, and CardError where
        an artefact of reduced precision has no map.
        """
        check_threshold(fp32)
        if not self.has_score:
            raise InputError(
                f"{self.card.model} gives no quality scores, so there is no threshold to set; leave it out"
            )
        if self.card.score_map is not None:
            return self.card.score_map.threshold(fp32)
        if self.card.precision != "fp32":
            raise CardError(f"the card of {self.path.name} has no map of float32 scores; export it again")
        return fp32

    def map(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """uint8 BGR crops -> float32 (N, H, W) per-pixel quality in 0..1; InputError where the network has no map."""
        if not len(crops):
            return np.empty((0, self.card.input.height or 0, self.card.input.width or 0), np.float32)
        return self._output("map", "quality maps", crops)[:, 0]

    def outputs(
        self, crops: Sequence[Image], vectors: NDArray[np.float32] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Every graph output for uint8 BGR crops, by name, in batches of at most ``card.max_batch``.

        `vectors`: for networks with a landmark input, :func:`fiqa_runtime.images.crop_sampling.landmark_vector` of
        each crop, (N, 500); None: each shows all 68. Raises InputError for unusable crops and where there are none.
        """
        if not len(crops):
            raise InputError("there are no crops to run the network on; give at least one")
        parts = [self.backend.run(inputs) for inputs in self.batches(crops, vectors)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def batches(self, crops: Sequence[Image], vectors: NDArray[np.float32] | None = None) -> Iterator[Inputs]:
        """What the backend is fed for uint8 BGR crops: inputs by name, ``card.max_batch`` crops at a time."""
        sampling = self.card.input.sampling
        for start in range(0, len(crops), self.card.max_batch):
            part = slice(start, start + self.card.max_batch)
            inputs: dict[str, NDArray[np.float32] | NDArray[np.uint8]] = {
                self.card.input.name: network_input(crops[part], self.card.input)
            }
            if sampling is not None and sampling.landmarks == "input":
                if vectors is None:
                    vectors = np.stack([landmark_vector(range(LANDMARKS))] * len(crops))
                inputs["landmarks"] = vectors[part]
            yield inputs

    def _check_landmarks(self, pictures: int, landmarks: Sequence[Landmarks]) -> None:
        if self.card.input.sampling is None:
            raise InputError(f"{self.card.model} takes no landmarks; leave them out")
        if len(landmarks) != pictures:
            raise InputError(f"{pictures} pictures came with the landmarks of {len(landmarks)}; give those of each")

    def _output(self, kind: str, what: str, crops: Sequence[Image]) -> NDArray[np.float32]:
        name = self._name(kind, what)
        found = self.outputs(crops)[name]
        if len(found) != len(crops) or (kind == "score" and found.size != len(crops)):
            raise ArtefactError(
                f"{self.path.name} gave '{name}' of shape {found.shape} for {len(crops)} crops; export it again"
            )
        return found

    def _name(self, kind: str, what: str) -> str:
        """The name of the network's output of a `kind`; raises InputError where it gives none."""
        name = output_of(kind, self.card.outputs)
        if name is None:
            raise InputError(f"{self.card.model} gives no {what}; fiqa-export --list shows what each network gives")
        return name

    def _score_pictures(
        self, pictures: Sequence[Image], sampling: CropSampling, landmarks: Sequence[Landmarks] | None
    ) -> NDArray[np.float32]:
        scores = np.empty(len(pictures), np.float32)
        name = self._name("score", "quality scores")
        for index, picture in enumerate(pictures):
            check_image(picture)
            height, width = picture.shape[:2]
            offsets = crop_offsets(height, width, sampling.crops, crop_stream(sampling.seed))
            vectors = None
            if landmarks is not None:
                points = check_landmarks(landmarks[index])
                if sampling.landmarks == "constant" and not (len(points) == LANDMARKS and all_visible(points, offsets)):
                    raise InputError(
                        f"{self.path.name} takes {LANDMARKS} landmarks for visible in every crop, and picture {index} "
                        "shows others; score it with the artefact that has a landmark input (dsl-fiqa)"
                    )
                seen = (visible_landmarks(points, offset) for offset in offsets)
                vectors = np.stack([landmark_vector(indices, len(points)) for indices in seen])
            crop_scores = self.outputs(cut(picture, offsets), vectors)[name].reshape(-1)
            scores[index] = crop_scores.sum(dtype=np.float32) / np.float32(sampling.crops)
        return scores


def _reopened(path: str, backend: str, threads: int | None, precision: CpuPrecision, device: str, card: Card) -> Scorer:
    """What a pickled scorer becomes."""
    return Scorer(path, backend, threads, precision, device=device)._with_card(card)
