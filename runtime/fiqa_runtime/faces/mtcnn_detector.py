"""Faces in a photo, found by MTCNN in any backend: the detector that most published preprocessing uses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from fiqa_runtime.artefact.card import Card, read_card
from fiqa_runtime.artefact.location import ENGINES
from fiqa_runtime.artefact.spec import Colour
from fiqa_runtime.artefact.zoo import GROUPS
from fiqa_runtime.backends import open_backend, require_device
from fiqa_runtime.backends.base import Arrays, Backend
from fiqa_runtime.backends.devices import CPU, check_device
from fiqa_runtime.errors import CardError, InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.mtcnn import Cascade, Floats, Stage
from fiqa_runtime.faces.on_device import refuse_other_faces
from fiqa_runtime.images.preprocess import Image, check_image
from fiqa_runtime.system.host import limit_opencv, thread_limit

PresetName = Literal["facenet", "cr-fiqa"]
PREFERRED = ("onnxruntime", "opencv", "openvino")
"""Backends that `auto` takes, the first that is installed. OpenVINO prepares itself anew for every size of a copy."""
LEAST = (0.6, 0.7, 0.7)
"""Probabilities that the three networks have to give a face."""
FACTOR = 0.709
"""Side of each copy of the pyramid as a share of the next larger one."""
SMALLEST_SIDE = 12
"""Smallest face in pixels that the first network can see."""


@dataclass(frozen=True)
class Preset:
    """How somebody's published preprocessing uses MTCNN."""

    colour: Colour
    """Order of the channels that the networks are given; they are trained on RGB."""
    largest_only: bool
    """Whether only the face with the largest box counts."""
    words: str
    """For people: whose it is."""


PRESETS: dict[PresetName, Preset] = {
    "facenet": Preset("RGB", False, "facenet-pytorch's defaults, every face; DSL-FIQA and FaceXFormer use it"),
    "cr-fiqa": Preset("BGR", True, "CR-FIQA's linked alignment script: blue and red exchanged, the largest face"),
}


def check_preset(name: str) -> PresetName:
    """`name` if it is one of :data:`PRESETS`; raises InputError otherwise."""
    for preset in PRESETS:
        if name == preset:
            return preset
    raise InputError(f"unknown preset '{name}'; choose {' or '.join(PRESETS)}")


