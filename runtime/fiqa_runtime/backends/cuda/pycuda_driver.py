"""The device-memory interface on pycuda.

Outside the thread that retained the context pycuda frees nothing unless that context is current, and merely warns:
callers push before they free.
"""

from __future__ import annotations

import weakref
from functools import cache
from typing import Any

import numpy as np

from fiqa_runtime.backends.cuda.driver import Bytes, Gpu
from fiqa_runtime.errors import DependencyError, UnsupportedError

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name."""


class PycudaDriver:
    """GPU 0 through pycuda; see :class:`fiqa_runtime.backends.cuda.driver.Driver`."""

    name = "pycuda"

    def __init__(self) -> None:
        try:
            import pycuda.driver as cuda
        except ImportError as error:
            raise DependencyError(
                f"pycuda cannot load CUDA ({error}); install the NVIDIA driver and the CUDA toolkit it was built with"
            ) from error
        self._cuda = cuda
        self.error: type[Exception] = cuda.Error
        self.memory_error: type[Exception] = cuda.MemoryError  # a class of its own, not Python's MemoryError
        try:
            cuda.init()
            device = cuda.Device(0)
            self._context = _primary_context(0)
        except cuda.Error as error:
            raise UnsupportedError(f"no NVIDIA GPU can be used ({error}); run nvidia-smi to see why") from error
        major, minor = divmod(cuda.get_driver_version(), 1000)
        self.gpu = Gpu(
            name=device.name(),
            compute_capability="{}.{}".format(*device.compute_capability()),
            driver=f"{major}.{minor // 10}",
            integrated=bool(device.get_attribute(cuda.device_attribute.INTEGRATED)),
        )

    def push(self) -> None:
        self._context.push()

    def pop(self) -> None:
        self._cuda.Context.pop()

    def free_memory(self) -> int:
        return int(self._cuda.mem_get_info()[0])

    def device_block(self, size: int) -> _DeviceBlock:
        return _DeviceBlock(self._cuda.mem_alloc(size))

    def host_block(self, size: int, mapped: bool) -> _HostBlock:
        flags = self._cuda.host_alloc_flags.DEVICEMAP if mapped else 0
        return _HostBlock(self._cuda.pagelocked_empty(size, np.uint8, mem_flags=flags))

    def stream(self) -> _Stream:
        return _Stream(self._cuda.Stream(NON_BLOCKING))

    def event(self) -> _Event:
        return _Event(self._cuda.Event(self._cuda.event_flags.DISABLE_TIMING))

    def upload(self, address: int, source: Bytes, stream: _Stream) -> None:
        self._cuda.memcpy_htod_async(address, source, stream.inner)

    def download(self, target: Bytes, address: int, stream: _Stream) -> None:
        self._cuda.memcpy_dtoh_async(target, address, stream.inner)


class _DeviceBlock:
    def __init__(self, allocation: Any) -> None:
        self._allocation = allocation
        self.address = int(allocation)

    def free(self) -> None:
        self._allocation.free()


class _HostBlock:
    def __init__(self, array: Bytes) -> None:
        self.array = array
        self._allocation: Any = array.base

    @property
    def address(self) -> int:
        return int(self._allocation.get_device_pointer())

    def free(self) -> None:
        self._allocation.free()


class _Event:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def record(self, stream: _Stream) -> None:
        self.inner.record(stream.inner)

    def synchronize(self) -> None:
        self.inner.synchronize()

    def free(self) -> None:
        del self.inner


class _Stream:
    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.handle = int(inner.handle)

    def wait(self, event: _Event) -> None:
        self.inner.wait_for_event(event.inner)

    def synchronize(self) -> None:
        self.inner.synchronize()

    def free(self) -> None:
        del self.inner


@cache
def _primary_context(ordinal: int) -> Any:
    """The context is kept for the process, and released at its end, after every backend that was opened with it.

    pycuda releases a primary context only in the thread that retained it. Where the context is merely dropped, pycuda
    takes it for one that it created itself, and prints a complaint.
    """
    import pycuda.driver as cuda

    context = cuda.Device(ordinal).retain_primary_context()
    weakref.finalize(_primary_context, context.detach)
    return context
