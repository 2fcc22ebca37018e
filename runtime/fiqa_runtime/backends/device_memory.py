"""GPU memory, streams and events: one small interface for the TensorRT backend, and the buffers made of it.

Two implementations: :mod:`fiqa_runtime.backends.cuda_pycuda`, the default, and
:mod:`fiqa_runtime.backends.cuda_python` where pycuda is missing. Both use GPU 0 (CUDA_VISIBLE_DEVICES chooses which
that is) and its primary context, the one of TensorRT and torch: it is retained once and left to the process, and
every call below wants it pushed in the calling thread (:func:`active`).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import DependencyError, UnsupportedError

Shape = tuple[int, ...]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Gpu:
    """The GPU that a driver drives."""

    name: str
    compute_capability: str
    """Like `8.7`."""
    driver: str
    """Newest CUDA version of the installed NVIDIA driver, like `12.6`."""
    integrated: bool
    """Whether it shares its memory with the processor, as on Jetson."""


class Event(Protocol):
    """A mark in a stream."""

    def record(self, stream: Any) -> None:
        """Mark everything that `stream` has been given so far."""

    def synchronize(self) -> None:
        """Wait in the calling thread until the marked work is done."""

    def free(self) -> None: ...


class Stream(Protocol):
    """A queue of work on the GPU; does not wait for the default stream."""

    @property
    def handle(self) -> int:
        """What TensorRT takes."""

    def wait(self, event: Any) -> None:
        """Let later work of this stream wait for the work that `event` marked."""

    def synchronize(self) -> None:
        """Wait in the calling thread until the stream is empty."""

    def free(self) -> None: ...


class DeviceBlock(Protocol):
    """Memory of the GPU."""

    @property
    def address(self) -> int: ...

    def free(self) -> None: ...


class HostBlock(Protocol):
    """Page-locked memory of the processor."""

    @property
    def array(self) -> Bytes:
        """The memory itself; not to be touched after `free`."""

    @property
    def address(self) -> int:
        """Where the GPU sees it; only for mapped blocks."""

    def free(self) -> None: ...


class Driver(Protocol):
    """What the backend asks of CUDA. Everything raises `error`, without memory the `memory_error` among them."""

    name: str
    """Package that implements it."""
    gpu: Gpu
    error: type[Exception]
    memory_error: type[Exception]

    def push(self) -> None:
        """Make the primary context current in the calling thread."""

    def pop(self) -> None:
        """Undo the thread's last push."""

    def free_memory(self) -> int:
        """Bytes that the GPU has free."""

    def device_block(self, size: int) -> DeviceBlock:
        """Allocate `size` bytes on the GPU."""

    def host_block(self, size: int, mapped: bool) -> HostBlock:
        """Allocate `size` page-locked bytes, where `mapped` also visible to the GPU."""

    def stream(self) -> Stream: ...

    def event(self) -> Event: ...

    def upload(self, address: int, source: Bytes, stream: Any) -> None:
        """Copy page-locked `source` to the GPU when `stream` comes to it."""

    def download(self, target: Bytes, address: int, stream: Any) -> None:
        """Copy from the GPU into page-locked `target` when `stream` comes to it."""


def open_driver() -> Driver:
    """pycuda, else cuda-python; raises DependencyError where there is neither, UnsupportedError without a GPU."""
    if importlib.util.find_spec("pycuda"):
        from fiqa_runtime.backends.cuda_pycuda import PycudaDriver

        return PycudaDriver()
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings"):
        from fiqa_runtime.backends.cuda_python import CudaPythonDriver

        return CudaPythonDriver()
    raise DependencyError(
        "neither pycuda nor cuda-python is installed; pip install 'fiqa-edge[tensorrt]', or cuda-python alone"
    )


@contextmanager
def active(driver: Driver) -> Iterator[None]:
    """The driver's context pushed in the calling thread, and popped at the end."""
    driver.push()
    try:
        yield
    finally:
        driver.pop()


class Slot:
    """Buffers for one batch at a plan's largest shapes, on the host and on the GPU.

    On a GPU with its own memory each tensor has page-locked memory and a device block with copies between them; on an
    integrated one both sides see one mapped block and nothing is copied. Tensors are float32, those in `raw` uint8.
    """

    def __init__(self, driver: Driver, shapes: Mapping[str, Shape], frees: ExitStack, raw: Collection[str]) -> None:
        """Allocate for the largest `shapes` by tensor; what `frees` will free. Raises the driver's errors."""
        self._driver = driver
        self._raw = raw
        self._copies = not driver.gpu.integrated
        self._host: dict[str, HostBlock] = {}
        self.addresses: dict[str, int] = {}
        for name, shape in shapes.items():
            size = self._nbytes(name, shape)
            host = driver.host_block(size, mapped=driver.gpu.integrated)
            frees.callback(host.free)
            self._host[name] = host
            if self._copies:
                device = driver.device_block(size)
                frees.callback(device.free)
                self.addresses[name] = device.address
            else:
                self.addresses[name] = host.address
        self.uploaded = driver.event()
        frees.callback(self.uploaded.free)
        self.done = driver.event()
        frees.callback(self.done.free)

    def array(self, name: str, shape: Shape) -> NDArray[Any]:
        """The host side of a tensor of `shape`; the GPU may be writing to it until `done`."""
        values = self._host[name].array[: self._nbytes(name, shape)]
        return values.view(np.uint8 if name in self._raw else np.float32).reshape(shape)

    def upload(self, name: str, shape: Shape, stream: Stream) -> None:
        """Bring an input to the GPU."""
        if self._copies:
            self._driver.upload(self.addresses[name], self._host[name].array[: self._nbytes(name, shape)], stream)

    def download(self, name: str, shape: Shape, stream: Stream) -> None:
        """Bring an output back."""
        if self._copies:
            self._driver.download(self._host[name].array[: self._nbytes(name, shape)], self.addresses[name], stream)

    def _nbytes(self, name: str, shape: Shape) -> int:
        return math.prod(shape) if name in self._raw else nbytes(shape)


def nbytes(shape: Shape) -> int:
    """Bytes of a float32 tensor."""
    return math.prod(shape) * np.dtype(np.float32).itemsize


def out_of_memory(wanted: int, free: int, batch: int, rebuild: str) -> UnsupportedError:
    """The error for a failed allocation: what was wanted for `batch`, what was free, which batch would fit.

    Activations and buffers grow with the batch, so the batch that would fit is `free` as a share of `wanted`.
    """
    fits = min(batch - 1, batch * free // max(wanted, 1))
    advice = f"batches of about {fits} would fit: {rebuild} --batch 1,{fits},{fits}" if fits else "not one image fits"
    return UnsupportedError(
        f"not enough GPU memory for batches of {batch}: {_megabytes(wanted)} wanted, {_megabytes(free)} free; "
        f"close other programs on the GPU; {advice}"
    )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
