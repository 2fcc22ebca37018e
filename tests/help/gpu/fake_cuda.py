"""Fake packages `pycuda` and `cuda.bindings` over one FakeGpu, with the habits of the real ones that matter here."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.help.gpu.fake_gpu import FakeEvent, FakeGpu, FakeStream, NoContextError, OutOfMemoryError


def module(name: str, **contents: Any) -> ModuleType:
    """A module that `import` and `find_spec` take for a real one."""
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    made.__path__ = []
    vars(made).update(contents)
    return made


class PycudaError(Exception):
    """pycuda.driver.Error."""


class PycudaMemoryError(PycudaError):
    """pycuda.driver.MemoryError, which is not Python's MemoryError."""


class PycudaLogicError(PycudaError):
    """pycuda.driver.LogicError."""


def fake_pycuda(gpu: FakeGpu) -> dict[str, ModuleType]:
    """`pycuda` and `pycuda.driver`. As in the real one an object dropped or freed without its context current stays
    allocated, without a word, in every thread but the one that made the context."""
    maker = threading.get_ident()

    def free(function: Any, what: Any) -> None:
        with suppress(NoContextError):  # pycuda prints what goes wrong here, and goes on
            free_or_leak(function, what)

    def free_or_leak(function: Any, what: Any) -> None:
        if gpu.has_context:
            function(what)
        elif threading.get_ident() == maker:
            gpu.push()
            function(what)
            gpu.pop()

    def guarded(function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OutOfMemoryError:
            raise PycudaMemoryError("cuMemAlloc failed: out of memory") from None
        except NoContextError as error:
            raise PycudaLogicError(f"{error} failed: invalid device context") from None

    class Context:
        def detach(self) -> None:
            gpu.log.append(("detach",))

        def push(self) -> None:
            gpu.push()

        @staticmethod
        def pop() -> None:
            guarded(gpu.pop)

    class Device:
        def __init__(self, number: int) -> None:
            assert number == 0

        def name(self) -> str:
            return gpu.name

        def compute_capability(self) -> tuple[int, int]:
            return gpu.capability

        def get_attribute(self, attribute: str) -> int:
            return {"integrated": int(gpu.integrated)}[attribute]

        def retain_primary_context(self) -> Context:
            return Context()

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self.address: int = guarded(gpu.allocate, size)

        def __int__(self) -> int:
            return self.address

        def free(self) -> None:
            free(gpu.release, self.address)

    class PagelockedHostAllocation:
        def __init__(self, size: int, mapped: bool) -> None:
            self.array: NDArray[np.uint8] = guarded(gpu.allocate_host, size, mapped)

        @property
        def __array_interface__(self) -> dict[str, Any]:
            return self.array.__array_interface__

        def get_device_pointer(self) -> int:
            return int(gpu.device_pointer(self.array.ctypes.data))

        def free(self) -> None:
            free(gpu.release_host, self.array.ctypes.data)

    def pagelocked_empty(shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> NDArray[Any]:
        allocation = PagelockedHostAllocation(shape * np.dtype(dtype).itemsize, bool(mem_flags))
        array = np.asarray(allocation)
        base: object = array.base
        assert base is allocation
        return array.view(dtype) if array.dtype != dtype else array

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            assert flags == 1, "a stream that waits for the default stream"
            self.fake: FakeStream = guarded(gpu.stream)

        @property
        def handle(self) -> int:
            return self.fake.number

        def wait_for_event(self, event: Event) -> None:
            guarded(gpu.wait, self.fake, event.fake)

        def synchronize(self) -> None:
            guarded(gpu.synchronize_stream, self.fake)

        def __del__(self) -> None:
            free(gpu.free_stream, self.fake)

    class Event:
        def __init__(self, flags: int = 0) -> None:
            assert flags == 2, "an event that takes times"
            self.fake: FakeEvent = guarded(gpu.event)

        def record(self, stream: Stream) -> Event:
            guarded(gpu.record, self.fake, stream.fake)
            return self

        def synchronize(self) -> Event:
            guarded(gpu.synchronize_event, self.fake)
            return self

        def __del__(self) -> None:
            free(gpu.free_event, self.fake)

    def memcpy_htod_async(dest: int, src: NDArray[Any], stream: Stream) -> None:
        guarded(gpu.upload, dest, src.ctypes.data, src.nbytes, stream.fake)

    def memcpy_dtoh_async(dest: NDArray[Any], src: int, stream: Stream) -> None:
        guarded(gpu.download, dest.ctypes.data, src, dest.nbytes, stream.fake)

    def mem_get_info() -> tuple[int, int]:
        guarded(gpu.call, "mem_info")
        return gpu.free, gpu.capacity

    driver = module(
        "pycuda.driver",
        Error=PycudaError,
        MemoryError=PycudaMemoryError,
        LogicError=PycudaLogicError,
        init=lambda: None,
        get_driver_version=lambda: gpu.driver_version,
        device_attribute=SimpleNamespace(INTEGRATED="integrated"),
        host_alloc_flags=SimpleNamespace(DEVICEMAP=2),
        event_flags=SimpleNamespace(DISABLE_TIMING=2),
        mem_alloc=DeviceAllocation,
        Context=Context,
        Device=Device,
        Stream=Stream,
        Event=Event,
        pagelocked_empty=pagelocked_empty,
        memcpy_htod_async=memcpy_htod_async,
        memcpy_dtoh_async=memcpy_dtoh_async,
        mem_get_info=mem_get_info,
    )
    return {"pycuda": module("pycuda", driver=driver), "pycuda.driver": driver}


def fake_cuda_python(gpu: FakeGpu) -> dict[str, ModuleType]:
    """`cuda`, `cuda.bindings` and `cuda.bindings.driver`: every function returns its status first."""
    results = {
        name: SimpleNamespace(name=name)
        for name in ("CUDA_SUCCESS", "CUDA_ERROR_OUT_OF_MEMORY", "CUDA_ERROR_INVALID_CONTEXT")
    }

    def answering(function: Any, *names: str) -> Any:
        def answer(*arguments: Any) -> tuple[Any, ...]:
            try:
                value = function(*arguments)
            except OutOfMemoryError:
                return (results["CUDA_ERROR_OUT_OF_MEMORY"], *(None for _ in names))
            except NoContextError:
                return (results["CUDA_ERROR_INVALID_CONTEXT"], *(None for _ in names))
            return (results["CUDA_SUCCESS"], *(value if len(names) > 1 else (value,) if names else ()))

        return answer

    class Handle:
        def __init__(self, fake: Any) -> None:
            self.fake = fake

        def __int__(self) -> int:
            return int(self.fake.number)

    def new_stream(flags: int) -> Handle:
        assert flags == 1, "a stream that waits for the default stream"
        return Handle(gpu.stream())

    def new_event(flags: int) -> Handle:
        assert flags == 2, "an event that takes times"
        return Handle(gpu.event())

    def attribute(name: str, device: int) -> int:
        return {"major": gpu.capability[0], "minor": gpu.capability[1], "integrated": int(gpu.integrated)}[name]

    def memory_info() -> tuple[int, int]:
        gpu.call("mem_info")
        return gpu.free, gpu.capacity

    driver = module(
        "cuda.bindings.driver",
        CUresult=SimpleNamespace(**results),
        CUdevice_attribute=SimpleNamespace(
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR="major",
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR="minor",
            CU_DEVICE_ATTRIBUTE_INTEGRATED="integrated",
        ),
        CUstream_flags=SimpleNamespace(CU_STREAM_NON_BLOCKING=1),
        CUevent_flags=SimpleNamespace(CU_EVENT_DISABLE_TIMING=2),
        CU_MEMHOSTALLOC_DEVICEMAP=2,
        cuInit=answering(lambda flags: None),
        cuDeviceGet=answering(lambda number: number, "device"),
        cuDeviceGetName=answering(lambda length, device: gpu.name.encode().ljust(length, b"\0"), "name"),
        cuDeviceGetAttribute=answering(attribute, "value"),
        cuDriverGetVersion=answering(lambda: gpu.driver_version, "version"),
        cuDevicePrimaryCtxRetain=answering(lambda device: "primary", "context"),
        cuCtxPushCurrent=answering(lambda context: gpu.push()),
        cuCtxPopCurrent=answering(lambda: gpu.pop(), "context"),
        cuMemGetInfo=answering(memory_info, "free", "total"),
        cuMemAlloc=answering(gpu.allocate, "pointer"),
        cuMemFree=answering(gpu.release),
        cuMemHostAlloc=answering(lambda size, flags: gpu.allocate_host(size, bool(flags)).ctypes.data, "pointer"),
        cuMemFreeHost=answering(gpu.release_host),
        cuMemHostGetDevicePointer=answering(lambda pointer, flags: gpu.device_pointer(pointer), "pointer"),
        cuMemcpyHtoDAsync=answering(lambda to, source, size, stream: gpu.upload(to, source, size, stream.fake)),
        cuMemcpyDtoHAsync=answering(lambda to, source, size, stream: gpu.download(to, source, size, stream.fake)),
        cuStreamCreate=answering(new_stream, "stream"),
        cuStreamSynchronize=answering(lambda stream: gpu.synchronize_stream(stream.fake)),
        cuStreamWaitEvent=answering(lambda stream, event, flags: gpu.wait(stream.fake, event.fake)),
        cuStreamDestroy=answering(lambda stream: gpu.free_stream(stream.fake)),
        cuEventCreate=answering(new_event, "event"),
        cuEventRecord=answering(lambda event, stream: gpu.record(event.fake, stream.fake)),
        cuEventSynchronize=answering(lambda event: gpu.synchronize_event(event.fake)),
        cuEventDestroy=answering(lambda event: gpu.free_event(event.fake)),
    )
    bindings = module("cuda.bindings", driver=driver)
    return {"cuda": module("cuda", bindings=bindings), "cuda.bindings": bindings, "cuda.bindings.driver": driver}
