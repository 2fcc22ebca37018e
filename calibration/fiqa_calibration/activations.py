"""How large the activations of an fp32 network get, measured in ONNX Runtime while images stream by.

statistics = measure(network, {"conv1": 1}, inputs)
largest = {name: METHODS["percentile"](s.histogram) for name, s in statistics.items()}
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.system.host import thread_limit
from fiqa_runtime.system.progress import Report, silent
from numpy.typing import NDArray

from fiqa_calibration.histogram import Histogram

Inputs = Mapping[str, NDArray[np.float32]]
"""Network inputs by graph name, float32 with a batch axis."""
HELD = 2**28
"""Bytes of activations (for an image of nominal size) that are taken out of the network at once."""


class Statistics:
    """What is remembered of one tensor: a histogram, and the largest magnitude of every channel."""

    def __init__(self, axis: int) -> None:
        """`axis` is the axis of the channels."""
        self.histogram = Histogram()
        self.channels: NDArray[np.float32] = np.zeros(0, np.float32)
        """Largest magnitude per channel, (C,)."""
        self._axis = axis

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's finite values for some images."""
        self.histogram.add(values)
        channels = np.abs(np.moveaxis(values, self._axis, 0)).reshape(values.shape[self._axis], -1).max(axis=1)
        self.channels = np.maximum(self.channels, channels) if self.channels.size else channels


def measure(
    network: Path, tensors: Mapping[str, int], inputs: Iterable[Inputs], total: int = 0, report: Report = silent
) -> dict[str, Statistics]:
    """Statistics of float32 tensors of the ONNX file `network`, by name, over all `inputs`.

    `tensors` maps the name of each tensor to the axis of its channels. `inputs` are read one at a time and not kept:
    memory holds the network, at most HELD bytes of its activations, and one histogram per tensor. `total` is the number
    of `inputs`, for `report`. Raises InputError where `inputs` is empty or a tensor is unknown, ArtefactError where an
    activation is not finite.
    """
    statistics = {name: Statistics(axis) for name, axis in tensors.items()}
    session, portions = _open(network, list(tensors))
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
    """Options of an ONNX Runtime session that logs errors only and finds the large weights of a network in `folder`.

    They serve networks that are given as bytes and networks that are given by path. After each run the session gives
    the processor's cores back, because torch works in turn with it. Both use as many threads as OMP_NUM_THREADS says.
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
    """A session that can give all of `tensors` that are not inputs, and the names of these in portions of at most HELD
    bytes."""
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
