"""A GPU made of arrays that records every driver call: memory, streams and events behind fake pycuda and cuda-python.

Work given to a stream runs late (only when somebody waits for it) or early (at once), so that a missing wait gives
wrong numbers in one of the two. Every call wants the context current in its thread, copies want page-locked memory of
the right size, freed memory is poisoned.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from itertools import count
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Schedule = Literal["late", "early"]
POISON = 0xFF
"""Bytes of memory that nobody has written, or that is freed: NaN as float32."""


class GpuFaultError(AssertionError):
    """Something that a GPU would answer with a crash or with garbage."""


class NoContextError(Exception):
    """A call without the context current in its thread."""


class OutOfMemoryError(Exception):
    """The GPU is full."""


def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """One thread at a time."""

    @wraps(method)
    def call(self: FakeGpu, *arguments: Any) -> Any:
        with self._guard:
            return method(self, *arguments)

    return call


@dataclass
class Block:
    """Device memory, page-locked memory, or one that is both."""

    array: NDArray[np.uint8]
    address: int
    """Where the GPU sees it; 0 where it does not."""


@dataclass(eq=False)
class FakeEvent:
    recorded: int = 0
    completed: int = 0
    stream: FakeStream | None = None


@dataclass(eq=False)
class FakeStream:
    number: int
    queue: list[tuple[str, Any]] = field(default_factory=list)
    """("run", callable) or ("wait", (event, how many records of it))."""


class FakeGpu:
    """One GPU; `log` holds every call as (name, details...)."""

    def __init__(self, schedule: Schedule = "late", integrated: bool = False, capacity: int = 1 << 30) -> None:
        self.schedule = schedule
        self.integrated = integrated
        self.capacity = capacity
        self.name = "Fake Orin"
        self.capability = (8, 7)
        self.driver_version = 12060
        self.log: list[tuple[Any, ...]] = []
        self.stacks: dict[int, list[str]] = defaultdict(list)
        self.device: dict[int, Block] = {}
        self.host: dict[int, Block] = {}
        self.streams: dict[int, FakeStream] = {}
        self.events: set[FakeEvent] = set()
        self.reserved: dict[int, int] = {}
        """Memory that TensorRT took for itself, by the id of the owner."""
        self.while_executing: Callable[[], object] = lambda: time.sleep(0.001)
        """What a network does before it runs: it takes a moment, so that threads that are not kept apart overlap."""
        self.faults: list[str] = []
        """What went wrong where nothing can be raised."""
        self.users: dict[int, int] = {}
        """Thread by the id of the execution context that it uses."""
        self._next = 0x7F0000000000
        self._numbers = count(1)
        self._guard = threading.RLock()

    # context

    def push(self) -> None:
        self.stacks[threading.get_ident()].append("primary")
        self.log.append(("push", threading.get_ident()))

    def pop(self) -> None:
        if not self.stacks[threading.get_ident()]:
            raise NoContextError
        self.stacks[threading.get_ident()].pop()
        self.log.append(("pop", threading.get_ident()))
        if not self.stacks[threading.get_ident()]:
            self.users = {owner: user for owner, user in self.users.items() if user != threading.get_ident()}

    @property
    def has_context(self) -> bool:
        return bool(self.stacks[threading.get_ident()])

    def call(self, name: str, *details: Any) -> None:
        if not self.has_context:
            raise NoContextError(name)
        self.log.append((name, *details))

    # memory

    @property
    def free(self) -> int:
        mapped = sum(block.array.nbytes for block in self.host.values()) if self.integrated else 0
        return (
            self.capacity
            - sum(block.array.nbytes for block in self.device.values())
            - sum(self.reserved.values())
            - mapped
        )

    @guarded
    def reserve(self, owner: int, size: int) -> None:
        if size > self.free:
            raise OutOfMemoryError
        self.reserved[owner] = size

    @guarded
    def allocate(self, size: int) -> int:
        self.call("device_alloc", size)
        if size > self.free:
            raise OutOfMemoryError
        address = self._address(size)
        self.device[address] = Block(np.full(size, POISON, np.uint8), address)
        return address

    @guarded
    def release(self, address: int) -> None:
        self.call("device_free", self.device[address].array.nbytes)
        self.device.pop(address).array[:] = POISON

    @guarded
    def allocate_host(self, size: int, mapped: bool) -> NDArray[np.uint8]:
        self.call("host_alloc", size, "mapped" if mapped else "copied")
        if self.integrated and size > self.free:
            raise OutOfMemoryError
        array = np.full(size, POISON, np.uint8)
        self.host[array.ctypes.data] = Block(array, self._address(size) if mapped else 0)
        return array

    @guarded
    def release_host(self, pointer: int) -> None:
        self.call("host_free", self.host[pointer].array.nbytes)
        self.host.pop(pointer).array[:] = POISON

    def device_pointer(self, pointer: int) -> int:
        if not self.host[pointer].address:
            raise GpuFaultError("this page-locked memory is not mapped")
        return self.host[pointer].address

    @guarded
    def memory_at(self, address: int, size: int) -> NDArray[np.uint8]:
        """The `size` bytes that the GPU sees at `address`; GpuFaultError where they are not all of one block."""
        for block in (*self.device.values(), *self.host.values()):
            if block.address and block.address <= address < block.address + block.array.nbytes:
                start = address - block.address
                if start + size > block.array.nbytes:
                    raise GpuFaultError(f"{size} bytes at {address:#x} reach beyond their block")
                return block.array[start : start + size]
        raise GpuFaultError(f"nothing lives at {address:#x}")

    @guarded
    def pinned_at(self, pointer: int, size: int) -> NDArray[np.uint8]:
        """The `size` page-locked bytes at `pointer`; GpuFaultError for other memory, whose copies are not async."""
        for start, block in self.host.items():
            if start <= pointer and pointer + size <= start + block.array.nbytes:
                return block.array[pointer - start : pointer - start + size]
        raise GpuFaultError("an asynchronous copy needs page-locked memory")

    def _address(self, size: int) -> int:
        address = self._next
        self._next += (size + 511) // 256 * 256
        return address

    # streams

    @guarded
    def stream(self) -> FakeStream:
        self.call("stream")
        stream = FakeStream(next(self._numbers))
        self.streams[stream.number] = stream
        return stream

    @guarded
    def free_stream(self, stream: FakeStream) -> None:
        self.call("stream_free")
        if stream.queue:
            self.faults.append("a stream was destroyed with work in it")
        del self.streams[stream.number]

    @guarded
    def event(self) -> FakeEvent:
        self.call("event")
        event = FakeEvent()
        self.events.add(event)
        return event

    @guarded
    def free_event(self, event: FakeEvent) -> None:
        self.call("event_free")
        self.events.remove(event)

    def upload(self, address: int, pointer: int, size: int, stream: FakeStream) -> None:
        self.call("h2d", size, stream.number)
        source = self.pinned_at(pointer, size)
        self.submit(stream, lambda: np.copyto(self.memory_at(address, size), source))

    def download(self, pointer: int, address: int, size: int, stream: FakeStream) -> None:
        self.call("d2h", size, stream.number)
        target = self.pinned_at(pointer, size)
        self.submit(stream, lambda: np.copyto(target, self.memory_at(address, size)))

    def record(self, event: FakeEvent, stream: FakeStream) -> None:
        self.call("record", stream.number)
        event.recorded += 1
        event.stream = stream
        self.submit(stream, lambda: setattr(event, "completed", event.completed + 1))

    def wait(self, stream: FakeStream, event: FakeEvent) -> None:
        self.call("wait", stream.number)
        stream.queue.append(("wait", (event, event.recorded)))

    def synchronize_event(self, event: FakeEvent) -> None:
        self.call("sync_event")
        self._until(event, event.recorded)

    def synchronize_stream(self, stream: FakeStream) -> None:
        self.call("sync_stream", stream.number)
        while stream.queue:
            self._step(stream)

    def submit(self, stream: FakeStream, work: Callable[[], object]) -> None:
        stream.queue.append(("run", work))
        if self.schedule == "early":
            while stream.queue:
                self._step(stream)

    def _until(self, event: FakeEvent, count: int) -> None:
        while event.completed < count:
            if event.stream is None or not event.stream.queue:
                raise GpuFaultError("waiting for an event that never comes")
            self._step(event.stream)

    def _step(self, stream: FakeStream) -> None:
        kind, what = stream.queue.pop(0)
        if kind == "run":
            what()
        else:
            self._until(*what)

    # what tests ask

    def names(self, *wanted: str) -> list[str]:
        """Names of the logged calls in order, of the `wanted` ones only."""
        return [entry[0] for entry in self.log if not wanted or entry[0] in wanted]

    def check_nothing_left(self) -> None:
        """Everything is freed in good order and every push was popped."""
        assert not self.faults
        assert (self.device, self.host, self.streams, self.events, self.reserved) == ({}, {}, {}, set(), {})
        assert not any(self.stacks.values())
