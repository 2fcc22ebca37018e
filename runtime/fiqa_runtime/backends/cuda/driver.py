"""What the TensorRT backend asks of CUDA, whichever package answers: memory, streams and events of one GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
        """Let work that is given to this stream later wait for the work that `event` marked."""

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
    """What the backend asks of CUDA. Every call may raise `error`, and `memory_error`, a subclass, where memory is
    full."""

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
        """Allocate `size` page-locked bytes; with `mapped` the GPU sees them too."""

    def stream(self) -> Stream: ...

    def event(self) -> Event: ...

    def upload(self, address: int, source: Bytes, stream: Any) -> None:
        """Copy page-locked `source` to the GPU when `stream` comes to it."""

    def download(self, target: Bytes, address: int, stream: Any) -> None:
        """Copy from the GPU into page-locked `target` when `stream` comes to it."""


@contextmanager
def active(driver: Driver) -> Iterator[None]:
    """Push the driver's context in the calling thread, and pop it at the end."""
    driver.push()
    try:
        yield
    finally:
        driver.pop()
