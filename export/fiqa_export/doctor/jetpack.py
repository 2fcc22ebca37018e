"""Knows which TensorRT belongs to which JetPack, and for which GPUs a TensorRT has kernels.

The facts are from NVIDIA's pages: JetPack downloads and notes; TensorRT's release notes 10.5 (Volta removed, first pip
wheels for Arm servers), 10.8 (Blackwell), 10.13.2 (CUDA 13, and with it Thor), 10.16.1 (Orin in the Arm server build),
and "Migrating TensorRT from 10.x to 11.x on Jetson/JetPack" of 11.0.0, 11.2.1, 11.3.0 and 11.4.1. That 10.13.3 refuses
Orin ("Target GPU SM 87 is not supported by this TensorRT release"): NVIDIA-ISAAC-ROS/isaac-ros-cli, issue 22.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fiqa_runtime.backends.tensorrt.plan_facts import numbers

from fiqa_export.doctor.facts import TensorRt


class Shipped(NamedTuple):
    """What a JetPack contains; versions by their first two numbers."""

    python: str
    cuda: str
    tensorrt: str


SHIPPED = {
    "5.1": Shipped("3.8", "11.4", "8.5"),
    "6.0": Shipped("3.10", "12.2", "8.6"),
    "6.1": Shipped("3.10", "12.6", "10.3"),
    "6.2": Shipped("3.10", "12.6", "10.3"),
    "7.0": Shipped("3.12", "13.0", "10.13"),
    "7.1": Shipped("3.12", "13.0", "10.13"),
    "7.2": Shipped("3.12", "13.2", "10.16"),
}
"""What each JetPack contains, by the first two numbers of its version."""
JETPACKS = {
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5.0": "6.2.2",
    "38.2.0": "7.0",
    "38.2.1": "7.0",
    "38.2.2": "7.0",
    "38.4.0": "7.1",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
}
"""Versions of JetPack by version of Jetson Linux (L4T)."""
ORIN, THOR = (8, 7), (11, 0)
"""Compute capabilities of the Jetsons that this project builds for."""


def jetpack_version(l4t: str | None, package: str | None) -> str | None:
    """The version of JetPack, from the package nvidia-jetpack (``6.2+b77``), else from Jetson Linux; None where it is
    unknown."""
    return re.split(r"[+-]", package)[0] if package else JETPACKS.get(l4t or "")


def shipped_with(jetpack: str | None) -> Shipped | None:
    """What `jetpack` contains; None where that is unknown."""
    return SHIPPED.get(".".join((jetpack or "").split(".")[:2]))


def has_kernels(trt: TensorRt, compute_capability: str, jetpack: str | None) -> bool | None:
    """Whether `trt` has kernels for GPUs of `compute_capability`; None where that is not known."""
    if trt.version is None:
        return None
    gpu, version = numbers(compute_capability), numbers(trt.version)
    if trt.flavour == "tensorrt_rtx":
        return compute_capability in trt.capabilities if trt.capabilities else None
    if gpu == ORIN:
        return _has_orin(trt, version, jetpack)
    if gpu == THOR and version >= (11,):
        return _eleven_on_jetson(version, jetpack)
    if gpu == THOR:
        return version >= (10, 13, 2)
    if gpu >= (10, 0):
        return version >= (10, 8)
    return gpu >= (7, 5) or (gpu >= (7, 0) and version < (10, 5))


def _has_orin(trt: TensorRt, version: tuple[int, ...], jetpack: str | None) -> bool | None:
    """Whether `trt` has kernels for Orin. JetPack 6 has its own build, up to 10.7; pip's build for Arm servers includes
    Orin since 10.16.

    pip's packages for Arm begin with 10.5, so an older one can only be bindings to JetPack's own libraries.
    """
    if jetpack is None:
        return None
    if version >= (11,):
        return _eleven_on_jetson(version, jetpack)
    if numbers(jetpack) < (7, 2):
        return version < (10, 8) if trt.place == "apt" else version < (10, 5)
    return version >= (10, 16)


def _eleven_on_jetson(version: tuple[int, ...], jetpack: str | None) -> bool | None:
    """Whether TensorRT 11 runs on a Jetson. NVIDIA's page for 11.0 promised it, those for 11.2 to 11.4.0 excluded it,
    and 11.4.1 needs JetPack 7.2.2."""
    if version < (11, 2) or jetpack is None:
        return None
    return version >= (11, 4, 1) and numbers(jetpack) >= (7, 2, 2)