class MtcnnDetector:
    """Finds faces with MTCNN's three networks, as ``fiqa-export mtcnn`` writes them.

        faces = MtcnnDetector().detect(image)        # uint8 BGR (H, W, 3) -> list[Detection]

    `path` is the folder with the three artefacts, or one of them, which names the precision of all; None is
    ``engines/``. `preset` is one of :data:`PRESETS`. `backend` is `auto` (ONNX Runtime where it is installed, else
    OpenCV, else OpenVINO) or a backend's name; every one finds the same faces to a thousandth of a pixel.
    `min_confidence` is the probability that the last network has to give, `smallest` the side of the smallest face in
    pixels, `longest` the longest side in pixels to which photos are shrunk; None leaves them as they are, as
    published. Any number of threads may use one detector, and a pickled one is opened anew. `device` is one of
    :data:`fiqa_runtime.backends.devices.DEVICES`, None the processor; on another one the networks have to find what
    they find on the processor, in the portrait that comes along.

    Raises InputError where an artefact is missing or a setting is out of range, ArtefactError and its kinds where one
    is damaged or another network, VerdictError where other faces are found on `device`, and what
    :func:`fiqa_runtime.backends.open_backend` raises.
    """

    name = "mtcnn"
    """What results call it."""
    engine: str
    """The backend that runs the networks."""

    def __init__(
        self,
        path: str | Path | None = None,
        preset: PresetName = "facenet",
        backend: str = "auto",
        threads: int | None = None,
        min_confidence: float = LEAST[2],
        smallest: float = 20.0,
        longest: int | None = None,
        device: str | None = None,
    ) -> None:
        if not 0 <= min_confidence <= 1:
            raise InputError(f"min_confidence is {min_confidence}; choose a number from 0 to 1")
        if not smallest >= SMALLEST_SIDE:
            raise InputError(f"MTCNN sees no faces of {smallest:g} px; choose {SMALLEST_SIDE} or more")
        if longest is not None and longest < SMALLEST_SIDE:
            raise InputError(f"a longest side of {longest} px is too small for faces; choose {SMALLEST_SIDE} or more")
        self.paths = find_mtcnn(path)
        self.preset = PRESETS[check_preset(preset)]
        self.longest = longest
        self._settings = (preset, threads, min_confidence, smallest)
        limit_opencv(threads)
        self.device = check_device(device or CPU)
        self.engine = backend
        if backend == "auto":
            here = require_device(self.device)
            self.engine = next(name for name in PREFERRED if name in here)
        least = (*LEAST[:2], min_confidence)
        first, second, third = map(self._open, self.paths, GROUPS["mtcnn"], least)
        self._cascade = Cascade(first, second, third, smallest, FACTOR)
        if self.device != CPU:
            on_cpu = MtcnnDetector(path, preset, "auto", threads, min_confidence, smallest, longest)
            refuse_other_faces(self, on_cpu, self.device)

    def _open(self, path: Path, model: str, least: float) -> Stage:
        card = read_card(path)
        if card.model != model:
            raise CardError(f"{path} is {card.model} and not {model}; make it with fiqa-export mtcnn")
        if card.input.raw:
            raise CardError(f"{path} takes raw pixels, MTCNN's copies are finer; export it without --raw-input")
        backend = open_backend(
            self.engine, path.resolve(), card, self._settings[1] or thread_limit(), device=self.device
        )
        return Stage(_Batches(backend, card), replace(card.input, colour=self.preset.colour), least)

    @property
    def settings(self) -> dict[str, Any]:
        """What a result must say beside the name."""
        preset, _, min_confidence, smallest = self._settings
        files = [path.name for path in self.paths]
        found = {"min_confidence": min_confidence, "smallest_face": smallest, "longest_side": self.longest}
        return {"preset": preset, "detector_files": files, **found}

    def __reduce__(self) -> tuple[type[MtcnnDetector], tuple[object, ...]]:
        preset, *rest = self._settings
        return MtcnnDetector, (str(self.paths[0].absolute()), preset, self.engine, *rest, self.longest, self.device)

    def __repr__(self) -> str:
        place = "" if self.device == CPU else f", {self.device}"
        return f"<MtcnnDetector {self._settings[0]} through {self.engine}{place}>"

    def detect(self, image: Image) -> list[Detection]:
        """The faces of a uint8 BGR photo of any size, highest confidence first; an empty list without any.

        With a preset that takes the largest face alone, at most one. Raises InputError where `image` is not uint8
        (H, W, 3).
        """
        check_image(image)
        height, width = image.shape[:2]
        shrunk = max(height, width) / self.longest if self.longest else 1.0
        back = np.ones(2, np.float32)
        if shrunk > 1:
            size = max(round(width / shrunk), 1), max(round(height / shrunk), 1)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            back = np.array([width / size[0], height / size[1]], np.float32)
        boxes, scores, landmarks = self._cascade.faces(image)
        faces = [
            Detection(np.concatenate([box[:2], box[2:] - box[:2]]) * np.tile(back, 2), points * back, float(score))
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]
        if self.preset.largest_only and faces:
            return [max(faces, key=lambda face: float(face.box[2] * face.box[3]))]
        return faces


class _Batches:
    """A loaded network that takes any number of inputs, and gives empty outputs for none."""

    def __init__(self, backend: Backend, card: Card) -> None:
        self._backend = backend
        self._card = card

    def __call__(self, inputs: Floats) -> Arrays:
        most = self._card.max_batch
        chunks = [inputs[start : start + most] for start in range(0, len(inputs), most)]
        parts = [self._backend.run({self._card.input.name: chunk}) for chunk in chunks]
        if not parts:
            return {name: np.empty((0, width), np.float32) for name, width in WIDTHS.items()}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


WIDTHS = {"probability": 1, "offsets": 4, "points": 10}
"""Values per face in each output of the second and third network."""


def has_mtcnn(folder: Path) -> bool:
    """Whether MTCNN's three artefacts are in `folder`."""
    try:
        find_mtcnn(folder)
    except InputError:
        return False
    return True


def find_mtcnn(path: str | Path | None = None) -> tuple[Path, Path, Path]:
    """The three artefacts of MTCNN in the folder `path`, or those beside the artefact `path` in its precision.

    None is the folder ``engines/``. In a folder each is the fp32 file, or the only other one. Raises InputError where
    one is missing.
    """
    place = ENGINES if path is None else Path(path)
    folder, suffixes = place, ["fp32.onnx", "fp16.onnx", "int8.onnx", "plan"]
    if path is not None and not place.is_dir():
        folder, suffixes = place.parent, [place.name.partition(".")[2]]
    found = [next((f for s in suffixes if (f := folder / f"{name}.{s}").is_file()), None) for name in GROUPS["mtcnn"]]
    missing = [name for name, file in zip(GROUPS["mtcnn"], found, strict=True) if file is None]
    first, second, third = found
    if first is None or second is None or third is None:
        raise InputError(
            f"MTCNN is not in {folder}: there is no {missing[0]}.{suffixes[0]}; make it with fiqa-export mtcnn"
            + ("" if folder == ENGINES else f" --out {folder}")
        )
    return first, second, third
