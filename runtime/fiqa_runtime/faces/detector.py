"""Faces in a photo, found by YuNet: in ONNX Runtime, in OpenVINO, or through OpenCV's FaceDetectorYN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card, has_card, read_card
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR, MODELS
from fiqa_runtime.backends import available, open_backend, require_device
from fiqa_runtime.backends.devices import CPU, check_device
from fiqa_runtime.errors import ArtefactError, DependencyError, InputError, UnsupportedError
from fiqa_runtime.faces.detection import Detection, intersection_over_union
from fiqa_runtime.faces.on_device import refuse_other_faces
from fiqa_runtime.faces.yunet import HEADS, Rows, Run, YunetDecoder
from fiqa_runtime.images.preprocess import Image, check_image
from fiqa_runtime.onnx_bytes.external import external_files
from fiqa_runtime.scoring.first_opening import open_elsewhere
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.host import limit_opencv, thread_limit

LONGEST = 2048
"""Default of `longest`: a photo whose longest side has more pixels is shrunk to it before faces are looked for."""
CONFIDENCE = 0.6
"""Default of `min_confidence`: detections below it are ignored."""
FACE_DETECTOR_YN = "FaceDetectorYN"
PROCESS = "fiqa_runtime.faces.opening_process"
"""Opens a detector of unknown origin before this process does."""
COPY = 640
"""Longest side of the additional copy in which large faces are looked for."""
SMALLEST = 64
"""Smaller sides are padded to this: OpenCV 4 computes YuNet wrongly where a padded side is 32 px."""
SAME = 0.3
"""Overlap (intersection over union) above which two detections are one face."""
CLEAR = 0.75
"""Confidence from which a detection within a large face is a face of its own. In 180 enlargements of the sample photos
the surest fragment had 0.55, and the least sure of the enlarged faces 0.80."""
LARGE = 300
"""A face longer than this is taken from the small copy: YuNet is made for faces of 10 to 300 pixels."""


class Detector:
    """Finds faces with a YuNet ONNX file.

        faces = Detector().detect(image)        # uint8 BGR (H, W, 3) -> list[Detection]

    Without `path`, OpenCV Zoo's 2023 file is looked for on this machine, and downloaded where it is missing.
    `min_confidence` 0.6 keeps the blurred and the covered faces that a quality network should see; OpenCV's demos use
    0.9. `nms` is the largest overlap (intersection over union) of two faces, `top_k` the most candidates compared.
    `backend`: `auto` is ONNX Runtime where it is installed, else `opencv`, which is FaceDetectorYN, else `openvino`,
    which prepares itself anew for every photo size. All give the same boxes to a thousandth of a pixel. `opencv` does
    not take files exported with ``--raw-input``. `longest`: a photo with a longer side is shrunk to this many pixels;
    the time falls with its square. Any number of threads may use one detector, and a pickled one is opened anew.
    `device` is one of :data:`fiqa_runtime.backends.devices.DEVICES`, None the processor; on another one the detector
    has to find what it finds on the processor, in the portrait that comes along.

    Raises InputError for a missing file, a threshold outside 0..1 or a side below 64 px, ArtefactError where the file
    is not a YuNet, DependencyError where what `backend` names is not installed, UnsupportedError where FaceDetectorYN
    cannot load the file, VerdictError where other faces are found on `device`, and what `locate` raises.
    """

    engine: str
    """What runs the file: `FaceDetectorYN`, or the name of a backend, whose outputs `YunetDecoder` decodes."""

    def __init__(
        self,
        path: str | Path | None = None,
        min_confidence: float = CONFIDENCE,
        nms: float = 0.3,
        top_k: int = 5000,
        backend: str = "auto",
        threads: int | None = None,
        longest: int = LONGEST,
        device: str | None = None,
    ) -> None:
        for name, value in (("min_confidence", min_confidence), ("nms", nms)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} is {value}; choose a number from 0 to 1")
        if longest < SMALLEST:
            raise InputError(f"a longest side of {longest} px is too small for faces; choose {SMALLEST} or more")
        self.path = locate(DETECTOR) if path is None else Path(path)
        self.longest = longest
        self.device = check_device(device or CPU)
        self._settings = (min_confidence, nms, top_k, threads)
        _check_is_yunet(self.path)
        if not has_card(self.path) and sha256_of(self.path) != DETECTOR.sha256:
            arguments = (str(self.path.absolute()), backend, self.device)
            open_elsewhere(self.path, PROCESS, *arguments, advice=f"use {DETECTOR.file}")
        spec = _input(self.path)
        limit_opencv(threads)
        name = _fastest(self.path, self.device) if backend == "auto" else backend
        self._rows: Callable[[Image], Rows]
        if name == "opencv" and self.device == CPU:
            if not _opencv_loads(self.path):
                raise UnsupportedError(f"{_cannot_read(self.path)}; choose another backend or use {DETECTOR.file}")
            self.engine = FACE_DETECTOR_YN
            self._rows = partial(_opencv_rows, _create(self.path, min_confidence, nms, top_k), Lock())
        else:
            self.engine = name
            run = yunet_network(self.path, name, threads or thread_limit(), self.device)
            self._rows = YunetDecoder(run, min_confidence, nms, top_k, spec).rows
        if self.device != CPU:
            here = Detector(self.path, min_confidence, nms, top_k, threads=threads, longest=longest)
            refuse_other_faces(self, here, self.device)

    @property
    def name(self) -> str:
        """What results call it: the name of its file."""
        return self.path.name

    @property
    def settings(self) -> dict[str, Any]:
        """What a result must say beside the name."""
        return {"min_confidence": self._settings[0], "longest_side": self.longest}

    def __reduce__(self) -> tuple[type[Detector], tuple[object, ...]]:
        *selection, threads = self._settings
        backend = "opencv" if self.engine == FACE_DETECTOR_YN else self.engine
        return Detector, (str(self.path.absolute()), *selection, backend, threads, self.longest, self.device)

    def __repr__(self) -> str:
        return f"<Detector {self.name} through {self.engine}{'' if self.device == CPU else f', {self.device}'}>"

    def detect(self, image: Image) -> list[Detection]:
        """The faces of a uint8 BGR photo of any size, highest confidence first; an empty list without any.

        A photo of at most 640 px is searched as it is. A larger one is searched twice: as it is (shrunk to `longest`
        px if need be) for faces of up to 300 px, and in a copy of 640 px for larger faces, of which YuNet would find
        only fragments in the original. Raises InputError where `image` is not uint8 (H, W, 3).
        """
        check_image(image)
        fine, shrunk = self._search(image, self.longest)
        if min(max(image.shape[:2]), self.longest) <= COPY:
            return fine
        limit = LARGE * shrunk
        coarse = self._search(image, COPY)[0]
        large = [face for face in coarse if _length(face) > limit]
        # The two searches disagree by some percent on the size of a face, so the ranges overlap.
        small = [face for face in fine if _length(face) < 1.2 * limit and not _is_part(face, large, coarse)]
        return sorted(large + small, key=lambda face: -face.confidence)

    def _search(self, image: Image, longest: int) -> tuple[list[Detection], float]:
        """Faces seen in a copy of at most `longest` px, in pixels of `image`, and how far it is shrunk."""
        height, width = image.shape[:2]
        shrunk = max(height, width) / longest
        if shrunk <= 1:
            return [_detection(row) for row in self._rows(_padded(image))], 1.0
        size = max(round(width / shrunk), 1), max(round(height / shrunk), 1)
        copy = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        back = np.array([width / size[0], height / size[1]], np.float32)
        rows = self._rows(_padded(copy)) * np.append(np.tile(back, 7), np.float32(1))
        return [_detection(row) for row in rows], shrunk


def yunet_network(path: Path, name: str, threads: int | None = None, device: str = CPU) -> Run:
    """The YuNet file `path` in the backend `name` on `device`, for :class:`YunetDecoder`; raises what `open_backend`
    raises."""
    spec = MODELS["yunet-s"]
    card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, max_batch=1)
    backend = open_backend(name, path, card, threads, device=device)
    return lambda blob: backend.run({spec.input.name: blob})


def _input(path: Path) -> InputSpec:
    """What the file takes: what its card says, which has to be the card of this very file, else what YuNet's authors
    feed."""
    return read_card(path).input if has_card(path) else MODELS["yunet-s"].input


def _padded(image: Image) -> Image:
    """`image` with black at the bottom and right where a side is below :data:`SMALLEST`."""
    bottom, right = (max(SMALLEST - side, 0) for side in image.shape[:2])
    if not bottom and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8)


def _detection(row: NDArray[np.float32]) -> Detection:
    return Detection(row[:4], row[4:14].reshape(5, 2), float(row[14]))


def _length(face: Detection) -> float:
    return float(face.box[2:].max())


def _is_part(face: Detection, large: list[Detection], coarse: list[Detection]) -> bool:
    """Whether `face`, found in the photo itself, is one of the `large` faces once more, or a fragment of one.

    A clear face in front of a large one is neither, nor is one that the small copy shows too (`coarse`).
    """
    if not large:
        return False
    if _overlap(face, large) > SAME:
        return True
    centre = face.box[:2] + face.box[2:] / 2
    inside = any(((centre >= o.box[:2]) & (centre <= o.box[:2] + o.box[2:])).all() for o in large)
    return inside and face.confidence < CLEAR and _overlap(face, coarse) <= SAME


def _overlap(face: Detection, others: list[Detection]) -> float:
    """The largest intersection over union with one of `others`, 0 where there are none."""
    if not others:
        return 0.0
    return float(intersection_over_union(face.box, np.array([other.box for other in others])).max())


def _check_is_yunet(path: Path) -> None:
    # OpenCV crashes on some graphs of other networks, so the file is looked at before OpenCV loads it.
    if not path.is_file():
        raise InputError(f"there is no detector {path}; check the spelling or use {DETECTOR.file}")
    content = path.read_bytes()
    if any(name.encode() not in content for name in HEADS):
        raise ArtefactError(f"{path} is not a YuNet ONNX file; use {DETECTOR.file} from {DETECTOR.page}")
    external_files(path)


def _opencv_loads(path: Path) -> bool:
    """Whether FaceDetectorYN runs this file at any size; OpenCV 4 cannot import the authors' dynamic ones."""
    try:
        with _quiet():
            _opencv_rows(_create(path, 0.6, 0.3, 5000), Lock(), np.zeros((64, 96, 3), np.uint8))
    except cv2.error:
        return False
    return True


def _create(path: Path, min_confidence: float, nms: float, top_k: int) -> cv2.FaceDetectorYN:
    with _quiet():
        return cv2.FaceDetectorYN.create(str(path), "", (32, 32), min_confidence, nms, top_k)


def _opencv_rows(detector: cv2.FaceDetectorYN, lock: Lock, image: Image) -> Rows:
    height, width = image.shape[:2]
    with lock:
        detector.setInputSize((width, height))
        _, rows = detector.detect(image)
    return np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)


def _fastest(path: Path, device: str) -> str:
    """The backend that `auto` is for the file `path` on `device`."""
    if device != CPU:
        return require_device(device)[0]
    if "onnxruntime" in available():
        return "onnxruntime"
    if _opencv_loads(path):
        return "opencv"
    if "openvino" in available():
        return "openvino"
    raise DependencyError(f"{_cannot_read(path)}; pip install 'fiqa-edge[onnxruntime]' or use {DETECTOR.file}")


def _cannot_read(path: Path) -> str:
    return f"OpenCV {cv2.__version__} cannot read {path.name}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from printing warnings about its engines, and errors about files that it cannot import."""
    log = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
