"""What the golden files hold about tensors and pictures, in one form whatever a file's layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.images.preprocess import Image
from numpy.typing import NDArray
from torch import Tensor, nn

PREPROCESSINGS: dict[str, dict[str, Any]] = {
    "official": {},
    "opencv_zoo": {"resize": "opencv-bilinear"},
    "rgb": {},
    "bgr_literal_default": {"colour": "BGR"},
}
"""Preprocessings that a golden may hold for one file, as changes to the network's own."""
STATISTICS: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "std": np.std,
    "l2": np.linalg.norm,
}


@dataclass(frozen=True)
class Sample:
    """What a golden says about one tensor: values at flat indices, and statistics of all of it."""

    shape: tuple[int, ...]
    index: list[int]
    values: list[float]
    statistics: dict[str, float] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        return max(abs(value) for value in self.values)

    def deviation(self, actual: Tensor) -> float:
        """Largest difference between `actual` (one image) and the golden."""
        assert tuple(actual.shape)[-len(self.shape) :] == self.shape
        assert actual.numel() == np.prod(self.shape)
        array = actual.double().numpy()
        whole = [abs(STATISTICS[name](array) - value) for name, value in self.statistics.items()]
        return float(max([*np.abs(array.ravel()[self.index] - self.values), *whole]))


def score_sample(value: float) -> Sample:
    return Sample((1,), [0], [value])


def map_sample(document: dict[str, Any], entry: dict[str, Any]) -> Sample:
    _, width = entry["shape"]
    index = [y * width + x for y, x in document["map_positions"]]
    return Sample(tuple(entry["shape"]), index, entry["values"], _statistics(entry))


def tensor_sample(entry: dict[str, Any]) -> Sample:
    index, values = (
        next(entry[key] for key in keys if key in entry)
        for keys in (("flat_index", "flat_indices"), ("values", "value", "values64"))
    )
    return Sample(tuple(entry["shape"]), index, values, _statistics(entry))


def _statistics(entry: dict[str, Any]) -> dict[str, float]:
    return {name: entry[name] for name in STATISTICS if name in entry}


def output_samples(document: dict[str, Any], number: int, bits: int) -> dict[str, Sample]:
    """Outputs by name for input `number`: a score, a map with its mean, or detector heads."""
    raw = document[f"raw{bits}"][number]
    if isinstance(raw, list):
        return {"score": score_sample(raw[0])}
    if "map_positions" in document:
        return {"score": score_sample(document[f"score{bits}"][number]), "map": map_sample(document, raw)}
    return {name: tensor_sample(entry) for name, entry in raw.items()}


def module_samples(document: dict[str, Any], number: int) -> Iterator[tuple[str, Sample]]:
    """(module, what comes out of it in float64) for input `number`; nothing where the golden holds none."""
    if "embedding64" in document:
        yield document["embedding_name"], tensor_sample(document["embedding64"][number])
    if document.get("taps64_image") == number:
        yield from ((name, tensor_sample(entry)) for name, entry in document["taps64"].items())
    for part in (document.get("intermediate"), document.get("intermediate_second")):
        if part and part["image_index"] == document["inputs"][number]["image_index"]:
            yield from ((name, tensor_sample(entry)) for name, entry in part["tensors"].items())


def file_samples(document: dict[str, Any], entry: dict[str, Any]) -> dict[str, Sample]:
    outputs = {"score": score_sample(entry["score32"])}
    return {**outputs, "map": map_sample(document, entry["map32"])} if "map32" in entry else outputs


def picture(entry: dict[str, Any], folder: Path) -> Image:
    """The decoded file of `entry`, known to be the one that the golden was made from."""
    path = folder / entry["file"]
    digest = entry.get("sha256") or entry.get("file_sha256")
    assert digest in (None, file_hash(path))
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    rgb, bgr = entry.get("decoded_rgb_sha256_opencv"), entry.get("decoded_bgr_sha256")
    if rgb not in (None, pixel_hash(image[..., ::-1])) or bgr not in (None, pixel_hash(image)):
        pytest.skip(f"this OpenCV decodes {entry['file']} to other pixels than the golden's")
    return image


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pixel_hash(image: Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def preprocessings(spec: InputSpec, entry: dict[str, Any]) -> list[tuple[InputSpec, dict[str, Any]]]:
    """(preprocessing, what the golden says of it) for one file."""
    found = [(replace(spec, **change), entry[key]) for key, change in PREPROCESSINGS.items() if key in entry]
    return found or [(spec, entry)]


def checksum(model: nn.Module) -> dict[str, float]:
    """Count, sum and absolute sum of the floating entries, as the goldens record them."""
    tensors = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    total = sum(float(tensor.double().sum()) for tensor in tensors)
    absolute = sum(float(tensor.double().abs().sum()) for tensor in tensors)
    return {"tensors": len(tensors), "sum": total, "abs_sum": absolute}


@contextmanager
def recorded(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """What the named modules return while the block runs."""
    seen: dict[str, Tensor] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
        for name in names
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def synthetic_landmarks() -> NDArray[np.float32]:
    """The 68 landmarks (68, 2) that DSL-FIQA's golden names, in pixels of a picture of 512 x 512."""
    k = np.arange(68)
    return np.stack(((37 * k + 11) % 512, (101 * k + 29) % 512), axis=1).astype(np.float32)
