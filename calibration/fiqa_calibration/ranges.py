"""How large the activations of an fp32 network get: measured while images stream by, kept in a file without faces.

statistics = measure(network, tensors, inputs)
largest = {name: METHODS["percentile"](s.histogram) for name, s in statistics.items()}
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.console import Report, silent
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.files import write_text
from fiqa_runtime.host import thread_limit
from numpy.typing import NDArray

from fiqa_calibration.histogram import Histogram

Inputs = Mapping[str, NDArray[np.float32]]
"""Network inputs by graph name, float32 with a batch axis."""
HELD = 2**28
"""Bytes of activations (for an image of nominal size) that are taken out of the network at once."""
VERSION = 1


class Statistics:
    """What is remembered of one tensor: a histogram, and the largest magnitude of every channel."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.channels: NDArray[np.float32] = np.zeros(0, np.float32)
        """Largest magnitude per channel, (C,): axis 1 of images (N, C, H, W), the last axis of other tensors."""

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's finite values for some images."""
        self.histogram.add(values)
        axes = (0, 2, 3) if values.ndim == 4 else tuple(range(values.ndim - 1))
        channels = np.abs(values).max(axis=axes, initial=0.0).reshape(-1)
        self.channels = np.maximum(self.channels, channels) if self.channels.size else channels


def measure(
    network: Path, tensors: Sequence[str], inputs: Iterable[Inputs], total: int = 0, report: Report = silent
) -> dict[str, Statistics]:
    """Statistics of the float32 `tensors` of the ONNX file `network`, by name, over all `inputs`.

    `inputs` are read one at a time and forgotten: memory is that of the network, of at most HELD bytes of its
    activations, and of one histogram per tensor. `total` is their number, for `report`. Raises InputError where there
    is none or a tensor is unknown, ArtefactError where an activation is not finite.
    """
    statistics = {name: Statistics() for name in tensors}
    session, portions = _open(network, tensors)
    done = 0
    for feed in inputs:
        report("measure activations", done, total or done + 1)
        for name in set(tensors) & set(feed):
            _add(statistics, name, feed[name])
        for names in portions:
            for name, values in zip(names, session.run(names, dict(feed)), strict=True):
                _add(statistics, name, values)
        done += 1
    if not done:
        raise InputError(f"no images to measure {network.name} with; give at least one")
    report("measure activations", done, done)
    return statistics


def session_options(folder: Path) -> Any:
    """Options of ONNX Runtime for a network given as bytes, whose large weights lie in `folder`; silent but for errors.

    The network itself may be given by its path too. Torch, which works by turns with it, gets its cores back after each
    run, and both take as many threads as OMP_NUM_THREADS says.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(wanted) if wanted.isdigit() else thread_limit() or 0
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return options


def _add(statistics: Mapping[str, Statistics], name: str, values: NDArray[np.float32]) -> None:
    if not np.isfinite(values).all():
        raise ArtefactError(f"the fp32 network itself overflows at {name}; leave the image out or use other weights")
    statistics[name].add(values)


def _open(network: Path, tensors: Sequence[str]) -> tuple[Any, list[list[str]]]:
    """A session that gives those `tensors` that are no inputs, and their names in portions of at most HELD bytes."""
    import onnx
    import onnxruntime as ort

    model = onnx.load(str(network), load_external_data=False)
    graph = model.graph
    inputs, outputs = ({value.name for value in values} for values in (graph.input, graph.output))
    inside = {name for node in graph.node for name in node.output}
    unknown = sorted(set(tensors) - inputs - inside)
    if unknown:
        raise InputError(f"{network.name} has no tensor {unknown[0]}; measure the file that is to be converted")
    wanted = [name for name in tensors if name not in inputs]
    for name in wanted:
        if name not in outputs:
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = session_options(network.parent)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    sizes = {value.name: _bytes(value) for value in (*graph.value_info, *graph.output)}
    return session, list(_portions(wanted, sizes))


def _bytes(value: Any) -> int:
    """Bytes of a float32 value for one image; unknown sides count as 1."""
    return int(4 * np.prod([max(1, side.dim_value) for side in value.type.tensor_type.shape.dim]))


def _portions(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    portion: list[str] = []
    held = 0
    for name in names:
        if portion and held + sizes.get(name, 0) > HELD:
            yield portion
            portion, held = [], 0
        portion.append(name)
        held += sizes.get(name, 0)
    if portion:
        yield portion


@dataclass(frozen=True)
class Ranges:
    """What calibration found, without the images: fits one fp32 network with one set of weights."""

    model: str
    """Hex SHA-256 of the fp32 ONNX file."""
    calibration: str
    """Hex SHA-256 of the set of images, see :attr:`fiqa_calibration.dataset.CalibrationSet.sha256`."""
    images: int
    """Images of the set."""
    channels: Mapping[str, Sequence[float]]
    """By tensor to be equalised: largest magnitude of every channel, in the network as it was exported."""
    ranges: Mapping[str, Mapping[str, float]]
    """By method, by tensor: largest magnitude that int8 represents, after equalisation by `channels`."""
    methods: Mapping[str, str]
    """By tensor: the method that serves it best; empty where calibration was interrupted before that was known."""
    activations: Mapping[str, float]
    """By node: what rounding the activations that it reads does to the outputs, as a share of their spread."""
    weights: Mapping[str, float]
    """By layer: what rounding its weights to the nearest level does, likewise."""
    kept: Sequence[str] | None = None
    """What the search kept in higher precision when it had the images; None where it did not come to an end."""

    @property
    def chosen(self) -> dict[str, float]:
        """By tensor: the range by its method."""
        return {name: self.ranges[method][name] for name, method in self.methods.items()}

    def save(self, path: Path) -> None:
        """Write to `path` as JSON; raises InputError where that cannot be done."""
        write_text(path, json.dumps({"version": VERSION, **asdict(self)}) + "\n")

    @classmethod
    def load(cls, path: Path, model: str, calibration: str | None = None) -> Ranges:
        """Read what :meth:`save` wrote for the fp32 file with SHA-256 `model` (and the image set `calibration`).

        Raises InputError where the file is missing or no such cache, or was made of another network or of other
        images.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = cls(**{key: value for key, value in data.items() if key != "version"})
            version, numbers = data["version"], [*found.chosen.values(), *found.activations.values()]
        except FileNotFoundError as error:
            raise InputError(f"there is no file of ranges {path}; make one with --calib FOLDER") from error
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; check its permissions") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is no file of ranges; calibrate again with --calib FOLDER") from error
        if version != VERSION:
            raise InputError(f"{path} was written by another version; calibrate again with --calib FOLDER")
        if not all(isinstance(value, int | float) and math.isfinite(value) and value >= 0 for value in numbers):
            raise InputError(f"{path} holds ranges that are no numbers; calibrate again with --calib FOLDER")
        if found.model != model:
            raise InputError(
                f"{path} belongs to another network or other weights (SHA-256 {found.model[:12]}, not {model[:12]}); "
                "calibrate this one with --calib FOLDER"
            )
        if calibration is not None and found.calibration != calibration:
            raise InputError(f"{path} was made of other images; calibrate again with --calib FOLDER")
        if calibration is None and not found.methods:
            raise InputError(f"{path} is of a calibration that was interrupted; end it with --calib FOLDER")
        return found
