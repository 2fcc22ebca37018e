"""The device-memory interface on cuda-python (its package `cuda.bindings`)."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from fiqa_runtime.backends.cuda.driver import Bytes, Gpu
from fiqa_runtime.errors import DependencyError, UnsupportedError


class CudaError(RuntimeError):
    """A driver call failed."""


class CudaMemoryError(CudaError):
    """The GPU or the page-locked memory is full."""


class CudaPythonDriver:
    """GPU 0 through cuda-python; see :class:`fiqa_runtime.backends.cuda.driver.Driver`."""

    name = "cuda-python"
    error: type[Exception] = CudaError
    memory_error: type[Exception] = CudaMemoryError

    def __init__(self) -> None:
        try:
            from cuda.bindings import driver as cuda
        except ImportError as error:
            raise DependencyError(
                f"cuda-python cannot be imported ({error}); pip install --force-reinstall cuda-python"
            ) from error
        self._cuda = cuda
        try:
            _call(cuda, "cuInit", 0)
            device = _call(cuda, "cuDeviceGet", 0)
            self._context = _primary_context(0)
        except RuntimeError as error:  # CudaError, or that the driver's library is not there
            raise UnsupportedError(f"no NVIDIA GPU can be used ({error}); run nvidia-smi to see why") from error
        attribute = cuda.CUdevice_attribute
        major = _call(cuda, "cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
        minor = _call(cuda, "cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
        version = _call(cuda, "cuDriverGetVersion")
        self.gpu = Gpu(
            name=_call(cuda, "cuDeviceGetName", 256, device).split(b"\0")[0].decode(),
            compute_capability=f"{major}.{minor}",
            driver=f"{version // 1000}.{version % 1000 // 10}",
            integrated=bool(_call(cuda, "cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED, device)),
        )

    def push(self) -> None:
        _call(self._cuda, "cuCtxPushCurrent", self._context)

    def pop(self) -> None:
        _call(self._cuda, "cuCtxPopCurrent")

    def free_memory(self) -> int:
        return int(_call(self._cuda, "cuMemGetInfo")[0])

    def device_block(self, size: int) -> _DeviceBlock:
        return _DeviceBlock(self._cuda, size)

    def host_block(self, size: int, mapped: bool) -> _HostBlock:
        return _HostBlock(self._cuda, size, mapped)

    def stream(self) -> _Stream:
        return _Stream(self._cuda)

    def event(self) -> _Event:
        return _Event(self._cuda)

    def upload(self, address: int, source: Bytes, stream: _Stream) -> None:
        _call(self._cuda, "cuMemcpyHtoDAsync", address, source.ctypes.data, source.nbytes, stream.inner)

    def download(self, target: Bytes, address: int, stream: _Stream) -> None:
        _call(self._cuda, "cuMemcpyDtoHAsync", target.ctypes.data, address, target.nbytes, stream.inner)


class _DeviceBlock:
    def __init__(self, cuda: Any, size: int) -> None:
        self._cuda = cuda
        self.address = int(_call(cuda, "cuMemAlloc", size))

    def free(self) -> None:
        _call(self._cuda, "cuMemFree", self.address)


class _HostBlock:
    def __init__(self, cuda: Any, size: int, mapped: bool) -> None:
        self._cuda = cuda
        self._pointer = int(_call(cuda, "cuMemHostAlloc", size, cuda.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0))
        self.array: Bytes = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._pointer))

    @property
    def address(self) -> int:
        return int(_call(self._cuda, "cuMemHostGetDevicePointer", self._pointer, 0))

    def free(self) -> None:
        _call(self._cuda, "cuMemFreeHost", self._pointer)


class _Event:
    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self.inner = _call(cuda, "cuEventCreate", int(cuda.CUevent_flags.CU_EVENT_DISABLE_TIMING))

    def record(self, stream: _Stream) -> None:
        _call(self._cuda, "cuEventRecord", self.inner, stream.inner)

    def synchronize(self) -> None:
        _call(self._cuda, "cuEventSynchronize", self.inner)

    def free(self) -> None:
        _call(self._cuda, "cuEventDestroy", self.inner)


class _Stream:
    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self.inner = _call(cuda, "cuStreamCreate", int(cuda.CUstream_flags.CU_STREAM_NON_BLOCKING))
        self.handle = int(self.inner)

    def wait(self, event: _Event) -> None:
        _call(self._cuda, "cuStreamWaitEvent", self.inner, event.inner, 0)

    def synchronize(self) -> None:
        _call(self._cuda, "cuStreamSynchronize", self.inner)

    def free(self) -> None:
        _call(self._cuda, "cuStreamDestroy", self.inner)


@cache
def _primary_context(ordinal: int) -> Any:
    """The context is kept until the process ends, as the CUDA runtime inside TensorRT keeps it."""
    from cuda.bindings import driver as cuda

    return _call(cuda, "cuDevicePrimaryCtxRetain", _call(cuda, "cuDeviceGet", ordinal))


def _call(cuda: Any, name: str, *arguments: Any) -> Any:
    """The result of one driver call, a tuple where there are several; raises CudaError where the call fails."""
    status, *values = getattr(cuda, name)(*arguments)
    if status != cuda.CUresult.CUDA_SUCCESS:
        kind = CudaMemoryError if status == cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY else CudaError
        raise kind(f"{name}: {status.name}")
    return values[0] if len(values) == 1 else tuple(values)
