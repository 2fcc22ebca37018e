"""The buffers in which one batch travels to the GPU and back.

Both drivers use GPU 0 (CUDA_VISIBLE_DEVICES chooses which one that is) and its primary context, which TensorRT and
torch use too. The context is retained once and left to the process. Every call below needs it to be current in the
calling thread (:func:`fiqa_runtime.backends.cuda.driver.active`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.backends.cuda.driver import Driver, HostBlock, Shape, Stream
from fiqa_runtime.errors import UnsupportedError


class Slot:
    """Buffers for one batch at a plan's largest shapes, on the host and on the GPU.

    On a GPU with its own memory each tensor has page-locked memory and a device block with copies between them; on an
    integrated one both sides see one mapped block and nothing is copied. Tensors are float32, those in `raw` uint8.
    """

    def __init__(self, driver: Driver, shapes: Mapping[str, Shape], frees: ExitStack, raw: Collection[str]) -> None:
        """Allocate for `shapes`, the largest of each tensor; `frees` frees all of it later. Raises the driver's
        errors."""
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
