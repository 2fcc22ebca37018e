"""The devices that a network can run on, and which backends serve each of them.

A new device is a line of :data:`DEVICES`, and code in the file of the backend that serves it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import InputError, UnsupportedError

CPU = "cpu"
"""The device of ONNX files where none is asked for."""
PLAN_BACKEND = "tensorrt"
"""The backend that runs plans, and nothing else."""
TF32 = "NVIDIA_TF32_OVERRIDE"
"""Environment variable of NVIDIA's libraries; `0` keeps them from rounding float32 factors to 10 bits."""


@dataclass(frozen=True)
class Device:
    """One kind of device."""

    what: str
    """What it is, for people."""
    backends: tuple[str, ...]
    """Names of the backends that serve it, preferred first; :data:`CPU` is served by every ONNX backend."""


DEVICES: Mapping[str, Device] = {
    CPU: Device("the processor", ()),
    "cuda": Device("an NVIDIA GPU through CUDA", ("onnxruntime", "opencv", PLAN_BACKEND)),
    "tensorrt": Device("an NVIDIA GPU through TensorRT", ("onnxruntime", PLAN_BACKEND)),
    "intel-gpu": Device("an Intel GPU through OpenVINO", ("openvino",)),
    "intel-npu": Device("an Intel NPU through OpenVINO", ("openvino",)),
    "directml": Device("a GPU of Windows through DirectML", ("onnxruntime",)),
    "coreml": Device("Apple's GPU and Neural Engine through Core ML", ("onnxruntime",)),
}
"""Every device, by the name that ``--device`` takes."""
DEVICE_HELP = f"What runs it: {', '.join(DEVICES)}. Default: cpu; a plan runs on its GPU."
"""Help of ``--device``, which every command has in the same words."""


def device_for(card: Card, asked: str | None) -> str:
    """The device that runs the artefact of `card` where `asked` is asked for; None is cpu, and for a plan its GPU.

    Raises InputError for an unknown name, UnsupportedError where a plan is to run elsewhere than on an NVIDIA GPU.
    """
    if asked is not None:
        check_device(asked)
    if card.format != "plan":
        return asked or CPU
    if asked is not None and PLAN_BACKEND not in DEVICES[asked].backends:
        raise UnsupportedError(
            f"{card.model} is a TensorRT plan, which does not run on {asked}; leave --device out or take the .onnx file"
        )
    return asked or "cuda"


def check_device(name: str) -> str:
    """`name` if it is one of :data:`DEVICES`; raises InputError otherwise."""
    if name not in DEVICES:
        raise InputError(f"unknown device '{name}'; choose {', '.join(DEVICES)}")
    return name


def leave_tf32_out() -> None:
    """Keep NVIDIA's libraries in this process from computing float32 with rounded factors, unless the user says so.

    For libraries that have no option of their own. It counts for those that are loaded afterwards.
    """
    os.environ.setdefault(TF32, "0")
