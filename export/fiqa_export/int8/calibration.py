"""Learns from calibration images what int8 needs: the ranges of activations, the harm that rounding does, fitted
weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from fiqa_calibration.activations import Inputs, measure, session_options
from fiqa_calibration.candidates import folder_candidates, seeded_candidates
from fiqa_calibration.cropper import Cropper
from fiqa_calibration.dataset import COUNT, MINIMUM, CalibrationSet, Score, choose
from fiqa_calibration.histogram import METHODS
from fiqa_calibration.ranges import Ranges
from fiqa_runtime.artefact.spec import ModelSpec, output_of
from fiqa_runtime.images.crop_sampling import crop_offsets, crop_stream, cut
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.onnx_bytes.prelu import for_onnxruntime
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.progress import Report
from fiqa_runtime.system.spread import evenly
from numpy.typing import NDArray

from fiqa_export.graph.loading import nominal_bytes, open_graph, open_graph_of, save_graph
from fiqa_export.graph.memory import make_room
from fiqa_export.int8.equalisation import equalise
from fiqa_export.int8.qdq import activations_read, candidates, channel_axis
from fiqa_export.int8.rounding import Rounding
from fiqa_export.int8.sensitivity import first_order

OPERATIONS = 6e11
"""Multiply-accumulates to spend on one run over the calibration images. Large networks get fewer images, but at least
MINIMUM."""
JUDGED = 32
"""Images of the judging half with which methods are chosen and harm is predicted."""
FITTED = (8, 128)
"""Fewest and most images of the ranging half to which rounding is fitted. They are all in memory at once, so FIT_MEMORY
may ask for fewer."""
FIT_OPERATIONS = 2.5e11
"""Multiply-accumulates to spend on one run over these images; FITTED bounds their number."""
LARGEST_SIDE = 640
"""Longest side to which photos are shrunk for networks that take any size. It bounds memory."""

FIT_MEMORY, FEWEST_HELD = 160_000_000, 4
"""Most bytes that the largest activation may take over all images that rounding is fitted to, and the fewest images
whatever they take. A few activations of each image are held, of the fp32 network and of the mixture."""

Feed = Callable[[Image], Inputs]
"""uint8 BGR image -> network inputs by graph name."""


@dataclass(frozen=True)
class Images:
    """A calibration set, given as network inputs; each use reads the images again."""

    whole: CalibrationSet
    """The images that were chosen, and those left out."""
    feed: Feed
    """Turns an image into network inputs."""

    def ranging(self, most: int | None = None) -> ImagePart:
        """The half with which ranges and rounding are found; of it at most `most` images, evenly spread."""
        return ImagePart(_thinned(self.whole.halves()[0], most), self.feed)

    def judging(self, most: int | None = None) -> ImagePart:
        """The half with which methods are chosen and on which mixtures are judged; likewise."""
        return ImagePart(_thinned(self.whole.halves()[1], most), self.feed)


@dataclass(frozen=True)
class ImagePart:
    """One half of the images, or a part of it, given as network inputs; each pass reads the images again."""

    images: CalibrationSet
    """The images of the half, or of the part."""
    feed: Feed
    """Turns an image into network inputs."""

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Inputs]:
        return map(self.feed, self.images.images())


def _thinned(half: CalibrationSet, most: int | None) -> CalibrationSet:
    return replace(half, chosen=tuple(half.chosen[i] for i in evenly(most or len(half), len(half))))


def calibration_images(
    calib: str, spec: ModelSpec, size: tuple[int, int], fp32: Path, feed: Feed, report: Report
) -> Images:
    """The images that ``--calib`` names: a folder of photos or crops, or `seeded` ones of `size` (height, width).

    Raises InputError where the folder is missing or fewer than 32 of its images can be used, FetchError where photos
    need a detector that is not on this machine.
    """
    count = min(COUNT, max(MINIMUM, round(OPERATIONS / spec.macs)))
    found = seeded_candidates(*size, count) if calib == "seeded" else folder_candidates(Path(calib), _reader(spec))
    return Images(choose(found, spec.input, _score(spec, fp32, feed), count, report), feed)


def one_crop(image: Image, spec: ModelSpec) -> Image:
    """The part of `image` that the network sees: the first crop for networks that draw crops from a picture, else all
    of it."""
    sampling = spec.input.sampling
    if sampling is None or image.shape[:2] == (spec.input.height, spec.input.width):
        return image
    return cut(image, crop_offsets(image.shape[0], image.shape[1], 1, crop_stream(sampling.seed)))[0]


def _reader(spec: ModelSpec) -> Callable[[Path], Image]:
    return Cropper(spec.input) if spec.input.height is not None else _read_shrunk


def _read_shrunk(path: Path) -> Image:
    photo = read_image(path)
    shrink = LARGEST_SIDE / max(photo.shape[:2])
    return photo if shrink >= 1 else np.asarray(cv2.resize(photo, None, fx=shrink, fy=shrink), np.uint8)


def _score(spec: ModelSpec, fp32: Path, feed: Feed) -> Score | None:
    name = output_of("score", spec.outputs)
    if name is None:
        return None
    session = open_session(fp32)
    return lambda images: np.concatenate([session.run([name], dict(feed(i)))[0].reshape(-1) for i in images])


def open_session(network: Path) -> ort.InferenceSession:
    """Open the ONNX file `network` in ONNX Runtime on the CPU."""
    make_room(network)
    options = session_options(network.parent)
    return ort.InferenceSession(for_onnxruntime(network), options, providers=["CPUExecutionProvider"])


def measured(fp32: Path, base: Path, images: Images, report: Report) -> Ranges:
    """Measure the ranges of the network `fp32` by every method, on the ranging half; :func:`predicted` then chooses.

    Writes `base`, see :func:`write_base`. Raises ArtefactError where an activation is not finite.
    """
    write_base(fp32, base, {})
    tensors = _tensors_read(open_graph(base))
    ranging = images.ranging()
    make_room(base)
    statistics = measure(base, tensors, ranging, len(ranging), report)
    channels = write_base(fp32, base, {name: s.channels for name, s in statistics.items()})
    if channels:
        make_room(base)
        statistics = measure(base, tensors, ranging, len(ranging), report)
    ranges = {name: {t: method(s.histogram) for t, s in statistics.items()} for name, method in METHODS.items()}
    return Ranges(
        model=sha256_of(fp32),
        calibration=images.whole.sha256,
        images=len(images.whole),
        channels=channels,
        ranges=ranges,
        methods={},
        activations={},
        weights={},
    )


def predicted(ranges: Ranges, base: Path, images: Images, report: Report) -> Ranges:
    """`ranges` with the best method of each tensor and the predicted harm of rounding, for the network `base` on the
    judging half."""
    judging = images.judging(JUDGED)
    effects = first_order(open_graph(base), judging, ranges.ranges, len(judging), report)
    methods = effects.best_methods()
    return replace(ranges, methods=methods, activations=effects.hurt(methods), weights=effects.hurt_by_weights())


def write_base(
    fp32: Path, base: Path, channels: Mapping[str, Sequence[float]] | Mapping[str, NDArray[np.float32]]
) -> dict[str, list[float]]:
    """Write `fp32` to `base` with its channels equalised where `channels` (largest magnitudes by tensor) differ much.

    The weights lie beside `base`, so that several graphs opened from it share their memory. Returns the part of
    `channels` that was used.
    """
    model = open_graph(fp32)
    done = equalise(model, {name: np.asarray(largest, np.float32) for name, largest in channels.items()})
    save_graph(model, base, weights_beside=True)
    return {name: [float(largest) for largest in channels[name]] for name in done}


def rounding(base: Path, spec: ModelSpec, images: Images, report: Report) -> Rounding:
    """The object that fits the weights of mixtures of the network `base` to images of the ranging half."""
    fewest, most = FITTED
    graph = open_graph_of(base, LARGEST_SIDE, LARGEST_SIDE).graph
    largest = max(nominal_bytes(value) for node in graph for value in node.outputs)
    held = max(FEWEST_HELD, FIT_MEMORY // largest)
    count = min(most, max(fewest, round(FIT_OPERATIONS / spec.macs)), held)
    return Rounding(base, list(images.ranging(count)), report)


def _tensors_read(model: ir.Model) -> dict[str, int]:
    """The axis of the channels of every tensor that candidates read, by name."""
    read = (value for node in candidates(model.graph) for value in activations_read(node))
    return {str(value.name): channel_axis(value) for value in read}
